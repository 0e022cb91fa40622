"""Uvicorn's connections, with limits on clients that are slow or wordy on purpose: none holds a connection for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from genaiops.serving._presence import Presence
from genaiops.serving._service import Service

# Line and headers of a request. Servers in front of us take less: 8 KB and 60 KB are usual.
MAX_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%s"
)


def watched_protocol(service: Service) -> type:
    """The protocol of a server's connections.

    The head of a request must arrive in time (slow loris) and be of bounded size, and who is sent an answer must read
    it (slow read). Handlers find in `scope["state"]` who is `present` and whether the body `is_whole` already.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class WatchedProtocol(HttpToolsProtocol):
        """One connection."""

        _head_timer: asyncio.TimerHandle | None = None
        _stall_timer: asyncio.TimerHandle | None = None
        _head_bytes = 0
        _in_head = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._presence = Presence()
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            was_in_head = self._in_head
            super().data_received(data)
            if not self._in_head:
                return
            if was_in_head:
                self._head_bytes += len(data)  # the first piece may hold the end of an earlier body too
            # The second request of a connection may come as slowly as the first one.
            if self._head_timer is None:
                self._expect_head()
            if self._head_bytes > MAX_HEAD_BYTES:
                said = b"The head of the request is too large; at most %d bytes are accepted." % MAX_HEAD_BYTES
                self.transport.write(_TOO_LARGE % (len(said), said))
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["state"]["presence"] = self._presence
            self._in_head, self._head_bytes = True, 0

        def on_headers_complete(self) -> None:
            self._in_head = False
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
            super().on_headers_complete()
            if service.phase == "draining":
                # The client opens its next connection to a server that stays.
                self.cycle.keep_alive = False

        def on_message_complete(self) -> None:
            self.scope["state"]["is_whole"] = True
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            # Nothing is read at the other end: without this an answer would wait for ever, and so would its slot.
            self._stall_timer = self.loop.call_later(service.options.stall_timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            _cancel(self._stall_timer)
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._head_timer)
            _cancel(self._stall_timer)
            super().connection_lost(exc)
            self._presence.leave()

        def _expect_head(self) -> None:
            self._head_timer = self.loop.call_later(service.options.body_timeout_s, self.transport.close)

    return WatchedProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
