"""The OpenAI SDK as the wire: bytes out, bytes in, its own retries off, its pydantic models never built.

The SDK prepares the first request of each kind (address, headers, credential); the next ones of that kind go out on
its HTTP client with the same address and headers. CPU a call on loopback, one quiet core: `chat.completions.create`
3.4 ms on httpx2 and 1.9 ms on aiohttp, the SDK's low-level `post` with the raw response 0.9 ms, its HTTP client alone
0.4 ms. Streams, calls with headers of their own and sign-in by token take the SDK's `post` every time.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genaiops import __version__
from genaiops.connections._base import Connection
from genaiops.connections._calls import PATHS, model_endpoint
from genaiops.connections._entra import entra_token_provider
from genaiops.connections._retry import WireError, status_error
from genaiops.connections._sdk import load_sdk
from genaiops.connections._types import AUTH_ENTRA, AzureOpenAIConnection

if TYPE_CHECKING:
    from types import ModuleType

_CONNECT_S = 20.0
_CONNECTIONS = 2000
_KEEPALIVE_S = 60.0


@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply as it came."""

    body: dict[str, Any]
    headers: Mapping[str, str]


class OpenAIWire:
    """Clients of the OpenAI SDK, one per endpoint and credential, on one pool of connections of one event loop."""

    def __init__(self) -> None:
        self._openai = openai = load_sdk()
        httpx = _httpx_of(openai)
        self._response_class = httpx.Response
        self._transport_errors = (httpx.TransportError, httpx.StreamError)
        self._prepared: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._http = _http_client(openai)
        self._clients: dict[tuple[Any, ...], Any] = {}

    async def send(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> WireReply:
        """One try.

        Raises:
            WireError: It failed.
        """
        response = await self._post(connection, api, body, headers)
        try:
            reply = json.loads(response.content)
        except ValueError as error:
            raise WireError("body", f"The reply is not JSON: {error}", name="APIResponseValidationError") from error
        if not isinstance(reply, dict):
            raise WireError("body", "The reply is not a JSON object.", name="APIResponseValidationError")
        return WireReply(reply, response.headers)

    async def _post(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> Any:
        client = self._client(connection)
        kind = (id(client), api, body.get("model"))
        prepared = None if headers else self._prepared.get(kind)
        if prepared is not None:
            url, same_headers = prepared
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            try:
                response = await self._http.post(url, content=content, headers=same_headers, follow_redirects=False)
            except self._transport_errors as error:
                raise _connection_error(error, str(error)) from error
            if response.status_code == _OK:
                return response
            if not response.is_redirect:
                raise _refusal(response)
        options = {"headers": dict(headers)} if headers else {}
        try:
            response = await client.post(PATHS[api], body=dict(body), cast_to=self._response_class, options=options)
        except self._openai.OpenAIError as error:
            raise self._wire_error(error) from error
        if not headers and not response.history and connection.get("auth_mode") != AUTH_ENTRA:
            self._prepared[kind] = (response.request.url, _without_length(response.request.headers))
        return response

    async def stream(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One try; the chunks as they come.

        Raises:
            WireError: It failed, before the first chunk or later.
        """
        client = self._client(connection)
        options = {"headers": dict(headers)} if headers else {}
        try:
            chunks = await client.post(
                PATHS[api],
                body=dict(body),
                cast_to=object,
                options=options,
                stream=True,
                stream_cls=self._openai.AsyncStream[object],
            )
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                await chunks.close()
        except self._openai.OpenAIError as error:
            raise self._wire_error(error) from error
        except ValueError as error:
            raise WireError("body", f"The stream is not JSON: {error}", name="APIResponseValidationError") from error
        except self._transport_errors as error:
            raise WireError("connection", f"The stream broke off: {error}", name="APIConnectionError") from error

    async def aclose(self) -> None:
        """Close the pool."""
        self._clients.clear()
        self._prepared.clear()
        await self._http.aclose()

    def _client(self, connection: Connection) -> Any:
        key = (type(connection), model_endpoint(connection), *map(str, connection.values()))
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self._make_client(connection)
        return client

    def _make_client(self, connection: Connection) -> Any:
        endpoint = model_endpoint(connection)
        common: dict[str, Any] = {
            "max_retries": 0,
            "http_client": self._http,
            "timeout": self._http.timeout,
            "default_headers": {"User-Agent": f"genaiops/{__version__}"},
        }
        uses_entra = connection.get("auth_mode") == AUTH_ENTRA
        credential: Any = entra_token_provider() if uses_entra else str(connection.get("api_key") or "none")
        # Newer Azure endpoints speak the plain protocol under /openai/v1.
        if isinstance(connection, AzureOpenAIConnection) and not endpoint.endswith("/v1"):
            by = {"azure_ad_token_provider": credential} if uses_entra else {"api_key": credential}
            client_class = _without_platform_headers(self._openai.AsyncAzureOpenAI)
            client = client_class(azure_endpoint=endpoint, api_version=str(connection.api_version), **by, **common)
        else:
            client = _without_platform_headers(self._openai.AsyncOpenAI)(
                base_url=endpoint, api_key=credential, **common
            )
        # The SDK would take these from the environment of the process.
        client.organization = connection.get("organization")
        client.project = None
        return client

    def _wire_error(self, error: Exception) -> WireError:
        if isinstance(error, self._openai.APIStatusError):
            return _refusal(error.response)
        if isinstance(error, self._openai.APIConnectionError):
            return _connection_error(error, str(error))
        return WireError("permanent", str(error), name=type(error).__name__)


_OK = 200
_STATUS_NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


def _refusal(response: Any) -> WireError:
    """An answer that is no success, named as the SDK names it."""
    status = int(response.status_code)
    try:
        body = json.loads(response.content)
    except (ValueError, RuntimeError):
        body = None
    said = body if body is not None else response.text[:500]
    name = _STATUS_NAMES.get(status) or ("InternalServerError" if status >= 500 else "APIStatusError")
    return status_error(status, f"Error code: {status} - {said}", name=name, headers=response.headers, body=body)


def _connection_error(error: Exception, said: str) -> WireError:
    """No answer: what the transport says about why."""
    causes = [error, *_causes(error)]
    last = f"({type(causes[-1]).__name__}: {causes[-1]})"
    names = {type(cause).__name__ for cause in causes}
    if names & {"ConnectError", "ClientConnectorError", "ClientConnectorDNSError"}:
        # The SDK and the transport would call this a timeout.
        return WireError("unreachable", f"The address cannot be reached {last}.", name="APIConnectionError")
    why = f"{said or 'Connection error.'} {last}"
    # The transport calls a connection that the server dropped a timeout too; aiohttp knows better.
    dropped = names & {"ServerDisconnectedError", "ClientOSError", "ReadError", "RemoteProtocolError"}
    if any("Timeout" in name for name in names) and not dropped:
        return WireError("timeout", why, name="APITimeoutError")
    return WireError("connection", why, name="APIConnectionError")


def _without_length(headers: Any) -> Any:
    kept = headers.copy()
    for name in ("content-length", "idempotency-key", "x-stainless-retry-count"):
        if name in kept:
            del kept[name]
    return kept


def _http_client(openai: ModuleType) -> Any:
    httpx = _httpx_of(openai)
    options = {
        "limits": httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_KEEPALIVE_S
        ),
        # Deadlines of tries are ours: a slow model is not a broken one.
        "timeout": httpx.Timeout(None, connect=_CONNECT_S),
    }
    try:
        return openai.DefaultAioHttpClient(**options)
    except RuntimeError:  # aiohttp is not installed: the same protocol at twice the CPU
        return openai.DefaultAsyncHttpxClient(**options)


def _httpx_of(openai: ModuleType) -> Any:
    """The HTTP library that this SDK stands on: `httpx`, or `httpx2` from 3.0 on. Both may be installed."""
    roots = [base.__module__.partition(".")[0] for base in openai.DefaultAsyncHttpxClient.__mro__]
    return import_module(next(root for root in roots if root.startswith("httpx")))


def _without_platform_headers(client_class: Any) -> Any:
    """The same client without headers about this machine: nothing but the request leaves it."""

    class Client(client_class):  # type: ignore[misc]
        def platform_headers(self) -> dict[str, str]:
            return {}

    return Client


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and len(found) < 5:
        found.append(cause)
        cause = cause.__cause__
    return found
