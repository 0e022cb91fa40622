"""Rows on their way: which are next, which run again, which have been written down, and when to stop."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from genaiops.errors import GenaiopsError
from genaiops.runs._early_stop import EarlyStop, Stop
from genaiops.runs._folder import RunFolder
from genaiops.runs._host_client import Outcomes
from genaiops.runs._lanes import RowIn
from genaiops.runs._outcome_lines import RowSet
from genaiops.runs._tally import Tally

_TELL_EVERY_S = 0.1
# A finished row is on disk within a second.
_SYNC_AFTER_S = 0.8
# With a budget of money, so many rows tell what a row costs.
_FIRST_ROWS = 8


class Brake:
    """Why no more rows start; told to everybody who waits."""

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self.interrupted = asyncio.Event()
        # Called when `stop` is set.
        self.listeners: list[Callable[[], None]] = []

    def pull(self, stop: Stop) -> None:
        """Stop; only the first reason counts."""
        if self.stop is None:
            self.stop = stop
            if stop.reason == "interrupted":
                self.interrupted.set()
            for listener in self.listeners:
                listener()


class RowQueue:
    """The rows that have not been handed over.

    Args:
        rows: All rows in order; those that finished before are not among them.
    """

    def __init__(self, rows: Iterator[RowIn]) -> None:
        self._rows = rows
        self._again: deque[RowIn] = deque()
        self.suspects: deque[RowIn] = deque()
        self.suspected = asyncio.Event()
        self.retried = 0

    def take(self, count: int) -> list[RowIn]:
        """The next rows, up to so many."""
        taken: list[RowIn] = []
        while self._again and len(taken) < count:
            taken.append(self._again.popleft())
        while len(taken) < count and (row := next(self._rows, None)) is not None:
            taken.append(row)
        return taken

    def give_back(self, rows: list[RowIn]) -> None:
        """Rows that had been handed over and had not begun."""
        self._again.extend(rows)

    def suspect(self, rows: list[RowIn]) -> None:
        """Rows that were in a host that died."""
        self.retried += len(rows)
        self.suspects.extend(rows)
        self.suspected.set()

    def rest(self) -> Iterator[RowIn]:
        """All that is left."""
        yield from self._again
        yield from self.suspects
        yield from self._rows


class Ledger:
    """Writes finished rows down, counts them, and says when going on makes no sense.

    Args:
        folder: Where lines go.
        done: Rows that have a completed outcome.
        tally: What they gave.
        brake: Pulled when a failure will meet every row, or a budget is spent.
        expected: Rows that shall run.
        budget: The most model calls, and the most dollars.
        redact: Takes secrets out of lines that are made here.
        on_rows: Told what came of each row that a host has finished.
        on_progress: Called now and then.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        done: RowSet,
        tally: Tally,
        brake: Brake,
        expected: int,
        budget: tuple[int | None, float | None],
        redact: Callable[[bytes], bytes],
        on_rows: Callable[[Sequence[Mapping[str, Any]]], None],
        on_progress: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._done = done
        self.tally = tally
        self._brake = brake
        self._early = EarlyStop(expected)
        self._budget = budget
        self._redact = redact
        self._on_rows = on_rows
        self._on_progress = on_progress
        self._last_told = 0.0
        self._sync: asyncio.TimerHandle | None = None

    def allowed(self, out: int) -> int | None:
        """How many rows may start while so many are out, if they cost what rows have cost so far; None for any."""
        calls, dollars = self._budget
        rows = self.tally.completed + self.tally.failed
        limits = []
        if calls is not None:
            limits.append((calls - self.tally.model_calls) / max(1.0, self.tally.model_calls / max(1, rows)))
        if dollars is not None:
            spent = self.tally.cost_usd or 0.0
            limits.append((dollars - spent) * rows / spent if spent else _FIRST_ROWS)
        return max(0, math.ceil(min(limits)) - out) if limits else None

    def take(self, outcomes: Outcomes) -> None:
        """Rows that a host has finished."""
        outcomes = self._without_repeats(outcomes)
        self._folder.append(outcomes.lines, outcomes.traces)
        self._sync = self._sync or asyncio.get_running_loop().call_later(_SYNC_AFTER_S, self._bring_to_disk)
        for header in outcomes.rows:
            self.tally.add(header)
            if (stop := self._early.see(header)) is not None:
                self._brake.pull(stop)
        self._on_rows(outcomes.rows)
        self._check_budget()
        now = monotonic()
        if now - self._last_told >= _TELL_EVERY_S:
            self._last_told = now
            self._on_progress()

    def fail(self, row: RowIn, kind: str, message: str) -> None:
        """A row that has no outcome of its own."""
        if not self._done.add(row[0]):
            return
        error = GenaiopsError(message, kind=kind).to_json()
        line = {
            "schema_version": 1,
            "row": row[0],
            "status": "failed",
            "inputs": row[1],
            "outputs": {},
            "error": error,
            "nodes": {},
            "duration_s": 0.0,
            "tokens": {"input": 0, "output": 0, "cached": 0},
        }
        text = json.dumps(line, separators=(",", ":"), default=str) + "\n"
        self._folder.append(self._redact(text.encode()), b"")
        self.tally.add({"row": row[0], "ok": False, "calls": 0, "kept": 0, "tokens": [0, 0, 0], "error": error})

    def _bring_to_disk(self) -> None:
        self._sync = None
        self._folder.sync()

    def _without_repeats(self, outcomes: Outcomes) -> Outcomes:
        """Leave out rows that are written down already: a host that was given up may still have finished them."""
        fresh = [self._done.add(header["row"]) for header in outcomes.rows]
        if all(fresh):
            return outcomes
        lines = outcomes.lines.splitlines(keepends=True)
        kept = b"".join(line for line, is_fresh in zip(lines, fresh, strict=True) if is_fresh)
        headers = [header for header, is_fresh in zip(outcomes.rows, fresh, strict=True) if is_fresh]
        return Outcomes(headers, kept, outcomes.traces)

    def _check_budget(self) -> None:
        calls, dollars = self._budget
        spent = self.tally.cost_usd or 0.0
        if calls is not None and self.tally.model_calls >= calls:
            text = f"{self.tally.model_calls} model calls were made; {calls} are allowed."
            self._brake.pull(Stop("budget", text, drain=True))
        if dollars is not None and spent >= dollars:
            self._brake.pull(Stop("budget", f"${spent:.4f} were spent; ${dollars:g} are allowed.", drain=True))


class MainSupply:
    """All rows, for the lanes of a run."""

    def __init__(self, queue: RowQueue, ledger: Ledger, brake: Brake) -> None:
        self._queue = queue
        self._ledger = ledger
        self._brake = brake
        # Rows that lanes have and nobody has heard of since.
        self._out = 0

    @property
    def stop(self) -> Stop | None:
        """Why no more rows start."""
        return self._brake.stop

    def take(self, count: int) -> list[RowIn]:
        """Rows to run, up to so many."""
        if self._brake.stop is not None:
            return []
        allowed = self._ledger.allowed(self._out)
        rows = self._queue.take(count if allowed is None else min(count, allowed))
        self._out += len(rows)
        return rows

    def done(self, outcomes: Outcomes) -> None:
        """Rows have finished."""
        self._out -= len(outcomes.rows)
        self._ledger.take(outcomes)

    def fail(self, row: RowIn, kind: str, message: str) -> None:
        """A row has no outcome of its own."""
        self._ledger.fail(row, kind, message)

    def suspect(self, rows: list[RowIn]) -> None:
        """These rows were in a host that died."""
        self._out -= len(rows)
        self._queue.suspect(rows)

    def give_back(self, rows: list[RowIn]) -> None:
        """These rows had not begun."""
        self._out -= len(rows)
        self._queue.give_back(rows)

    def end(self, stop: Stop) -> None:
        """Go no further."""
        self._brake.pull(stop)


class SuspectSupply(MainSupply):
    """Rows that were in a host that died, for a lane that runs one at a time."""

    def take(self, count: int) -> list[RowIn]:
        """The next suspect."""
        suspects = self._queue.suspects
        return [suspects.popleft()] if suspects and count and self._brake.stop is None else []

    def give_back(self, rows: list[RowIn]) -> None:
        """These rows had not begun."""
        self._queue.suspects.extendleft(reversed(rows))
