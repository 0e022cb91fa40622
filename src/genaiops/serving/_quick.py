"""Answer on the event loop itself what takes less time than a trip to a thread.

A row of a few short Python functions costs 60 µs, the trip to a worker thread and back as much again. So a flow that
has shown itself quick runs where the request is read, until a row holds up the loop; a few times, then never again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Final, Generic, NamedTuple, TypeVar

if sys.platform == "linux":
    import resource

_Result = TypeVar("_Result")

# So many more rows must have been quick than slow before the loop is trusted with them.
TRIAL_ROWS: Final = 50
QUICK_S: Final = 0.0005
# One row that takes longer on the loop than this was one too many.
TOO_LONG_S: Final = 0.01
# A busy machine makes any row look slow now and then; a flow that blocks shows it each time it is tried.
MOST_TRIALS: Final = 5


class QuickRows:
    """Whether a flow is quick enough to run on the event loop.

    Args:
        possible: Whether the flow can run without the loop at all.
    """

    def __init__(self, possible: bool) -> None:
        self._trials_left = MOST_TRIALS if possible else 0
        self._wanted = TRIAL_ROWS
        self._quick_rows = 0

    @property
    def trusted(self) -> bool:
        """Run the next row on the loop."""
        return self._quick_rows >= self._wanted and self._trials_left > 0

    @property
    def on_trial(self) -> bool:
        """Rows that run on threads are still measured."""
        return self._trials_left > 0

    def saw(self, own_s: float) -> None:
        """Learn from a row."""
        if self._quick_rows >= self._wanted:
            if own_s > TOO_LONG_S:
                # The next trial is twice as long.
                self._quick_rows, self._wanted, self._trials_left = 0, 2 * self._wanted, self._trials_left - 1
        elif own_s < QUICK_S:
            self._quick_rows += 1
        else:
            self._quick_rows = max(0, self._quick_rows - 2)


class Timed(NamedTuple, Generic[_Result]):
    """What a row gave, how long it took on the clock, and how long it kept its thread busy or waiting."""

    result: _Result
    clock_s: float
    own_s: float


def measured(work: Callable[[], _Result]) -> Timed[_Result]:
    """Run a row and measure it.

    On a busy machine others take the processor in the middle of a row: that is no fault of the row. So a row that never
    waited by its own will took the processor time it used, however long that was on the clock.
    """
    before, started = _own_work(), perf_counter()
    result = work()
    clock_s = own_s = perf_counter() - started
    if clock_s > QUICK_S and before is not None:
        after = _own_work()
        if after is not None and after[1] == before[1]:
            own_s = after[0] - before[0]
    return Timed(result, clock_s, own_s)


def _own_work() -> tuple[float, int] | None:
    """Processor time of this thread in seconds, and how often it waited by its own will; None where nobody counts."""
    if sys.platform != "linux":
        return None
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_utime + usage.ru_stime, usage.ru_nvcsw
