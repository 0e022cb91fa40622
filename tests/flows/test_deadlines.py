"""Time limits. The second implementation is `asyncio.timeout`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from genaiops.flows._deadlines import Deadlines


async def limited(seconds: float, work: Callable[[], Awaitable[object]], deadlines: Deadlines) -> tuple[str, bool]:
    limit = deadlines.after(seconds)
    try:
        with limit:
            await work()
    except BaseException as error:
        return type(error).__name__, limit.expired
    return "done", limit.expired


async def limited_by_asyncio(seconds: float, work: Callable[[], Awaitable[object]]) -> tuple[str, bool]:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await work()
    except BaseException as error:
        return type(error).__name__, limit.expired()
    return "done", limit.expired()


async def sleep_long() -> None:
    await asyncio.sleep(30)


async def fail() -> None:
    raise ValueError


async def fail_like_a_timeout() -> None:
    raise TimeoutError


async def swallow_the_end() -> None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return


async def answer_the_end_with_an_error() -> None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        raise ValueError from None


async def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def cancel_itself_when_over() -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        task.cancel()
        raise


@pytest.mark.parametrize(
    "work",
    [
        lambda: asyncio.sleep(0),
        sleep_long,
        fail,
        fail_like_a_timeout,
        swallow_the_end,
        answer_the_end_with_an_error,
        cancel_itself,
        cancel_itself_when_over,
    ],
)
def test_a_deadline_ends_what_asyncio_ends(work: Callable[[], Awaitable[object]]) -> None:
    async def main() -> list[object]:
        ours, theirs = limited(0.01, work, Deadlines()), limited_by_asyncio(0.01, work)
        results = await asyncio.gather(ours, theirs, return_exceptions=True)
        return [type(result) if isinstance(result, BaseException) else result for result in results]

    found, expected = asyncio.run(main())

    assert found == expected


def test_each_of_many_has_its_own_time() -> None:
    async def main() -> tuple[list[tuple[str, bool]], float]:
        deadlines, loop = Deadlines(), asyncio.get_running_loop()
        started = loop.time()
        times = [(20, 0.0), (0.2, 30), (0.05, 30), (20, 0.1), (0.1, 30), (20, 0.3)]
        found = await asyncio.gather(
            *(limited(seconds, lambda wait_s=wait_s: asyncio.sleep(wait_s), deadlines) for seconds, wait_s in times)
        )
        return found, loop.time() - started

    found, took_s = asyncio.run(main())

    over, done = ("TimeoutError", True), ("done", False)
    assert found == [done, over, over, done, over, done]
    assert 0.3 <= took_s < 5


def test_a_deadline_holds_after_others_were_met() -> None:
    async def main() -> list[tuple[str, bool]]:
        deadlines = Deadlines()
        met = [await limited(0.05, lambda: asyncio.sleep(0), deadlines) for _ in range(3)]
        await asyncio.sleep(0.1)  # the timer of those that were met goes off
        return [*met, await limited(0.01, sleep_long, deadlines)]

    assert asyncio.run(main()) == [("done", False)] * 3 + [("TimeoutError", True)]


def test_deadlines_serve_one_loop_after_another() -> None:
    deadlines = Deadlines()

    found = [asyncio.run(limited(0.01, sleep_long, deadlines)) for _ in range(2)]
    asyncio.run(limited(30, lambda: asyncio.sleep(0), deadlines))  # leaves a timer of a loop that is gone
    found.append(asyncio.run(limited(0.01, sleep_long, deadlines)))

    assert found == [("TimeoutError", True)] * 3
