"""From bytes to flow inputs: size, time, JSON, and the fields that are missing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from genaiops.flows import InputDef
from genaiops.serving._errors import RequestRefused
from genaiops.serving._presence import ClientGone

Scope = MutableMapping[str, Any]
_HEADERS = "genaiops.headers"
_TYPES = re.compile(r"|application/(json|[a-z0-9.-]+\+json|x-www-form-urlencoded|octet-stream)|text/[a-z0-9.+-]+")

# Python's own limit is a thousand calls; what comes in must go through a flow and come out again below it.
MAX_DEPTH = 128
# What is read and thrown away of a body that was refused, so that its sender hears why.
_MAX_DISCARDED_BYTES, _DISCARD_S = 64 * 1024 * 1024, 5.0


def header(scope: Scope, name: bytes) -> str:
    """The header called `name` (lower case), or an empty text."""
    headers = scope.get(_HEADERS)
    if headers is None:
        # Several are asked for: a look-up each instead of a walk each.
        headers = scope[_HEADERS] = dict(scope["headers"])
    value = headers.get(name)
    return str(value.decode("latin-1")) if value is not None else ""


def check_content_type(scope: Scope) -> None:
    """Let bodies pass that may be JSON or text, as far as their headers tell.

    prompt flow's server reads any body as JSON, and clients rely on it: `curl -d` calls JSON a form.

    Raises:
        RequestRefused: It is something else, or compressed (415).
    """
    content_type = header(scope, b"content-type")
    if content_type != "application/json" and not _TYPES.fullmatch(content_type.partition(";")[0].strip().lower()):
        expected = "Expected application/json, or a text for a flow with one input."
        raise RequestRefused(415, f"The content type {content_type[:100]!r} cannot be read. {expected}")
    encoding = header(scope, b"content-encoding").lower()
    if encoding not in ("", "identity"):
        raise RequestRefused(415, f"The content encoding {encoding[:100]!r} cannot be read; send the body as it is.")


async def read_body(scope: Scope, receive: Any, *, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises:
        RequestRefused: It is too large (413) or comes too slowly (408).
        ClientGone: The connection was closed.
    """
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(int(declared), max_bytes)
    # Nearly every body came with its head: then there is nothing to wait for.
    is_whole = (scope.get("state") or {}).get("is_whole", False)
    first = _present(await receive()) if is_whole else await _receive(receive, timeout_s)
    if not first.get("more_body"):
        body: bytes = first.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(len(body), max_bytes)
        return body
    chunks, size = [first.get("body", b"")], len(first.get("body", b""))
    deadline = asyncio.get_running_loop().time() + timeout_s
    more = True
    while more:
        message = await _receive(receive, deadline - asyncio.get_running_loop().time())
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise _too_large(size, max_bytes)
        chunks.append(message.get("body", b""))
        more = bool(message.get("more_body"))
    return b"".join(chunks)


async def _receive(receive: Any, timeout_s: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout(max(timeout_s, 0)):
            message: dict[str, Any] = await receive()
    except TimeoutError as error:
        raise RequestRefused(408, "The body did not arrive in time.", headers={"Connection": "close"}) from error
    return _present(message)


def _present(message: dict[str, Any]) -> dict[str, Any]:
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def discard_body(receive: Any) -> None:
    """Take in the rest of a refused body: who is still sending would see a broken connection instead of the answer."""
    size = 0
    try:
        async with asyncio.timeout(_DISCARD_S):
            while size < _MAX_DISCARDED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _too_large(size: int, limit: int) -> RequestRefused:
    return RequestRefused(
        413, f"The body has {size} bytes or more; at most {limit} are accepted.", headers={"Connection": "close"}
    )


def inputs_of(body: bytes, inputs: Mapping[str, InputDef]) -> dict[str, Any]:
    """The flow inputs that a body of `/score` means.

    A flow without inputs takes any body. A body that is no JSON is the value of the only input, when there is just one.

    Raises:
        RequestRefused: The body is no JSON object, or inputs without a default are missing (400).
    """
    if not inputs:
        return {}
    values = _parse(body, inputs)
    missing = [name for name, definition in inputs.items() if name not in values and not definition.has_default]
    if missing:
        raise RequestRefused(
            400, f"Required input fields {missing} are missing in request data; found {sorted(map(str, values))}."
        )
    return values


def read_json(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        ValueError: It is none.
        RequestRefused: It is nested more deeply than any flow can use (400).
    """
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise _too_deep() from error
    # As many brackets as levels at least: most bodies need no look at their depth.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth_exceeds(data, MAX_DEPTH):
        raise _too_deep()
    return data


def _too_deep() -> RequestRefused:
    return RequestRefused(400, f"The JSON document is nested too deeply; at most {MAX_DEPTH} levels are accepted.")


def _depth_exceeds(data: Any, limit: int) -> bool:
    level = [data]
    for _ in range(limit):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _parse(body: bytes, inputs: Mapping[str, InputDef]) -> dict[str, Any]:
    try:
        data = read_json(body)
    except (ValueError, UnicodeDecodeError) as error:
        if len(inputs) == 1 and body:
            return {next(iter(inputs)): _text(body)}
        expected = ", ".join(inputs)
        raise RequestRefused(
            400, f"The body is not JSON ({_position(error)}). Expected a JSON object with the fields: {expected}."
        ) from error
    if not isinstance(data, dict):
        raise RequestRefused(
            400, f"Expected a JSON object with the fields {', '.join(inputs)}, found {_json_type(data)}."
        )
    return data


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefused(400, f"The body is neither JSON nor UTF-8 text (byte {error.start}).") from error


def _position(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "it is not UTF-8 text"


def _json_type(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)
