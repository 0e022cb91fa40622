"""Fetch a page and keep its readable text.

A path such as `/rye-bread.html` is a page of this example: the folder `pages` is served on loopback, so that the
flow does what it would do on the web, without the web.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

from genaiops.flows import tool

MAX_BYTES = 1_000_000
MAX_CHARACTERS = 600
TIMEOUT_S = float(os.environ.get("FETCH_TIMEOUT_S", "20"))
NOISE = {"script", "style", "nav", "footer", "head"}


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing: the run's log is for the flow."""


@lru_cache(maxsize=1)
def local_site() -> str:
    """Serve `pages` on loopback, once a process, and give its address."""
    handler = partial(_QuietHandler, directory=str(Path(__file__).parent / "pages"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class _Text(HTMLParser):
    """Collects the text of a page, navigation and scripts left out."""

    def __init__(self) -> None:
        super().__init__()
        self.depth_of_noise = 0
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.depth_of_noise += tag in NOISE

    def handle_endtag(self, tag: str) -> None:
        self.depth_of_noise -= tag in NOISE

    def handle_data(self, data: str) -> None:
        if self.depth_of_noise == 0 and data.strip():
            self.pieces.append(" ".join(data.split()))


@tool
def fetch_text_content(url: str) -> str:
    address = local_site() + url if url.startswith("/") else url
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"Expected an http(s) address or a path of this example's pages, found {url!r}.")
    with urlopen(Request(address, headers={"User-Agent": "web-classification"}), timeout=TIMEOUT_S) as reply:
        html = reply.read(MAX_BYTES).decode("utf-8", errors="replace")
    page = _Text()
    page.feed(html)
    return "\n".join(page.pieces)[:MAX_CHARACTERS]
