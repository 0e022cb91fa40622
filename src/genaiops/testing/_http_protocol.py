"""The least HTTP/1.1 server that a stand-in needs: one protocol class on httptools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


@dataclass(slots=True)
class Request:
    """One request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """One answer: a body, or server-sent events, or a fault ("drop" answers nothing, "cut" stops half-way)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] | None = None
    fault: str = ""

    @classmethod
    def of_json(cls, status: int, value: Any) -> Reply:
        return cls(status=status, body=json.dumps(value).encode())

    @classmethod
    def of_error(cls, status: int, message: str, code: str, *, param: str | None = None) -> Reply:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        return cls.of_json(status, {"error": error})

    def cut(self) -> Reply:
        """The same answer, ending in the middle."""
        self.fault = "cut"
        return self

    def to_bytes(self) -> bytes:
        body, length = self.body, len(self.body)
        content_type = "application/json"
        if self.events is not None:
            content_type = "text/event-stream"
            body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in self.events)
            body += b"data: [DONE]\n\n"
            length = len(body)
        if self.fault == "cut":
            body = body[: len(body) // 2]
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Status')}",
            f"content-type: {content_type}",
            f"content-length: {length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class HttpProtocol(asyncio.Protocol):
    """Reads requests of one connection and writes the answers in order."""

    def __init__(self, answer: Callable[[Request], Awaitable[Reply]], registry: set[HttpProtocol]) -> None:
        self._answer = answer
        self._registry = registry
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin()

    def _begin(self) -> None:
        self._target, self._headers, self._body = b"", {}, bytearray()

    _headers: dict[str, str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._registry.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._registry.discard(self)
        self._transport = None
        for task in self._tasks:
            task.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    # Called by httptools.

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        request = Request(method, self._target.decode("latin-1"), self._headers, bytes(self._body))
        self._begin()
        task = asyncio.get_running_loop().create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: Request) -> None:
        reply = await self._answer(request)
        transport = self._transport
        if transport is None:
            return
        if reply.fault == "drop":
            transport.abort()
            return
        transport.write(reply.to_bytes())
        if reply.fault == "cut":
            transport.close()
