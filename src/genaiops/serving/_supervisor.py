"""The parent of the workers: starts them on one socket, replaces those that die, ends them all.

Each worker is a flow host of its own (`python -m genaiops.host serve`), with the flow's folder, import path, variables
and environment; the connections travel to it through its pipe and never stand in a file or a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import HostError
from genaiops.serving._ending import end_through_loop, unwinding
from genaiops.serving._options import ServeOptions
from genaiops.serving._workers import WORN_OUT, Shared, Worker

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.runs import FlowRequest, HostSetup
    from genaiops.settings import Settings

log = logging.getLogger(__name__)

# A worker that ends sooner than this after it was ready has not been replaced for good.
_STEADY_S = 10.0
_MOST_QUICK_DEATHS = 5
_START_TIMEOUT_S = 120.0
_LOOK_AGAIN_S = 0.5
_LOOK_CLOSELY_S = 0.02
# Of the grace period, what is kept for killing workers that hang.
_SPARED_S = 0.2
_LEFT_OUT = {"__pycache__", ".genaiops", ".git", ".promptflow"}


def serve_flow(
    request: FlowRequest,
    options: ServeOptions,
    settings: Settings,
    store: ConnectionStore,
    *,
    shared: Shared,
    early: list[Worker],
    on_ready: Callable[[str], None],
    reload: bool = False,
) -> None:
    """Serve a flow until SIGTERM or Ctrl-C.

    Args:
        request: The flow and how its hosts are set up.
        options: Limits, keys, times.
        settings: What the surroundings say.
        store: Where connections come from.
        shared: The socket, and what else workers share.
        early: Workers that were started already; those that are used are taken out.
        on_ready: Told the address when requests are answered.
        reload: Start the workers anew when a file of the flow changes.

    Raises:
        InputError: The flow cannot be served as it is: a mistake in it, missing connections or variables.
        HostError: The workers die again and again.
    """
    from genaiops.runs import host_setup, open_request

    if _workers_wanted(options) < options.workers:
        log.warning("several workers cannot share a socket on Windows; one is started")
    # What may be used in a minute is one number for the whole server.
    with unwinding():  # an installer may have to be ended
        setup = host_setup(request, settings, store, hosts=_workers_wanted(options))
    opening = open_request(request, settings)
    asyncio.run(Supervisor(opening, options, setup, shared, early=early, on_ready=on_ready, reload=reload).run())


class Supervisor:
    """Keeps the wanted number of workers."""

    def __init__(
        self,
        opening: Mapping[str, Any],
        options: ServeOptions,
        setup: HostSetup,
        shared: Shared,
        *,
        early: list[Worker],
        on_ready: Callable[[str], None],
        reload: bool,
    ) -> None:
        self._opening = opening
        self._options = options
        self._setup = setup
        self._shared = shared
        self._early = early
        self._on_ready = on_ready
        self._reload = reload
        self._workers: dict[int, Worker] = {}
        self._stop = asyncio.Event()
        self._quick_deaths = 0

    async def run(self) -> None:
        """Start and watch workers until this process is told to end; whatever it is busy with, it ends then."""
        end_through_loop(asyncio.get_running_loop(), self._stop.set)
        working = asyncio.ensure_future(self._work())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            stopped.cancel()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self._end()

    async def _work(self) -> None:
        await self._start_all()
        host, port = self._shared.sock.getsockname()[:2]
        self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await self._watch()

    async def _start_all(self) -> None:
        await asyncio.gather(*(self._start(number) for number in range(_workers_wanted(self._options))))

    async def _start(self, number: int) -> None:
        """One worker, ready; of those that were started early, if it is as it must be."""
        worker = self._early.pop() if self._early and self._early[-1].fits(self._setup) else None
        if worker is None:
            worker = Worker(self._setup.python, self._setup.environ, self._shared)
        self._workers[number] = worker
        hello = {
            **self._setup.hello,
            "worker": number,
            "socket": self._shared.sock.fileno(),
            "board": self._shared.board,
            "serve": self._options.to_json(),
            "request": self._opening,
        }
        try:
            # In a thread, which ends with the worker at the latest.
            greeting = asyncio.to_thread(worker.greet, hello, self._setup.folder)
            message = await asyncio.wait_for(greeting, _START_TIMEOUT_S)
        except TimeoutError as error:
            raise HostError(f"The server was not ready within {_START_TIMEOUT_S:g} s.") from error
        if message is None:
            raise HostError(f"A worker ended with exit code {worker.exit_code} before it was ready.")
        if message["type"] == "refused":
            from genaiops.runs import error_from_json

            raise error_from_json(message)

    async def _watch(self) -> None:
        files = _snapshot(self._opening["flow"]) if self._reload else None
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            for number, worker in list(self._workers.items()):
                if worker.exit_code is not None:
                    await self._replace(number, worker)
            if files is not None and (now := _snapshot(self._opening["flow"])) != files:
                files = now
                await self._restart()

    async def _replace(self, number: int, worker: Worker) -> None:
        lived_s = time.monotonic() - worker.started
        is_quick = lived_s < _STEADY_S and worker.exit_code != WORN_OUT
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 0
        log.warning("worker %d ended with exit code %s after %.1f s", number, worker.exit_code, lived_s)
        if self._quick_deaths >= _MOST_QUICK_DEATHS:
            raise HostError(f"The workers die again and again (exit code {worker.exit_code}).")
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
        workers = list(self._workers.values())
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + max(0.1, self._options.grace_s - _SPARED_S)
        while any(worker.exit_code is None for worker in workers) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_CLOSELY_S)
        for worker in workers:
            worker.kill()
        self._workers.clear()


def _workers_wanted(options: ServeOptions) -> int:
    # Several cannot share a socket on Windows.
    return 1 if sys.platform == "win32" else options.workers


def _snapshot(flow: object) -> dict[str, int]:
    """When each file of the flow was changed last."""
    path = Path(str(flow))
    return {str(file): status for file, status in _changes(path if path.is_dir() else path.parent)}


def _changes(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        if not _LEFT_OUT.intersection(path.parts) and path.is_file():
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat().st_mtime_ns
