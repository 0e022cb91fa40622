"""Download of images from public hosts only.

A URL in a dataset or a request must not make this machine read its own network. Each hop is resolved once, refused
unless every address is public, and the connection goes to the address that was looked at, so a name that changes its
address in between gains nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urljoin, urlsplit

from genaiops.prompts._errors import PromptError

TIMEOUT_S = 20.0
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def is_public_address(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # An IPv4 address inside an IPv6 one is reached as itself.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def download_image(
    url: str,
    max_bytes: int,
    *,
    is_allowed: Callable[[str], bool] = is_public_address,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """The bytes behind an http(s) URL.

    Args:
        url: Redirects are followed, each looked at like the first.
        max_bytes: More is refused.
        is_allowed: Whether an IP address may be asked.
        timeout_s: For each step on the network.

    Raises:
        PromptError: It may not be asked, does not answer with 200, or is too large (kind `InvalidImageInput`).
    """
    try:
        return _follow(url, max_bytes, is_allowed, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refused(url, f"{type(error).__name__}: {error}") from error


def _follow(url: str, max_bytes: int, is_allowed: Callable[[str], bool], timeout_s: float) -> bytes:
    at = url
    for _ in range(MAX_REDIRECTS + 1):
        with _answer(at, is_allowed, timeout_s) as answer:
            location = answer.getheader("Location")
            if answer.status in _REDIRECTS and location:
                at = urljoin(at, location)
                continue
            if answer.status != 200:
                raise _refused(url, f"the server answered {answer.status}")
            content = answer.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise _refused(url, f"it is larger than {max_bytes:,} bytes")
            return content
    raise _refused(url, f"more than {MAX_REDIRECTS} redirects")


@contextlib.contextmanager
def _answer(url: str, is_allowed: Callable[[str], bool], timeout_s: float) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(url, "only http and https URLs are downloaded")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with contextlib.closing(
        _connection(parts, _address(url, parts.hostname, port, is_allowed), port, timeout_s)
    ) as way:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        way.request("GET", target, headers={"Accept": "image/*,*/*;q=0.5", "User-Agent": "genaiops"})
        yield way.getresponse()


def _address(url: str, host: str, port: int, is_allowed: Callable[[str], bool]) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_allowed(address) for address in addresses):
        raise _refused(url, "its host is not public")
    return addresses[0]


def _connection(parts: SplitResult, address: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to `address` that speaks to, and checks the certificate of, the host of the URL."""
    host = parts.hostname or address
    way = http.client.HTTPConnection(host, port, timeout=timeout_s)
    way.sock = socket.create_connection((address, port), timeout=timeout_s)
    if parts.scheme == "https":
        way.sock = ssl.create_default_context().wrap_socket(way.sock, server_hostname=host)
        way.default_port = 443  # so that the Host header leaves it out
    return way


def _refused(url: str, reason: str) -> PromptError:
    shown = urlsplit(url)._replace(query="", fragment="").geturl()[:200]  # a query may carry a signature
    return PromptError(f"The image at {shown!r} cannot be used: {reason}.", kind="InvalidImageInput")
