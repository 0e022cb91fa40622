"""Answer on the event loop itself what takes less time than a trip to a thread.

A row of a few short Python functions costs 60 µs, the trip to a worker thread and back as much again. So a flow that
has shown itself quick runs where the request is read. The first row that holds up the loop ends that for good.
"""

from __future__ import annotations

from typing import Final

# Rows that must be quick in a row before the loop is trusted with them.
TRIAL_ROWS: Final = 50
QUICK_S: Final = 0.0005
# One row that takes longer on the loop than this was one too many.
TOO_LONG_S: Final = 0.01


class QuickRows:
    """Whether a flow is quick enough to run on the event loop.

    Args:
        possible: Whether the flow can run without the loop at all.
    """

    def __init__(self, possible: bool) -> None:
        self._possible = possible
        self._quick_rows = 0

    @property
    def trusted(self) -> bool:
        """Run the next row on the loop."""
        return self._possible and self._quick_rows >= TRIAL_ROWS

    def saw(self, duration_s: float) -> None:
        """Learn from a row."""
        if duration_s < QUICK_S:
            self._quick_rows += 1
            return
        if self.trusted and duration_s > TOO_LONG_S:
            self._possible = False
        elif not self.trusted:
            self._quick_rows = 0
