"""Flows served on loopback, in this process, by the real server."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genaiops.flows import load_flow, open_plan
from genaiops.serving import ServeOptions, Service, listen
from genaiops.serving._server import make_server


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """One served flow and a small client for it."""

    def __init__(self, folder: Path, options: ServeOptions, init: dict[str, Any] | None) -> None:
        self._folder, self._options, self._init = folder, options, init
        self._sock = listen("127.0.0.1", 0)
        self.port: int = self._sock.getsockname()[1]
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._started.wait(20)

    async def _main(self) -> None:
        plan = await open_plan(load_flow(self._folder), init=self._init, concurrency=8, streaming=True)
        self.service = Service(plan, self._options)
        self.server = make_server(self.service)
        self.service.phase = "ready"
        running = asyncio.ensure_future(self.server.serve(sockets=[self._sock]))
        while not self.server.started:
            await asyncio.sleep(0.01)
        self._started.set()
        await running
        await plan.close()

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        connection.request(method, path, data, {key.replace("_", "-"): value for key, value in headers.items()})
        reply = connection.getresponse()
        answer = Answer(reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read())
        connection.close()
        return answer

    def score(self, body: Any, **headers: str) -> Answer:
        return self.request("POST", "/score", body, **headers)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a flow folder; stopped at the end of the test."""
    started: list[Served] = []

    def start(folder: Path, *, init: dict[str, Any] | None = None, **options: Any) -> Served:
        started.append(Served(folder, ServeOptions(**options), init))
        return started[-1]

    yield start
    for served in started:
        served.stop()


def write_flow(folder: Path, **files: str) -> Path:
    """A flow folder from file names (with `__` for `.`) and texts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


ECHO = """
inputs:
  text: {type: string}
  times: {type: int, default: 1}
outputs:
  shouted: {type: string, reference: "${shout.output}"}
  hidden: {type: string, reference: "${shout.output}", evaluation_only: true}
nodes:
- name: shout
  type: python
  source: {type: code, path: shout.py}
  inputs: {text: "${inputs.text}", times: "${inputs.times}"}
"""
SHOUT = """
import time
from genaiops.flows import tool

@tool
def shout(text: str, times: int) -> str:
    if text == "raise":
        raise ValueError("no shouting of s3cret-detail")
    if text.startswith("sleep "):
        time.sleep(float(text.split()[1]))
    return " ".join([text.upper()] * min(times, 9))  # whoever makes up requests may ask for a thousand million
"""
STREAM = """
inputs:
  text: {type: string}
outputs:
  output_echo: {type: string, reference: "${echo.output}"}
nodes:
- name: echo
  type: python
  source: {type: code, path: echo.py}
  inputs: {text: "${inputs.text}"}
"""
ECHO_TOOL = """
from genaiops.flows import tool

@tool
def echo(text: str):
    yield "Echo: "
    yield f"{text} "
"""


@pytest.fixture
def echo_flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path / "echo", flow__dag__yaml=ECHO, shout__py=SHOUT)


@pytest.fixture
def stream_flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path / "stream", flow__dag__yaml=STREAM, echo__py=ECHO_TOOL)
