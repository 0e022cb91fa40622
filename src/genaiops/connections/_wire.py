"""The OpenAI SDK as the wire: bytes out, bytes in, its own retries off, its pydantic models never built.

Measured on loopback (CPU a call): `chat.completions.create` 1.9 ms on the aiohttp transport and 3.4 ms on httpx2;
the SDK's documented low-level `post` with the raw response 0.9 ms. So that is what is used.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genaiops import __version__
from genaiops.connections._base import Connection
from genaiops.connections._calls import PATHS, model_endpoint
from genaiops.connections._entra import entra_token_provider
from genaiops.connections._retry import WireError, status_error
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
        import openai

        self._openai: ModuleType = openai
        self._response_class = _response_class()
        self._http = _http_client(openai)
        self._clients: dict[tuple[Any, ...], Any] = {}

    async def send(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> WireReply:
        """One try.

        Raises:
            WireError: It failed.
        """
        client = self._client(connection)
        options = {"headers": dict(headers)} if headers else {}
        try:
            response = await client.post(PATHS[api], body=dict(body), cast_to=self._response_class, options=options)
        except self._openai.OpenAIError as error:
            raise self._wire_error(error) from error
        try:
            reply = json.loads(response.content)
        except ValueError as error:
            raise WireError("body", f"The reply is not JSON: {error}", name="APIResponseValidationError") from error
        if not isinstance(reply, dict):
            raise WireError("body", "The reply is not a JSON object.", name="APIResponseValidationError")
        return WireReply(reply, response.headers)

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
        except _transport_errors() as error:
            raise WireError("connection", f"The stream broke off: {error}", name="APIConnectionError") from error

    async def aclose(self) -> None:
        """Close the pool."""
        self._clients.clear()
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
        name = type(error).__name__
        if isinstance(error, self._openai.APIStatusError):
            body = error.body if isinstance(error.body, Mapping) else _json_or_none(error.response)
            return status_error(error.status_code, str(error), name=name, headers=error.response.headers, body=body)
        if isinstance(error, self._openai.APIConnectionError):
            causes = _causes(error)
            why = f"{error} ({type(causes[-1]).__name__}: {causes[-1]})" if causes else str(error)
            names = {type(cause).__name__ for cause in causes}
            # The transport calls a connection that the server dropped a timeout too; aiohttp knows better.
            if names & {"ConnectError", "ClientConnectorError", "ClientConnectorDNSError"}:
                return WireError("unreachable", why, name="APIConnectionError")
            dropped = names & {"ServerDisconnectedError", "ClientOSError", "ReadError", "RemoteProtocolError"}
            if isinstance(error, self._openai.APITimeoutError) and not dropped:
                return WireError("timeout", why, name=name)
            return WireError("connection", why, name="APIConnectionError")
        return WireError("permanent", str(error), name=name)


def _http_client(openai: ModuleType) -> Any:
    httpx = _httpx()
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


def _httpx() -> Any:
    try:
        import httpx2
    except ImportError:  # openai before 3.0
        import httpx as httpx2  # type: ignore[no-redef, import-not-found]
    return httpx2


def _response_class() -> Any:
    return _httpx().Response


def _transport_errors() -> tuple[type[BaseException], ...]:
    return (_httpx().TransportError, _httpx().StreamError)


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


def _json_or_none(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RuntimeError):
        return None
