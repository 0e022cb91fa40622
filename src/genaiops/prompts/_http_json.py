"""One HTTP request to a service that answers with JSON, for the tools that are not models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

TIMEOUT_S = 60.0
MAX_BYTES = 50 * 1024 * 1024


class JsonAnswer(NamedTuple):
    """What the service said: its status, and the JSON or, where it sent none, text."""

    status: int
    content: Any


def ask_json(url: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> JsonAnswer:
    """Send a GET, or a POST when there is a body. Redirects are not followed: they would carry the key elsewhere.

    Raises:
        OSError: Nothing answered.
    """
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise OSError("the address is no http or https URL")
    content = None if body is None else json.dumps(body).encode("utf-8")
    request = urllib.request.Request(url, data=content, headers=dict(headers or {}))  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_no_redirects())
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return JsonAnswer(answer.status, _parsed(answer.read(MAX_BYTES)))
    except urllib.error.HTTPError as error:
        with error:
            return JsonAnswer(error.code, _parsed(error.read(MAX_BYTES)))


def _no_redirects() -> Any:
    import urllib.request

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return NoRedirects()


def _parsed(content: bytes) -> Any:
    text = content.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
