"""Flows that Python code calls: each in a flow host of its own, kept for the next call.

A flow called from a node of another flow must not share its working directory, its import path or its modules with
the caller, and calls from many rows at once must not disturb each other. So a called flow runs where every flow runs,
in a host; hosts are started when they are first needed and answer any number of calls side by side.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.runs import FlowRequest, HostClient, HostSetup, PlanHandle
    from genaiops.settings import Settings

Result = TypeVar("Result")

_MOST_HOSTS = 8
_CONCURRENCY = 16


class OpenFlow:
    """A flow and all that decides how its host is set up.

    Args:
        request: The flow, its variant, overrides, variables.
        settings: The surroundings.
        store: Connections.
    """

    def __init__(self, request: FlowRequest, settings: Settings, store: ConnectionStore) -> None:
        from genaiops.runs import host_setup, open_request

        self.setup: HostSetup = host_setup(request, settings, store)
        self.request = open_request(request, settings, concurrency=_CONCURRENCY)
        # Two flows never share a host: the working directory and the modules of a process are those of one flow.
        self.key = f"{self.setup.key()}\n{json.dumps(self.request, sort_keys=True, default=str)}"

    def run(self, inputs: Mapping[str, Any], *, node: str | None = None) -> dict[str, Any]:
        """The outcome of one row, with its metrics. Waits; may be called from any thread.

        Raises:
            InputError: The flow cannot be run as asked.
            HostError: Its process died.
        """
        return _hosts().submit(self._run(inputs, node)).result()

    async def run_async(self, inputs: Mapping[str, Any], *, node: str | None = None) -> dict[str, Any]:
        """The same, for a coroutine of any event loop."""
        return await asyncio.wrap_future(_hosts().submit(self._run(inputs, node)))

    async def _run(self, inputs: Mapping[str, Any], node: str | None) -> dict[str, Any]:
        plan = await _hosts().plan(self)
        return await plan.run_single(inputs, node=node)


class _Hosts:
    """The hosts of this process, on an event loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="genaiops-flows", daemon=True)
        self._thread.start()
        self._opened: OrderedDict[str, asyncio.Task[tuple[HostClient, PlanHandle]]] = OrderedDict()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Run something on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def plan(self, flow: OpenFlow) -> PlanHandle:
        """The opened flow; opened now when there is none that lives."""
        task = self._opened.get(flow.key)
        if task is None or _is_over(task):
            task = self._opened[flow.key] = asyncio.create_task(_open(flow))
            await self._let_go_of_the_oldest(flow.key)
        self._opened.move_to_end(flow.key)
        _, plan = await asyncio.shield(task)
        return plan

    async def _let_go_of_the_oldest(self, newest: str) -> None:
        while len(self._opened) > _MOST_HOSTS:
            key, task = next(iter(self._opened.items()))
            if key == newest:
                return
            del self._opened[key]
            await _stop(task)

    def close(self) -> None:
        """End all hosts and the loop."""
        with contextlib.suppress(Exception):
            self.submit(self._stop_all()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _stop_all(self) -> None:
        tasks = list(self._opened.values())
        self._opened.clear()
        await asyncio.gather(*(_stop(task) for task in tasks), return_exceptions=True)


async def _open(flow: OpenFlow) -> tuple[HostClient, PlanHandle]:
    from genaiops.runs import HostClient

    host = await HostClient.start(flow.setup)
    try:
        return host, await host.open(flow.request)
    except BaseException:
        await host.kill()
        raise


def _is_over(task: asyncio.Task[tuple[HostClient, PlanHandle]]) -> bool:
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or not task.result()[0].is_alive


async def _stop(task: asyncio.Task[tuple[HostClient, PlanHandle]]) -> None:
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result()[0].stop()


_current: _Hosts | None = None
_lock = threading.Lock()


def _hosts() -> _Hosts:
    global _current
    with _lock:
        if _current is None:
            _current = _Hosts()
            atexit.register(close_called_flows)
        return _current


def close_called_flows() -> None:
    """End the hosts of all flows that Python code has called; the next call starts a new one."""
    global _current
    with _lock:
        hosts, _current = _current, None
    if hosts is not None:
        hosts.close()
