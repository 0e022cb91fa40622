"""A real Chromium, spoken to by its devtools protocol: no driver, no further package than aiohttp."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

NO_BROWSER = "no Chromium or Chrome is installed (apt-get install chromium)"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.problems: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=60)).data)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(message["params"]))
            if message.get("id") == self._number:
                return dict(message.get("result") or message)

    async def evaluate(self, script: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str, timeout_s: float = 20) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := await self.evaluate(script)):
            assert time.monotonic() < deadline, f"waited in vain for {script}; {self.problems}"
            await asyncio.sleep(0.05)
        return found

    async def look(self, *, scheme: str = "light", width: int = 900) -> None:
        """As somebody sees it who wants light or dark, on a screen so wide."""
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **size)

    async def picture(self, file: Path) -> None:
        answer = await self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def open_page(address: str, profile: Path, *, ready: str = "main form") -> AsyncIterator[Page]:
    """A page that has loaded `address` and shows an element that `ready` selects."""
    browser = find_browser()
    assert browser is not None
    words = [
        "--headless=new",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--remote-debugging-port=0",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--no-sandbox")  # Chromium refuses to run as root with it
    process = subprocess.Popen(
        [browser, *words, f"--user-data-dir={profile}", "--window-size=900,800", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        place = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 40
        while not place.exists() or not place.read_text().strip():
            assert time.monotonic() < deadline, "the browser did not start"
            await asyncio.sleep(0.1)
        port = place.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
                target = next(item for item in await reply.json() if item["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Runtime", "Log", "Page"):
                    await page.send(f"{domain}.enable")
                await page.send("Page.navigate", url=address)
                await page.until(f"document.readyState === 'complete' && !!document.querySelector({ready!r})")
                yield page
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
