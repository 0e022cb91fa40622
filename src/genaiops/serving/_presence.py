"""Whether the client of a request is still there: work that nobody waits for is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


class Presence:
    """The client at the other end of a connection; whoever works for it is told when it leaves."""

    __slots__ = ("_tell", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        # A connection has one request at a time.
        self._tell: Callable[[], object] | None = None

    def leave(self) -> None:
        """The connection is closed."""
        self.has_left = True
        if self._tell is not None:
            self._tell()

    def watch(self, tell: Callable[[], object] | None) -> None:
        """Who is told when the client leaves; at once, when it has left."""
        self._tell = tell
        if tell is not None and self.has_left:
            tell()


def presence_of(scope: Any) -> Presence:
    """The client of a request; one that never leaves, where the server's connections do not tell."""
    found = (scope.get("state") or {}).get("presence")
    return found if isinstance(found, Presence) else Presence()


class CancelledWhenClientLeaves:
    """A client that leaves cancels what this task does inside.

    Raises:
        ClientGone: It left.
    """

    __slots__ = ("_presence", "_task")

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._presence.watch(self._task.cancel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._presence.watch(None)
        if self._presence.has_left and isinstance(error, asyncio.CancelledError):
            assert self._task is not None
            self._task.uncancel()
            raise ClientGone from None
