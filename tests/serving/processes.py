"""`genaiops serve` as a process of its own, and small clients for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A started command, its first line read."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path, port: int) -> None:
        self.process, self._errors, self.port = process, errors, port

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        connection.request(method, path, data, {key.replace("_", "-"): value for key, value in headers.items()})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        is_json = reply.getheader("content-type", "").startswith("application/json")
        return reply.status, json.loads(text) if is_json else text.decode("utf-8", "replace")

    def score(self, body: Any, **headers: str) -> tuple[int, Any]:
        return self.request("POST", "/score", body, **headers)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "CI": "true", **variables}


@contextlib.contextmanager
def serving(
    source: Path, *words: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Serve a flow on a free port; killed at the end, if need be."""
    errors = (cwd or source) / f"stderr-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "genaiops", "serve", str(source), "--port", "0", *words]
    with errors.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, cwd=cwd or source, env=environment(**(variables or {}))
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("ready http://127.0.0.1:"), errors.read_text(encoding="utf-8")
        yield Process(process, errors, int(line.rsplit(":", 1)[1]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def run_serve(source: Path, *words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """A `serve` that is expected to end by itself."""
    command = [sys.executable, "-m", "genaiops", "serve", str(source), *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd or source,
        env=environment(**variables),
        check=False,
        timeout=60,
    )


@contextlib.contextmanager
def model_server(*words: str) -> Iterator[str]:
    """The stand-in for a model server; gives its address."""
    command = [sys.executable, "-m", "genaiops.testing.model_server", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip().removeprefix("ready ")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def stats(address: str) -> dict[str, Any]:
    """What the model server has seen."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", "/stats")
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def wait_until(condition: Callable[[], Any], timeout_s: float = 15, *, pause_s: float = 0.05) -> Any:
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_s)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
