"""Answer on the event loop itself what takes less time than a trip to a thread.

A row of a few short Python functions costs 60 µs, the trip to a worker thread and back as much again. So a flow that
has shown itself quick runs where the request is read, until a row holds up the loop; a few times, then never again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar

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

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Run a row on this thread and learn from it."""
        before, started = _own_work(), perf_counter()
        result = work()
        duration_s = perf_counter() - started
        # On a busy machine others take the processor in the middle of a row: that is no fault of the row.
        if duration_s > TOO_LONG_S and before is not None:
            after = _own_work()
            if after is not None and after[1] == before[1]:
                duration_s = after[0] - before[0]
        self.saw(duration_s)
        return result

    def saw(self, duration_s: float) -> None:
        """Learn from a row."""
        if self._quick_rows >= self._wanted:
            if duration_s > TOO_LONG_S:
                # The next trial is twice as long.
                self._quick_rows, self._wanted, self._trials_left = 0, 2 * self._wanted, self._trials_left - 1
        elif duration_s < QUICK_S:
            self._quick_rows += 1
        else:
            self._quick_rows = max(0, self._quick_rows - 2)


def _own_work() -> tuple[float, int] | None:
    """Processor time of this thread in seconds, and how often it waited by its own will; None where nobody counts."""
    if sys.platform != "linux":
        return None
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_utime + usage.ru_stime, usage.ru_nvcsw
