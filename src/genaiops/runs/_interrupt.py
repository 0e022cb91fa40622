"""The synchronous face: run a coroutine to its end; Ctrl-C ends it cleanly, a second one at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, cast

Result = TypeVar("Result")


def run_sync(main: Callable[[], Awaitable[Result]], *, on_interrupt: Callable[[], None]) -> Result:
    """Run `main` on a loop of its own.

    In a notebook, where a loop runs already, it runs in a thread.

    Args:
        main: Makes the coroutine.
        on_interrupt: Called on the loop at the first Ctrl-C or SIGTERM; it must make `main` end soon.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(main, on_interrupt)
    found: list[Result] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            found.append(_run(main, on_interrupt))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=target, name="genaiops-run")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


async def in_thread(function: Callable[[], Result]) -> Result:
    """Run something that blocks, so that an interruption is heard meanwhile; nobody waits for it at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(Result, result))

    def target() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as failure:  # noqa: BLE001 - raised again where it is awaited
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=target, name="genaiops-reading", daemon=True).start()
    return await future


def _run(main: Callable[[], Awaitable[Result]], on_interrupt: Callable[[], None]) -> Result:
    with asyncio.Runner() as runner:

        async def whole() -> Result:
            with _signals(asyncio.get_running_loop(), on_interrupt):
                return await main()

        return runner.run(whole())


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `on_interrupt`; a second one raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def handle(number: int, frame: object) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)
        loop.call_soon_threadsafe(on_interrupt)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
