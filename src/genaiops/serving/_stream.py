"""Server-sent events: an answer that is sent while it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from genaiops.serving._responses import encode
from genaiops.serving._service import Service

log = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Proxies such as nginx would otherwise collect the events and send them at the end.
    (b"x-accel-buffering", b"no"),
]
_END = object()


def is_stream(value: Any) -> bool:
    """Whether an output is made piece by piece."""
    return isinstance(value, Iterator | AsyncIterator)


async def pieces(stream: Any) -> AsyncIterator[Any]:
    """The pieces of a plain or async generator; a plain one is advanced in a thread."""
    if isinstance(stream, AsyncIterator):
        async for piece in stream:
            yield piece
        return
    while True:
        piece = await asyncio.to_thread(next, stream, _END)
        if piece is _END:
            return
        yield piece


async def close(stream: Any) -> None:
    """Stop a generator, so that the model call behind it ends."""
    if hasattr(stream, "aclose"):
        await stream.aclose()
    elif hasattr(stream, "close"):
        try:
            stream.close()
        except ValueError:
            # It is running in a thread right now; it ends when that step ends.
            log.debug("a generator was still running when its client left")


class EventWriter:
    """Writes events to one connection until the stream ends, the client leaves or the server closes."""

    def __init__(self, service: Service, receive: Any, send: Any, *, request_id: str) -> None:
        self._service = service
        self._receive = receive
        self._send = send
        self._request_id = request_id

    async def start(self) -> None:
        """Send the head of the answer."""
        headers = [*HEADERS, (b"x-request-id", self._request_id.encode("latin-1"))]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, data: bytes, name: str | None = None) -> None:
        """Send one event."""
        head = f"event: {name}\n".encode() if name else b""
        await self._send({"type": "http.response.body", "body": head + b"data: " + data + b"\n\n", "more_body": True})

    async def finish(self) -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": b""})

    async def relay(self, stream: Any, shape: Any) -> bool:
        """Send each piece as an event; `shape` gives its bytes.

        Returns:
            Whether the stream came to its own end. When the server closes first, a last event says so.
        """
        left = asyncio.ensure_future(_client_leaves(self._receive))
        closing = asyncio.ensure_future(self._service.closing.wait())
        iterator = aiter(pieces(stream))
        try:
            while True:
                step = asyncio.ensure_future(anext(iterator, _END))
                await asyncio.wait({step, left, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not step.done():
                    step.cancel()
                    await asyncio.gather(step, return_exceptions=True)
                    if closing.done():
                        await self.event(encode({"message": "The server is shutting down."}), "end")
                    return False
                piece = step.result()
                if piece is _END:
                    return True
                await self.event(shape(piece))
        finally:
            left.cancel()
            closing.cancel()
            await close(stream)


async def _client_leaves(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
