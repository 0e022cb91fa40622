"""Threads for user code: one that does not come back is replaced, and its replacement is no thread too many."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from genaiops.flows import WorkerThreads


def test_threads_that_come_back_late_leave_no_more_threads_than_there_were() -> None:
    async def main() -> tuple[list[int], int]:
        threads, seen, name = WorkerThreads(2, "late"), [], "late"
        for _ in range(5):
            gate = threading.Event()
            for _ in range(2):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(threads.run(gate.wait, 10), 0.05)
            seen.append(threads.stuck)
            assert await asyncio.wait_for(threads.run(lambda: "answered"), 5) == "answered"
            gate.set()
            deadline = time.monotonic() + 5
            while threads.stuck and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            seen.append(threads.stuck)
        alive = sum(thread.name.startswith(name) for thread in threading.enumerate())
        threads.close()
        return seen, alive

    seen, alive = asyncio.run(main())

    assert seen == [2, 0] * 5
    assert alive <= 4, "two of its own, two in the place of those that were stuck at a time"


def test_threads_are_made_for_jobs_that_are_under_way_and_not_for_each_one_that_comes() -> None:
    """Whoever waits for a job hears of its end a moment before its thread is free: two threads for each, at most."""
    width = 4

    async def main() -> int:
        threads, name = WorkerThreads(100, "few"), "few"
        for _ in range(200):
            await asyncio.gather(*(threads.run(time.sleep, 0.0005) for _ in range(width)))
        alive = sum(thread.name.startswith(name) for thread in threading.enumerate())
        threads.close()
        return alive

    assert asyncio.run(main()) <= 2 * width
