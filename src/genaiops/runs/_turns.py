"""Which of several runs in one host goes first while all that they need is kept.

Rows whose model results are kept cost processor time and wait for nothing. Side by side such runs would all end at the
end, and what follows each of them, its evaluation in another process, would begin only then. So the later ones wait
for the earlier ones, until a row calls a model, keeps nothing, fails, or takes its time: from then on all go on
together, since whoever waits for a server leaves the processor to the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

# Rows that are kept take about a millisecond; a host that writes nothing for so long waits for something.
_SILENCE_S = 0.06


class Turns:
    """The runs of one command, by the host that they share."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def next(self, host: str) -> Turn:
        """The turn after those that this host has."""
        queue = self._queues.setdefault(host, _Queue())
        queue.last = Turn(queue, queue.last)
        return queue.last


class _Queue:
    """One host."""

    def __init__(self) -> None:
        self.last: Turn | None = None
        # Something has to be waited for: nobody waits for a turn any more.
        self.together = asyncio.Event()


class Turn:
    """One run's turn in its host."""

    def __init__(self, queue: _Queue, before: Turn | None) -> None:
        self._queue = queue
        self._before = before
        self._over = asyncio.Event()
        self._seen_s: float | None = None

    async def wait(self) -> None:
        """Until the runs before have ended, or all go on together."""
        before, self._before = self._before, None
        if before is not None:
            signs = (self._queue.together.wait(), before._over.wait(), before._fall_silent())
            waits = [asyncio.ensure_future(sign) for sign in signs]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
        self._seen_s = monotonic()

    def see(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of this run have finished."""
        self._seen_s = monotonic()
        if not all(row["ok"] and row["kept"] and not row["calls"] for row in rows):
            self._queue.together.set()

    def end(self) -> None:
        """The run starts no more rows."""
        self._over.set()

    async def _fall_silent(self) -> None:
        """Until rows of this run have begun and none has finished for a while; then all go on together."""
        while self._seen_s is None or monotonic() - self._seen_s < _SILENCE_S:
            await asyncio.sleep(_SILENCE_S / 3)
        self._queue.together.set()
