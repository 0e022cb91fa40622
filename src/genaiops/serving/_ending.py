"""A server that is told to end: in order and with exit code 0, at whatever moment of its life that is.

While it starts, a signal ends the process where it stands: an exception could be lost in a finalizer or an import, and
there are only children to let go of. Once its loop runs, a signal is an event.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import asyncio

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Start:
    """A server that is starting: whether it has been told to end, and what has to be done then."""

    def __init__(self) -> None:
        self.is_told = False
        self.must_wait = False
        self.must_unwind = False
        self.children: Callable[[], None] = lambda: None

    def told(self, *_: object) -> None:
        """SIGTERM or Ctrl-C."""
        self.is_told = True
        if self.must_unwind:
            raise SystemExit(0)
        if not self.must_wait:
            self.leave()

    def leave(self) -> NoReturn:
        """End here and now."""
        self.children()
        os._exit(0)


_start = _Start()


def end_when_told() -> None:
    """From now on SIGTERM and Ctrl-C end this process at once, and the children that are known with it."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _start.told)


def end_through_loop(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    """From now on SIGTERM and Ctrl-C call `end` on the loop.

    `loop.add_signal_handler` would let go of the signals when the loop is closed, before the process has ended.
    """

    def tell(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process is ending
            loop.call_soon_threadsafe(end)

    for number in _SIGNALS:
        signal.signal(number, tell)


@contextlib.contextmanager
def begetting(children: Callable[[], None]) -> Iterator[None]:
    """A signal waits until the children that are started here are known.

    Args:
        children: Ends them, from now on.
    """
    _start.must_wait = True
    _start.children = children
    try:
        yield
    finally:
        _start.must_wait = False
        if _start.is_told:
            _start.leave()


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """A signal is an exception here: what runs has children of its own, and ends them on its way out."""
    _start.must_unwind = True
    try:
        yield
    finally:
        _start.must_unwind = False
    if _start.is_told:
        _start.leave()
