"""Worker threads for user code: started when needed, never waited for at the end of the process.

The standard pool joins its threads when the interpreter ends, so that one hung tool would hang the command.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
Job = Callable[[], object]


class WorkerThreads:
    """Up to `size` daemon threads that run jobs in the order given.

    Args:
        size: How many threads may exist; jobs beyond that wait.
        name: What the threads are called.
    """

    def __init__(self, size: int, name: str = "genaiops-worker") -> None:
        self._size = max(1, size)
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._load = 0  # jobs that wait or run
        self.stuck = 0  # threads that run a function nobody waits for any more

    def submit(self, job: Job) -> None:
        """Run `job` on a thread; what it returns or raises is nobody's concern."""
        with self._lock:
            self._load += 1
            if self._threads < min(self._load, self._size):
                self._start()
        self._jobs.put(job)

    async def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """Run a function on a thread, in a copy of the current context, and wait for it.

        When the waiting task is cancelled, a function that has begun goes on (`is_left` tells it) and its thread is
        replaced until it is back; one that has not begun never will.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        context = copy_context()
        # Who takes the first decides whether it begins; the second, whether it ended before it was left.
        turn, awaited = [True], [True]

        def job() -> None:
            if not take_turn(turn):
                return
            _here.awaited = awaited
            try:
                result = context.run(function, *args)
            except BaseException as error:  # noqa: BLE001 - handed to the waiting task, whatever it is
                _hand_over(loop, future, None, error)
            else:
                _hand_over(loop, future, result, None)
            _here.awaited = None
            if not take_turn(awaited):
                self._come_back()

        self.submit(job)
        try:
            return await future
        except asyncio.CancelledError:
            if not take_turn(turn) and take_turn(awaited):
                self._replace_one()
            raise

    def _replace_one(self) -> None:
        """Allow one thread more, in the place of one that is stuck."""
        with self._lock:
            self.stuck += 1
            self._size += 1
            if self._threads < self._load:
                self._start()

    def _come_back(self) -> None:
        """A thread that was stuck has come back; the one in its place may stay as a spare."""
        with self._lock:
            self.stuck -= 1
            self._size -= 1

    def _start(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end when they have nothing to do; those that hang are left alone."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()
            del job
            with self._lock:
                self._load -= 1


_here = threading.local()


def is_left() -> bool:
    """Whether nobody waits any more for the function that runs on this thread: it may as well stop."""
    awaited = getattr(_here, "awaited", None)
    return awaited is not None and not awaited


def take_turn(turn: list[bool]) -> bool:
    """True for the first who asks, on any thread: popping a list is one step for the interpreter."""
    try:
        return turn.pop()
    except IndexError:
        return False


def _hand_over(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    result: Any,
    error: BaseException | None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return  # the loop has been closed: nobody waits any more
