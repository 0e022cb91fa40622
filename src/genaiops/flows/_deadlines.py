"""Time limits of many rows with one timer: one for each row costs as much as a tenth of a row that has little to do."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """The time limits of rows that are on their way."""

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def after(self, seconds: float) -> Deadline:
        """A limit for the block of a `with` statement; at its end the block fails as that of `asyncio.timeout` does.

        >>> async def main() -> str:
        ...     try:
        ...         with Deadlines().after(0.01):
        ...             await asyncio.sleep(60)
        ...     except TimeoutError:
        ...         return "over"
        ...     return "done"
        >>> asyncio.run(main())
        'over'
        """
        return Deadline(self, seconds)

    def add(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        """Look after one more."""
        self._open.add(deadline)
        if self._loop is not loop:
            self._loop, self._timer = loop, None
        if self._timer is None or self._timer.when() > deadline.when:
            self._wake_at(deadline.when)

    def discard(self, deadline: Deadline) -> None:
        """Look after one less; the timer stays for those to come."""
        self._open.discard(deadline)

    def _wake_at(self, when: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._wake)

    def _wake(self) -> None:
        assert self._timer is not None
        now = self._timer.when()  # not the clock: it may be a moment behind the timer
        self._timer = None
        for deadline in [deadline for deadline in self._open if deadline.when <= now]:
            self._open.discard(deadline)
            deadline.expire()
        if self._open:
            self._wake_at(min(deadline.when for deadline in self._open))


class Deadline:
    """One time limit, around what one task does."""

    __slots__ = ("_cancelling", "_deadlines", "_task", "expired", "seconds", "when")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self.seconds = seconds
        self.when = 0.0
        self.expired = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A deadline is for a task.")
        loop = task.get_loop()
        self._task = task
        self._cancelling = task.cancelling()
        self.when = loop.time() + self.seconds
        self._deadlines.add(self, loop)
        return self

    def expire(self) -> None:
        """The time is over: end what the task does."""
        self.expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        # Somebody else may have cancelled the task too; then it stays cancelled.
        if self.expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error
