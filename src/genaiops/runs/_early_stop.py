"""When going on makes no sense: a key that is refused, a deployment that is not there, a host that always dies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# So many rows in a row that failed for good in the same way, before any row completed.
_SAME_FAILURES = 5
# Once rows have completed, a refusal counts when so many rows one after the other met it.
_LATER_REFUSALS = 20
_REFUSED = frozenset({"AuthenticationError", "PermissionDeniedError"})


class Stop(NamedTuple):
    """Why a run ends before its last row.

    Args:
        reason: `model-refused`, `same-failure`, `host-dies`, `budget`, `timeout`, `interrupted`.
        message: One sentence for a person.
        drain: Let rows in flight finish.
        error: The error that every row met.
    """

    reason: str
    message: str
    drain: bool = False
    error: Mapping[str, Any] | None = None


class EarlyStop:
    """Watches outcomes for a failure that every row will meet."""

    def __init__(self, total: int) -> None:
        self._needed = min(_SAME_FAILURES, max(1, total))
        self._completed = 0
        self._same: tuple[Any, ...] | None = None
        self._run = 0

    def see(self, header: Mapping[str, Any]) -> Stop | None:
        """Take note of a row; a reason to stop, or None."""
        if header["ok"]:
            self._completed += 1
            self._run = 0
            return None
        if not header.get("permanent"):
            self._run = 0
            return None
        error = header["error"]
        what = (error["kind"], error["type"], error["node"])
        self._run = self._run + 1 if what == self._same else 1
        self._same = what
        refused = error["type"] in _REFUSED
        if refused and (not self._completed or self._run >= _LATER_REFUSALS):
            return Stop(
                "model-refused", f"The model refuses the key, so no row can succeed: {error['message']}", error=error
            )
        if not self._completed and self._run >= self._needed:
            return Stop("same-failure", f"The first rows all failed in the same way: {error['message']}", error=error)
        return None
