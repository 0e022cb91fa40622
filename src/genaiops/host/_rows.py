"""Running the rows of one plan: side by side on the loop, or on threads when the flow is plain Python."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import traceback
from collections import deque
from contextvars import copy_context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from genaiops.host._prints import SEPARATOR, current_row

if TYPE_CHECKING:
    from genaiops.flows import Outcome, Plan
    from genaiops.host._outbox import Outbox

# What comes in for a row: its number and its inputs.
RowIn = list[Any]
TICK_S = 0.01
IDLE_S = 0.25
# A row that takes longer than this waits for something or works hard: another thread may start beside it.
SLOW_S = 0.01
_WORKER = "genaiops-rows"


class RowRunner(Protocol):
    """Runs rows and puts their outcomes into the outbox."""

    def add(self, rows: list[RowIn]) -> None:
        """Rows to run. Called from any thread."""

    @property
    def is_busy(self) -> bool:
        """Some row has come in and has not been written yet."""

    def drop_waiting(self) -> list[int]:
        """Forget rows that have not begun; their numbers."""

    def tick(self) -> None:
        """Look after rows that take long; called often, on the loop."""

    def close(self) -> None:
        """Start nothing more."""


class ThreadRows:
    """Rows of a flow that needs no event loop.

    One thread serves rows that take well under a millisecond best; while a row takes longer, more threads start, up to
    the limit. A thread that hangs in a row past its time is left behind and another takes its place.
    """

    def __init__(self, plan: Plan, outbox: Outbox, *, number: int, limit: int, timeout_s: float | None, repeat: int):
        self._plan = plan
        self._outbox = outbox
        self._number = number
        self._limit = limit
        self._timeout_s = timeout_s
        self._repeat = repeat
        self._queue: SimpleQueue[RowIn | None] = SimpleQueue()
        self._threads: list[_RowThread] = []
        self._closed = False

    def add(self, rows: list[RowIn]) -> None:
        """Rows to run."""
        for row in rows:
            self._queue.put(row)
        if not self._threads:
            self._start_thread()

    @property
    def is_busy(self) -> bool:
        """Some row has come in and has not been written yet."""
        return not self._queue.empty() or any(thread.busy_s(0) for thread in self._threads) or self._outbox.is_filled

    def drop_waiting(self) -> list[int]:
        """Forget rows that have not begun."""
        dropped: list[int] = []
        with contextlib.suppress(Empty):
            while (row := self._queue.get_nowait()) is not None:
                dropped.append(row[0])
        return dropped

    def tick(self) -> None:
        """Add threads while rows are slow, give up on rows whose time is over."""
        now = monotonic()
        slow = 0
        for thread in list(self._threads):
            busy = thread.busy_s(now)
            if self._timeout_s is not None and busy > self._timeout_s and (row := thread.abandon()) is not None:
                self._threads.remove(thread)
                self._outbox.put(timed_out(row, self._timeout_s), stuck=True, at_once=True)
                self._start_thread()
            elif busy > SLOW_S:
                slow += 1
        if slow == len(self._threads) and not self._queue.empty():
            for _ in range(min(max(1, slow), self._limit - len(self._threads))):
                self._start_thread()
        self._outbox.flush()

    def close(self) -> None:
        """Let the threads end."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)

    def _start_thread(self) -> None:
        if not self._closed:
            thread = _RowThread(self._plan, self._queue, self._outbox, number=self._number, repeat=self._repeat)
            self._threads.append(thread)
            thread.start()


class _RowThread(threading.Thread):
    """Takes rows from a queue and runs them, one after the other."""

    def __init__(
        self, plan: Plan, rows: SimpleQueue[RowIn | None], outbox: Outbox, *, number: int, repeat: int
    ) -> None:
        super().__init__(name=_WORKER, daemon=True)
        self._plan = plan
        self._rows = rows
        self._outbox = outbox
        self._number = number
        self._repeat = repeat
        # Holds the row that runs and when it began; whoever takes it out owns the row's outcome.
        self._current: list[tuple[RowIn, float]] = []

    def busy_s(self, now: float) -> float:
        """How long the current row has run; 0 without one."""
        try:
            return now - self._current[0][1]
        except IndexError:
            return 0.0

    def abandon(self) -> RowIn | None:
        """Take the current row away from a thread that hangs in it; it ends as soon as it comes back."""
        try:
            return self._current.pop()[0]
        except IndexError:
            return None

    def run(self) -> None:
        while (row := self._rows.get()) is not None:
            self._current.append((row, monotonic()))
            # A context for each row, so that what flow code sets in its context ends with the row.
            outcome = copy_context().run(self._run_row, row)
            if self.abandon() is None:
                return
            self._outbox.put(outcome, at_once=self._rows.empty())

    def _run_row(self, row: RowIn) -> Outcome:
        current_row.set(f"{self._number}{SEPARATOR}{row[0]}")
        started = monotonic()
        try:
            outcome = self._plan.run_now(row[1], row=row[0], repeat=self._repeat)
        except BaseException as error:  # noqa: BLE001 - `sys.exit()` in a tool fails its row, not the run
            outcome = crashed(row, error)
        outcome.duration_s = outcome.duration_s or monotonic() - started
        return outcome


class LoopRows:
    """Rows of a flow that awaits something, side by side on the event loop."""

    def __init__(
        self,
        plan: Plan,
        outbox: Outbox,
        loop: asyncio.AbstractEventLoop,
        *,
        number: int,
        limit: int,
        timeout_s: float | None,
        repeat: int,
    ) -> None:
        self._plan = plan
        self._outbox = outbox
        self._loop = loop
        self._number = number
        self._limit = limit
        self._timeout_s = timeout_s
        self._repeat = repeat
        self._waiting: deque[RowIn] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, rows: list[RowIn]) -> None:
        """Rows to run."""
        self._loop.call_soon_threadsafe(self._add, rows)

    @property
    def is_busy(self) -> bool:
        """Some row has come in and has not been written yet."""
        return bool(self._waiting or self._tasks or self._outbox.is_filled)

    def drop_waiting(self) -> list[int]:
        """Forget rows that have not begun."""
        dropped = [row[0] for row in self._waiting]
        self._waiting.clear()
        return dropped

    def tick(self) -> None:
        """Write what has waited long enough."""
        self._outbox.flush()

    def close(self) -> None:
        """Cancel what runs."""
        self._closed = True
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    def _add(self, rows: list[RowIn]) -> None:
        self._waiting.extend(rows)
        self._start_more()

    def _start_more(self) -> None:
        while self._waiting and len(self._tasks) < self._limit and not self._closed:
            task = self._loop.create_task(self._run_row(self._waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start_more()
        if not self._tasks:
            self._outbox.flush()

    async def _run_row(self, row: RowIn) -> None:
        current_row.set(f"{self._number}{SEPARATOR}{row[0]}")
        try:
            outcome = await self._plan.run(row[1], row=row[0], repeat=self._repeat, timeout_s=self._timeout_s)
        except asyncio.CancelledError:
            if self._closed:
                raise
            outcome = crashed(row, RuntimeError("The flow cancelled its own task."))
        except BaseException as error:  # noqa: BLE001 - `sys.exit()` in a tool fails its row, not the run
            outcome = crashed(row, error)
        self._outbox.put(outcome, stuck=is_timeout(outcome) and has_busy_worker())


def timed_out(row: RowIn, timeout_s: float) -> Outcome:
    """The outcome of a row that a thread hangs in."""
    from genaiops.errors import RowError
    from genaiops.flows import Outcome

    error = RowError(
        f"Line {row[0]} execution timeout for exceeding {timeout_s:g} seconds.", kind="LineExecutionTimeoutError"
    )
    return Outcome(row[0], "failed", dict(row[1]), {}, error=error.to_json(), duration_s=timeout_s)


def crashed(row: RowIn, error: BaseException) -> Outcome:
    """The outcome of a row that the engine itself gave up on, or that wanted to end the process."""
    from genaiops.flows import Outcome

    name = type(error).__name__
    form = {
        "kind": "ScriptExecutionError" if isinstance(error, SystemExit | KeyboardInterrupt) else "UnexpectedError",
        "type": name,
        "message": f"({name}) {error}",
        "node": None,
        "file": None,
        "line": None,
        "hint": None,
        "traceback": "".join(traceback.format_exception(error)),
    }
    return Outcome(row[0], "failed", dict(row[1]), {}, error=form)


def is_timeout(outcome: Outcome) -> bool:
    """Whether the row's time was over."""
    return outcome.error is not None and outcome.error.get("kind") == "LineExecutionTimeoutError"


def has_busy_worker() -> bool:
    """Whether some thread of the engine is inside of user code, perhaps for ever."""
    workers = {thread.ident for thread in threading.enumerate() if thread.name.startswith("genaiops-worker")}
    return any(frame.f_code.co_name != "_work" for ident, frame in sys._current_frames().items() if ident in workers)
