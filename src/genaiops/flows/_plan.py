"""A flow, opened: user code imported, ready to run rows."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from genaiops.errors import RowError
from genaiops.flows._counted_models import UserModels
from genaiops.flows._model import Flow, InputDef
from genaiops.flows._outcome import AggregationInputs, AggregationOutcome, Outcome, Services
from genaiops.flows._threads import WorkerThreads
from genaiops.tracing import SpanRecorder


class Plan(ABC):
    """A flow that can run rows; made by `open_plan`.

    Args:
        flow: The flow; for function and class flows with the signature of the imported code.
        services: What it may use.
        concurrency: How many rows may be on their way at once; it sizes the worker threads.
    """

    def __init__(self, flow: Flow, services: Services, *, concurrency: int = 1) -> None:
        self.flow = flow
        self.services = services
        # Twice the rows, because nodes of one row may run side by side; threads exist only once they are needed.
        self.threads = WorkerThreads(max(2 * concurrency, 16))
        self.user_models = UserModels(services, asyncio.get_running_loop()) if services.models is not None else None

    @property
    @abstractmethod
    def is_sync(self) -> bool:
        """A row can run on one thread, without the event loop: `run_now` works."""

    @property
    @abstractmethod
    def has_aggregation(self) -> bool:
        """There is something to run after all rows."""

    @property
    def aggregates_single(self) -> bool:
        """A single run aggregates too."""
        return False

    @property
    def signature(self) -> Mapping[str, InputDef]:
        """The inputs, with types and defaults, as the code has them."""
        return self.flow.inputs

    @abstractmethod
    def _call(
        self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool, *, is_recorded: bool = True
    ) -> Any:
        """What `_run` and `_timed_out` share about one row."""

    @abstractmethod
    async def _run(self, recorder: SpanRecorder, call: Any) -> Outcome:
        """Run one row; what user code raises becomes part of the outcome."""

    @abstractmethod
    def _timed_out(self, call: Any, timeout_s: float) -> Outcome:
        """The outcome of a row whose time is over."""

    async def run(
        self,
        inputs: Mapping[str, Any],
        *,
        row: int | None = None,
        repeat: int = 0,
        timeout_s: float | None = None,
        streaming: bool = False,
        recorder: SpanRecorder | None = None,
        is_recorded: bool = True,
    ) -> Outcome:
        """Run one row.

        Args:
            inputs: The flow's inputs; what is not declared is recorded and passed to nobody.
            row: The row's number, for messages and the record.
            repeat: Which repetition of the row this is.
            timeout_s: After this the row fails; a thread of user code that hangs is left behind.
            streaming: Generators among the outputs are handed to the caller instead of being joined.
            recorder: Where spans are collected; a new one by default.
            is_recorded: The outcome says what each node did; else only what the row gave, which is quicker.

        Returns:
            The outcome; a failure is one too.
        """
        recorder = recorder or SpanRecorder({"flow": self.flow.name, "row": row})
        call = self._call(inputs, row, repeat, streaming, is_recorded=is_recorded)
        started = perf_counter()
        try:
            if timeout_s is None:
                outcome = await self._run(recorder, call)
            else:
                async with asyncio.timeout(timeout_s) as limit:
                    outcome = await self._run(recorder, call)
        except TimeoutError:
            if timeout_s is None or not limit.expired():
                raise
            outcome = self._timed_out(call, timeout_s)
        outcome.duration_s = perf_counter() - started
        # What is streamed is not over yet: its spans are to come.
        outcome.spans = recorder.spans if streaming else recorder.take()
        outcome.trace_id = recorder.trace_id
        return outcome

    def run_now(
        self, inputs: Mapping[str, Any], *, row: int | None = None, repeat: int = 0, is_recorded: bool = True
    ) -> Outcome:
        """Run one row on this thread, without an event loop; only when `is_sync`.

        Args:
            inputs: As `run` takes them, and `row` and `repeat` too.
            is_recorded: As `run` takes it.

        Raises:
            RuntimeError: The flow has async or model nodes.
        """
        raise RuntimeError("This flow needs the event loop; use run().")

    async def run_single(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> Outcome:
        """Run one row by itself, and aggregate it when the flow aggregates single rows.

        Metrics and the aggregation nodes' outcomes stand in the outcome. An aggregation node that fails does not fail
        the row: its own outcome says so, and whoever ran it decides what that means.
        """
        outcome = await self.run(inputs, timeout_s=timeout_s)
        if outcome.status == "completed" and self.aggregates_single:
            aggregated = await self.aggregate(AggregationInputs.from_outcomes([outcome]))
            outcome.metrics = aggregated.metrics
            outcome.nodes.update(aggregated.nodes)
        return outcome

    async def run_node(self, node: str, inputs: Mapping[str, Any]) -> Outcome:
        """Run one node alone.

        Raises:
            RowError: The flow is not a graph.
        """
        raise RowError(f"A {self.flow.kind} flow has no nodes.", kind="SingleNodeValidationError")

    @staticmethod
    def aggregation_values(outcome: Outcome) -> dict[str, Any]:
        """What must be stored with the row so that aggregation can be done later, from the file."""
        return outcome.aggregation

    async def aggregate(self, lines: AggregationInputs) -> AggregationOutcome:
        """Run what follows all rows."""
        return AggregationOutcome()

    async def close(self) -> None:
        """Let go of the worker threads."""
        self.threads.close()

    def _timeout_error(self, row: int | None, timeout_s: float) -> dict[str, Any]:
        what = "The row" if row is None else f"Line {row}"
        return RowError(
            f"{what} execution timeout for exceeding {timeout_s:g} seconds.", kind="LineExecutionTimeoutError"
        ).to_json()
