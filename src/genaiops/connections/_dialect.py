"""Where a call goes and which headers it carries: the dialects of OpenAI and of Azure OpenAI."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from genaiops import __version__
from genaiops.connections._base import Connection
from genaiops.connections._calls import PATHS, model_endpoint
from genaiops.connections._types import AUTH_ENTRA, AzureOpenAIConnection
from genaiops.records import record


@record(frozen=True, slots=True)
class Route:
    """One way to a model.

    Args:
        url: The whole address.
        headers: All but those of one call; holds the key.
        proxy: The address of the proxy in between, if there is one; may hold a password.
        signs_in: The key is a token of Microsoft Entra ID, asked for before each call.
    """

    url: str
    headers: dict[str, str]
    proxy: str | None
    signs_in: bool


def route_to(connection: Connection, api: str, model: str) -> Route:
    """The way to a model, as the connection gives it.

    Raises:
        ConnectionSettingsError: The connection does not lead to a model.
    """
    endpoint = model_endpoint(connection)
    signs_in = connection.get("auth_mode") == AUTH_ENTRA
    key = str(connection.get("api_key") or "none")
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"genaiops/{__version__}",
    }
    organization = connection.get("organization")
    if organization:
        headers["OpenAI-Organization"] = str(organization)
    # Newer Azure endpoints speak the plain dialect under /openai/v1.
    if isinstance(connection, AzureOpenAIConnection) and not endpoint.endswith("/v1"):
        deployment = f"/deployments/{quote(model, safe='')}" if model else ""
        version = urlencode({"api-version": str(connection.api_version)})
        url = f"{endpoint}/openai{deployment}{PATHS[api]}?{version}"
        key_header = {"api-key": key}
    else:
        url = endpoint + PATHS[api]
        key_header = {"Authorization": f"Bearer {key}"}
    return Route(url, headers if signs_in else headers | key_header, proxy_for(url), signs_in)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`, …) or the system sets for an address."""
    from urllib.request import getproxies  # brings an HTTP client, which only those need who call

    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or not parts.hostname or _goes_straight(parts.netloc.rpartition("@")[2], parts.hostname):
        return None
    return found if "://" in found else f"http://{found}"


def _goes_straight(host_and_port: str, host: str) -> bool:
    from urllib.request import proxy_bypass

    # With and without the port: a list of hosts may name either.
    return bool(proxy_bypass(host_and_port) or proxy_bypass(host))


def key_of(connection: Connection) -> tuple[Any, ...]:
    """What tells one connection's routes from another's."""
    return (type(connection), *map(str, connection.values()))
