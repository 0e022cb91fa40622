"""Proxies in front of servers: HAProxy where it is installed, and a small one of our own that honours `/readyz`."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from .processes import wait_until

_CHECK_EVERY_S = 0.1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def is_ready(port: int) -> bool:
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


class TinyBalancer:
    """Each connection goes to the next server that is ready; no request is tried twice."""

    def __init__(self, servers: list[int]) -> None:
        self._servers = servers
        self._ready: list[int] = []
        self._next = count()
        self._loop = asyncio.new_event_loop()
        self._stop = threading.Event()
        self.port = free_port()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._watch)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self._ready) == len(servers), 60)

    def close(self) -> None:
        self._stop.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(10)

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._ready = [port for port in self._servers if is_ready(port)]
            time.sleep(_CHECK_EVERY_S)

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._connect, "127.0.0.1", self.port))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = self._ready
        port = ready[next(self._next) % len(ready)]
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


HAPROXY = """
global
  maxconn 500
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 10s
  option httpchk GET /readyz
frontend flow
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  balance roundrobin
  default-server check inter 100ms fall 1 rise 1
{servers}
"""


@contextlib.contextmanager
def tiny(servers: list[int]) -> Iterator[int]:
    balancer = TinyBalancer(servers)
    yield balancer.port
    balancer.close()


def find_haproxy() -> str | None:
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def haproxy(servers: list[int], folder: Path) -> Iterator[int]:
    program, port = find_haproxy(), free_port()
    assert program is not None
    lines = "\n".join(f"  server s{number} 127.0.0.1:{server}" for number, server in enumerate(servers))
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, servers=lines), encoding="utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-f", str(folder / "haproxy.cfg"), "-db"], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(port), 60)
        yield port
    finally:
        process.terminate()
        process.wait(30)
