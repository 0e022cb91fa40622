"""Answers, written straight to the connection: most of a server's time is spent here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

JSON_TYPE = b"application/json"
# `json.dumps` would make one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(data: Any) -> bytes:
    """JSON as bytes; not-a-number has no JSON and becomes null."""
    try:
        text = _ENCODER.encode(data)
    except ValueError:
        text = _ENCODER.encode(_without_nan(data))
    return text.encode("utf-8", errors="replace")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value


async def send(
    send_message: Any,
    status: int,
    body: bytes,
    content_type: bytes = JSON_TYPE,
    headers: Mapping[str, str] | None = None,
) -> None:
    """One whole answer."""
    head = [(b"content-type", content_type), (b"content-length", str(len(body)).encode("ascii"))]
    if headers:
        head += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send_message({"type": "http.response.start", "status": status, "headers": head})
    await send_message({"type": "http.response.body", "body": body})


async def send_json(send_message: Any, status: int, data: Any, headers: Mapping[str, str] | None = None) -> None:
    """One JSON answer."""
    await send(send_message, status, encode(data), JSON_TYPE, headers)
