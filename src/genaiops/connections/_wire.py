"""The protocol of OpenAI and Azure OpenAI over aiohttp: bytes out, bytes in, nothing tried twice.

The OpenAI SDK would add nothing that this room does not do itself (retries, deadlines, limits), and takes time for
it at the start of every process and in every call. Flows may use it as they like.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from genaiops.connections._base import Connection
from genaiops.connections._calls import model_endpoint
from genaiops.connections._dialect import Route, key_of, proxy_for, route_to
from genaiops.connections._entra import entra_token_provider
from genaiops.connections._events import EventData
from genaiops.connections._retry import WireError, status_error
from genaiops.records import record

if TYPE_CHECKING:
    import aiohttp

_CONNECT_S = 20.0
_KEEPALIVE_S = 60.0
_OK = 200
# After the last event nothing is worth waiting for, but a connection that was read to its end is used again.
_LAST_BYTES_S = 1.0
_DONE = "[DONE]"
_MOVED, _REDIRECTS = (307, 308), range(300, 400)
_THEIR_TROUBLE = frozenset({"server_error", "overloaded_error", "rate_limit_error", "timeout_error"})


@record(frozen=True, slots=True)
class WireReply:
    """A reply as it came."""

    body: dict[str, Any]
    headers: Mapping[str, str]


def load_transport() -> None:
    """Import what the first call would otherwise wait for."""
    import_module("aiohttp")


class OpenAIWire:
    """One pool of connections of one event loop, for all endpoints and credentials."""

    def __init__(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, ssl=_trust()),
            # Deadlines of tries are the caller's: a slow model is not a broken one.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._troubles = (aiohttp.ClientError, OSError, UnicodeError)
        self._routes: dict[tuple[Any, ...], Route] = {}
        self._token: Callable[[], Any] | None = None

    async def send(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> WireReply:
        """One try.

        Raises:
            WireError: It failed.
        """
        try:
            async with await self._open(connection, api, body, headers) as response:
                content = await response.read()
        except self._troubles as error:
            raise _trouble(error, connection) from error
        try:
            reply = json.loads(content)
        except ValueError as error:
            raise _no_reply(f"The reply is not JSON: {error}") from error
        if not isinstance(reply, dict):
            raise _no_reply("The reply is not a JSON object.")
        return WireReply(reply, response.headers)

    async def stream(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One try; the chunks as they come.

        Raises:
            WireError: It failed, before the first chunk or later.
        """
        headers = {"Accept": "text/event-stream", **(headers or {})}
        events = EventData()
        try:
            async with await self._open(connection, api, {**body, "stream": True}, headers) as response:
                async for piece in response.content.iter_any():
                    for data in events.feed(piece):
                        if data == _DONE:
                            await _read_to_the_end(response)
                            return
                        yield _chunk(data)
        except self._troubles as error:
            raise _trouble(error, connection) from error

    async def aclose(self) -> None:
        """Close the pool."""
        self._routes.clear()
        await self._session.close()

    async def _open(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> aiohttp.ClientResponse:
        """An answer that is a success, its body not yet read."""
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        key = (*key_of(connection), api, body.get("model"))
        route = self._routes.get(key) or route_to(connection, api, str(body.get("model") or ""))
        response = await self._post(route, content, headers)
        if response.status in _MOVED and (moved := _within_host(route, response.headers.get("Location", ""))):
            response.close()
            route = moved
            response = await self._post(route, content, headers)
        self._routes[key] = route
        if response.status != _OK:
            async with response:
                raise _refusal(response, await response.read())
        return response

    async def _post(self, route: Route, content: bytes, headers: Mapping[str, str] | None) -> aiohttp.ClientResponse:
        sent = route.headers
        if route.signs_in or headers:
            sent = {**sent, **(await self._signed_in() if route.signs_in else {}), **(headers or {})}
        return await self._session.post(route.url, data=content, headers=sent, proxy=route.proxy, allow_redirects=False)

    async def _signed_in(self) -> dict[str, str]:
        if self._token is None:
            self._token = entra_token_provider()
        return {"Authorization": f"Bearer {await self._token()}"}


def _trust() -> ssl.SSLContext | bool:
    """Whose certificates are trusted: those that the system trusts, or `SSL_CERT_FILE` names."""
    if sys.platform == "darwin":
        # OpenSSL knows nothing of the key chain there.
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True


def _within_host(route: Route, location: str) -> Route | None:
    """The route to where a redirect points; None when the key and the text would go to somebody else."""
    new = urljoin(route.url, location)
    before, after = urlsplit(route.url), urlsplit(new)
    is_same_host = after.hostname == before.hostname and after.scheme in (before.scheme, "https")
    return replace(route, url=new, proxy=proxy_for(new)) if location and is_same_host else None


async def _read_to_the_end(response: aiohttp.ClientResponse) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_BYTES_S):
            await response.content.read()


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError as error:
        raise _no_reply(f"The stream is not JSON: {error}") from error
    if not isinstance(chunk, dict):
        raise _no_reply("A chunk of the stream is not a JSON object.")
    trouble = chunk.get("error")
    if trouble:
        # The status was sent before the server knew; only its text can say whether another try may help.
        said = trouble.get("message") if isinstance(trouble, dict) else trouble
        is_theirs = isinstance(trouble, dict) and trouble.get("type") in _THEIR_TROUBLE
        raise WireError("server" if is_theirs else "permanent", str(said), name="APIError", body=chunk)
    return chunk


_STATUS_NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


def _refusal(response: aiohttp.ClientResponse, content: bytes) -> WireError:
    """An answer that is no success, named as the OpenAI SDK names it."""
    status = response.status
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    said = body if body is not None else content[:500].decode("utf-8", "replace")
    if status in _REDIRECTS:
        said = f"the address redirects to {response.headers.get('Location')!r}; set that in the connection"
    name = _STATUS_NAMES.get(status) or ("InternalServerError" if status >= 500 else "APIStatusError")
    return status_error(status, f"Error code: {status} - {said}", name=name, headers=response.headers, body=body)


def _no_reply(said: str) -> WireError:
    return WireError("body", said, name="APIResponseValidationError")


def _trouble(error: Exception, connection: Connection) -> WireError:
    """No answer: what the transport says about why."""
    import aiohttp

    last = f"({type(error).__name__}: {error})"
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | UnicodeError):
        said = f"{model_endpoint(connection)!r} is not an address that can be asked: expected http(s):// and a host."
        return WireError("permanent", said, name="APIConnectionError")
    if isinstance(error, aiohttp.ClientConnectorError):
        return WireError("unreachable", f"The address cannot be reached {last}.", name="APIConnectionError")
    if isinstance(error, TimeoutError):
        return WireError("timeout", f"Request timed out. {last}", name="APITimeoutError")
    return WireError("connection", f"Connection error. {last}", name="APIConnectionError")
