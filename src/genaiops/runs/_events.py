"""What a run tells while it runs, for progress bars and logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from genaiops.records import record

EventKind = Literal["started", "progress", "warning", "finished"]


@record(frozen=True, kw_only=True)
class RunEvent:
    """Something happened.

    Args:
        kind: `started` (all that can be checked is right), `progress`, `warning`, `finished`.
        run: The run's id.
        total: Rows to run.
        completed: Rows completed so far, those of earlier attempts included.
        failed: Rows failed so far.
        message: For a warning: what to know. For `started`: the run's folder.
    """

    kind: EventKind
    run: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost_usd: float | None = None
    message: str = ""


OnEvent = Callable[[RunEvent], None]


def ignore_event(event: RunEvent) -> None:
    """For callers that do not want to know."""
