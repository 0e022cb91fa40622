"""Server-sent events: an answer that is sent while it is made."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from genaiops.flows import WorkerThreads
from genaiops.serving._presence import Presence
from genaiops.serving._responses import encode
from genaiops.serving._service import Service, StreamedRow

log = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Proxies such as nginx would otherwise collect the events and send them at the end.
    (b"x-accel-buffering", b"no"),
]
_END = object()
# Why a stream is cut short.
_LEFT, _CLOSING = "left", "closing"


async def pieces(stream: Any, threads: WorkerThreads) -> AsyncIterator[Any]:
    """The pieces of a plain or async generator; a plain one is advanced in a thread."""
    if isinstance(stream, AsyncIterator):
        async for piece in stream:
            yield piece
        return
    context = contextvars.copy_context()
    while True:
        piece = await threads.run(partial(context.run, next, stream, _END))
        if piece is _END:
            return
        yield piece


class StreamTooLong(Exception):
    """The deadline of the request passed while its answer was sent."""


class EventWriter:
    """Writes events to one connection until the stream ends, the client leaves or the server closes."""

    def __init__(self, service: Service, presence: Presence, send: Any, *, request_id: str) -> None:
        self._service = service
        self._presence = presence
        self._send = send
        self._request_id = request_id

    async def start(self) -> None:
        """Send the head of the answer."""
        headers = [*HEADERS, (b"x-request-id", self._request_id.encode("latin-1"))]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, data: bytes, name: str | None = None, *, retry_ms: int | None = None) -> None:
        """Send one event."""
        head = f"event: {name}\n".encode() if name else b""
        if retry_ms is not None:
            head += f"retry: {retry_ms}\n".encode()
        await self._send({"type": "http.response.body", "body": head + b"data: " + data + b"\n\n", "more_body": True})

    async def finish(self) -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": b""})

    async def relay(self, row: StreamedRow, name: str, shape: Callable[[Any], bytes]) -> bool:
        """Send each piece of the output `name` as an event; `shape` gives its bytes.

        Returns:
            Whether the stream came to its own end. When the server closes first, a last event says so.

        Raises:
            StreamTooLong: The request's deadline passed.
        """
        task = asyncio.current_task()
        assert task is not None
        why = ""

        def stop(reason: str) -> None:
            nonlocal why
            why = why or reason
            task.cancel()

        end_of_server = partial(stop, _CLOSING)
        self._service.streams.add(end_of_server)
        self._presence.watch(partial(stop, _LEFT))
        try:
            async with asyncio.timeout_at(row.deadline) as limit:
                async for piece in pieces(row.outcome.outputs[name], self._service.stream_threads):
                    row.say(name, piece)
                    await self.event(shape(piece))
            return True
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StreamTooLong(f"No answer within {self._service.options.deadline_s:g} s.") from error
        except asyncio.CancelledError:
            if not why:
                raise
            task.uncancel()
        finally:
            self._presence.watch(None)
            self._service.streams.discard(end_of_server)
        await self._end_early(row, why)
        return False

    async def _end_early(self, row: StreamedRow, why: str) -> None:
        if why == _LEFT:
            row.fail("The client left before the answer was complete.")
            self._service.metrics.disconnected += 1
            return
        row.fail("The server was shut down before the answer was complete.")
        # `retry` tells the client to come back at once: another server takes over.
        await self.event(encode({"message": "The server is shutting down."}), "end", retry_ms=1000)
