"""How far an experiment is, from what its runs tell."""

from __future__ import annotations

import asyncio

from genaiops.experiments._request import ExperimentEvent, OnExperimentEvent
from genaiops.runs import RunEvent, RunRecord


class Progress:
    """Adds up what runs tell and passes it on.

    Args:
        tell: Told the sums.
        total: Rows of the application in all runs.
    """

    def __init__(self, tell: OnExperimentEvent, total: int) -> None:
        self._tell = tell
        self._planned = total
        self._runs: dict[str, RunEvent] = {}
        # Rows of the application have begun; a model was called, until then all may be kept.
        self.started = asyncio.Event()
        self.called = asyncio.Event()

    def see(self, event: RunEvent) -> None:
        """A run tells something."""
        if event.kind == "warning":
            self._tell(ExperimentEvent(kind="warning", name=event.run, message=event.message))
            return
        self._runs[event.run] = event
        if event.kind == "started":
            self.started.set()
        if event.model_calls:
            self.called.set()
        self._pass_on()

    def count(self, record: RunRecord) -> None:
        """A run that an earlier attempt has finished."""
        rows = record.rows
        self._runs[record.id] = RunEvent(
            kind="finished", run=record.id, total=rows.total, completed=rows.completed, failed=rows.failed
        )
        self._pass_on()

    def _pass_on(self) -> None:
        events = list(self._runs.values())
        done = sum(event.completed + event.failed for event in events)
        costs = [event.cost_usd for event in events if event.cost_usd is not None]
        self._tell(
            ExperimentEvent(
                kind="progress",
                done=done,
                total=max(self._planned, sum(event.total for event in events)),
                failed=sum(event.failed for event in events),
                model_calls=sum(event.model_calls for event in events),
                cost_usd=sum(costs) if costs else None,
            )
        )
