"""Who may come in: a bounded number of rows in flight and a bounded queue; the rest is refused at once.

Refusing is kinder than slowing everybody: a client that is told to come back in a second can do so, one that waits
behind a thousand others times out and asks again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class QueueFull(Exception):
    """The queue is full; come back after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Admission:
    """Slots for rows in flight, first come, first served.

    Args:
        concurrency: Rows in flight at most.
        queue: Requests that wait for a slot at most.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._free = concurrency
        self._limit = concurrency
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._typical_s = 0.1

    @property
    def in_flight(self) -> int:
        """Rows that hold a slot."""
        return self._limit - self._free

    @property
    def is_open(self) -> bool:
        """Whether a slot is free and nobody waits for it."""
        return self._free > 0 and not self._waiting

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Take a slot, waiting for one if need be.

        Raises:
            QueueFull: As many requests wait as may.
        """
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= self._queue:
            raise QueueFull(self.retry_after_s())
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._hand_on()  # the slot arrived just as the client left
            elif slot in self._waiting:
                self._waiting.remove(slot)
            raise

    def leave(self, duration_s: float) -> None:
        """Give the slot back and remember how long such a row takes."""
        self._typical_s += 0.1 * (duration_s - self._typical_s)
        self._hand_on()

    def retry_after_s(self) -> int:
        """When a slot will be free again for somebody who is not in the queue yet, in whole seconds."""
        rounds = (len(self._waiting) + 1) / self._limit
        return max(1, min(60, round(rounds * self._typical_s)))

    def _hand_on(self) -> None:
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1


class Slot:
    """One slot as a context manager."""

    __slots__ = ("_admission", "_loop", "_started")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._started = 0.0

    async def __aenter__(self) -> Slot:
        await self._admission.enter()
        self._started = self._loop.time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self._loop.time() - self._started)
