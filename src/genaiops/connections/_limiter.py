"""The queue in front of one deployment: hands out slots as its pace allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

from genaiops.connections._pace import Pace, Ticket

_LONGEST_SLEEP_S = 5.0  # then look again: headers and replies may have changed the pace


class Limiter:
    """Slots for calls to one endpoint and deployment. Lives in one event loop; no thread waits.

    Args:
        pace: What is allowed when.
        clock: Seconds, never going back.
        tokens_per_minute: A budget for the tokens of calls, 0 for none.
    """

    def __init__(self, pace: Pace, *, clock: Callable[[], float], tokens_per_minute: float = 0) -> None:
        self.pace = pace
        self._clock = clock
        self._budget = _TokenBudget(tokens_per_minute, clock()) if tokens_per_minute else None
        self._waiting: deque[tuple[asyncio.Future[Ticket], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._waiting)

    async def acquire(self, *, tokens: int = 0, is_retry: bool = False) -> Ticket:
        """Wait for a slot; calls that have waited before go first. Hand the ticket back to one of the three below."""
        if not self._waiting and self._delay_s(tokens) == 0:
            return self._start(tokens)
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        if is_retry:
            self._waiting.appendleft((future, tokens))
        else:
            self._waiting.append((future, tokens))
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.failed(future.result())
            raise

    def succeeded(self, ticket: Ticket, *, tokens_over: int = 0) -> None:
        """The call was answered; `tokens_over` is how many more tokens it took than `acquire` was told."""
        if self._budget is not None:
            self._budget.take(tokens_over, self._clock())
        self.pace.succeeded(ticket, self._clock())
        self._pump()

    def refused(self, ticket: Ticket, retry_after_s: float | None) -> None:
        """The server said "too many"."""
        self.pace.refused(ticket, self._clock(), retry_after_s)
        self._pump()

    def failed(self, ticket: Ticket) -> None:
        """The call failed for another reason, or was given up."""
        self.pace.failed(ticket, self._clock())
        self._pump()

    def close(self) -> None:
        """Nobody gets a slot any more; those who wait are cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        for future, _ in self._waiting:
            future.cancel()
        self._waiting.clear()

    def _delay_s(self, tokens: int) -> float:
        now = self._clock()
        delay_s = self.pace.wait_s(now)
        if self._budget is not None and delay_s < inf:
            delay_s = max(delay_s, self._budget.delay_s(tokens, now))
        return delay_s

    def _start(self, tokens: int) -> Ticket:
        now = self._clock()
        if self._budget is not None:
            self._budget.take(tokens, now)
        return self.pace.sent(now)

    def _pump(self) -> None:
        while self._waiting:
            future, tokens = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            delay_s = self._delay_s(tokens)
            if delay_s == 0:
                self._waiting.popleft()
                future.set_result(self._start(tokens))
                continue
            if delay_s < inf:
                self._look_again(delay_s)
            return

    def _look_again(self, delay_s: float) -> None:
        when = self._clock() + delay_s
        if self._timer is not None:
            if self._timer_s <= when:
                return
            self._timer.cancel()
        self._timer_s = when
        self._timer = asyncio.get_running_loop().call_later(min(delay_s, _LONGEST_SLEEP_S), self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_s = None, inf
        self._pump()


class _TokenBudget:
    """Tokens a minute, with ten seconds' worth saved up at most."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_s = per_minute / 60
        self._room = per_minute / 6
        self._level = self._room
        self._seen_s = now

    def delay_s(self, tokens: int, now: float) -> float:
        self._fill(now)
        # A call larger than the room goes when the room is full, else it would never go.
        lacking = min(tokens, self._room) - self._level
        return max(0.0, lacking / self._per_s)

    def take(self, tokens: int, now: float) -> None:
        self._fill(now)
        self._level = min(self._room, self._level - tokens)

    def _fill(self, now: float) -> None:
        self._level = min(self._room, self._level + max(0.0, now - self._seen_s) * self._per_s)
        self._seen_s = now
