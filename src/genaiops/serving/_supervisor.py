"""The parent of the workers: starts them on one socket, replaces those that die, ends them all.

Each worker is a flow host of its own (`python -m genaiops.host serve`), with the flow's folder, import path, variables
and environment; the connections travel to it through its pipe and never stand in a file or a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genaiops.connections import ConnectionStore
from genaiops.errors import HostError, SettingsError
from genaiops.runs import FlowRequest, HostSetup, error_from_json, host_setup, open_request
from genaiops.serving._board import open_board
from genaiops.serving._options import ServeOptions
from genaiops.serving._server import listen
from genaiops.settings import Settings

log = logging.getLogger(__name__)

# A worker that ends sooner than this after it was ready has not been replaced for good.
_STEADY_S = 10.0
_MOST_QUICK_DEATHS = 5
_START_TIMEOUT_S = 120.0
_LOOK_AGAIN_S = 0.5
# Of the grace period, what is kept for killing workers that hang.
_SPARED_S = 0.2
_LEFT_OUT = {"__pycache__", ".genaiops", ".git", ".promptflow"}


@dataclass
class _Worker:
    process: asyncio.subprocess.Process
    started: float = field(default_factory=time.monotonic)


def serve_flow(
    request: FlowRequest,
    options: ServeOptions,
    settings: Settings,
    store: ConnectionStore,
    *,
    on_ready: Callable[[str], None],
    reload: bool = False,
) -> None:
    """Serve a flow until SIGTERM or Ctrl-C.

    Args:
        request: The flow and how its hosts are set up.
        options: Limits, keys, times.
        settings: What the surroundings say.
        store: Where connections come from.
        on_ready: Told the address when requests are answered.
        reload: Start the workers anew when a file of the flow changes.

    Raises:
        InputError: The flow cannot be served as it is: a mistake in it, missing connections or variables.
        SettingsError: The address is taken.
        HostError: The workers die again and again.
    """
    try:
        sock = listen(options.host, options.port)
    except OSError as error:
        raise SettingsError(
            f"The address {options.host}:{options.port} cannot be used: {error.strerror or error}.",
            hint="Choose another with --host and --port; --port 0 takes a free one.",
        ) from error
    with contextlib.closing(sock):
        setup = host_setup(request, settings, store)
        opening = open_request(request, settings)
        asyncio.run(Supervisor(opening, options, setup, sock, on_ready=on_ready, reload=reload).run())


class Supervisor:
    """Keeps the wanted number of workers."""

    def __init__(
        self,
        opening: Mapping[str, Any],
        options: ServeOptions,
        setup: HostSetup,
        sock: socket.socket,
        *,
        on_ready: Callable[[str], None],
        reload: bool,
    ) -> None:
        self._opening = opening
        self._options = options
        self._setup = setup
        self._sock = sock
        self._on_ready = on_ready
        self._reload = reload
        self._workers: dict[int, _Worker] = {}
        # One worker is asked alone: it needs no board. Windows has just one.
        self._board = open_board(options.workers) if options.workers > 1 and sys.platform != "win32" else None
        self._stop = asyncio.Event()
        self._quick_deaths = 0

    async def run(self) -> None:
        """Start, watch, end."""
        self._listen_to_signals()
        try:
            await self._start_all()
            if self._stop.is_set():
                return
            host, port = self._sock.getsockname()[:2]
            self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            await self._watch()
        finally:
            await self._end()
            if self._board is not None:
                os.close(self._board)

    def _workers_wanted(self) -> int:
        if sys.platform == "win32" and self._options.workers > 1:
            log.warning("several workers cannot share a socket on Windows; one is started")
            return 1
        return self._options.workers

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._stop.set)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))

    async def _start_all(self) -> None:
        """Start the workers; SIGTERM ends the waiting for them."""
        starting = asyncio.gather(*(self._start(number) for number in range(self._workers_wanted())))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            both: set[asyncio.Future[Any]] = {starting, stopped}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
        finally:
            stopped.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)

    async def _start(self, number: int) -> None:
        options: dict[str, Any] = {}
        if sys.platform != "win32":
            # Ctrl-C goes to the whole group; the workers shall hear of it from us, once.
            shared = (self._sock.fileno(), *([self._board] if self._board is not None else ()))
            options = {"start_new_session": True, "pass_fds": shared}
        process = await asyncio.create_subprocess_exec(
            *self._setup.python,
            "-m",
            "genaiops.host",
            "serve",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._setup.folder,
            env=dict(self._setup.environ),
            **options,
        )
        self._workers[number] = _Worker(process)
        assert process.stdin is not None
        hello = json.dumps(self._hello(number), default=str).encode()
        process.stdin.write(json.dumps({"type": "hello", "size": len(hello)}).encode() + b"\n" + hello)
        await self._until_ready(process)

    def _hello(self, number: int) -> dict[str, Any]:
        return {
            **self._setup.hello,
            "worker": number,
            "socket": self._sock.fileno(),
            "board": self._board,
            "serve": self._options.to_json(),
            "request": self._opening,
        }

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_TIMEOUT_S)
        except TimeoutError as error:
            raise HostError(f"The server was not ready within {_START_TIMEOUT_S:g} s.") from error
        if not line:
            raise HostError(f"A worker ended with exit code {await process.wait()} before it was ready.")
        message = json.loads(line)
        if message["type"] == "refused":
            raise error_from_json(message)

    async def _watch(self) -> None:
        files = _snapshot(self._opening["flow"]) if self._reload else None
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_AGAIN_S)
            if self._stop.is_set():
                return
            for number, worker in list(self._workers.items()):
                if worker.process.returncode is not None:
                    await self._replace(number, worker)
            if files is not None and (now := _snapshot(self._opening["flow"])) != files:
                files = now
                await self._restart()

    async def _replace(self, number: int, worker: _Worker) -> None:
        lived_s = time.monotonic() - worker.started
        self._quick_deaths = self._quick_deaths + 1 if lived_s < _STEADY_S else 0
        log.warning("worker %d ended with exit code %s after %.1f s", number, worker.process.returncode, lived_s)
        if self._quick_deaths >= _MOST_QUICK_DEATHS:
            raise HostError(f"The workers die again and again (exit code {worker.process.returncode}).")
        await asyncio.sleep(0.2 * self._quick_deaths)
        await self._start(number)

    async def _restart(self) -> None:
        """New workers for changed files; a mistake in them is told and the old ones stay away until it is mended."""
        log.warning("the flow has changed: starting anew")
        await self._end()
        try:
            await self._start_all()
        except Exception as error:
            log.exception("the flow cannot be served as it is now", exc_info=error)
            await self._end()

    async def _end(self) -> None:
        """Let every worker drain; whoever is there after the grace period is killed."""
        processes = [worker.process for worker in self._workers.values() if worker.process.returncode is None]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                asyncio.gather(*(process.wait() for process in processes)), max(0.1, self._options.grace_s - _SPARED_S)
            )
        for process in processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._workers.clear()


def _snapshot(flow: object) -> dict[str, int]:
    """When each file of the flow was changed last."""
    path = Path(str(flow))
    return {str(file): status for file, status in _changes(path if path.is_dir() else path.parent)}


def _changes(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        if not _LEFT_OUT.intersection(path.parts) and path.is_file():
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat().st_mtime_ns
