"""The hosts of one command: runs of one flow share them, so that they share limits, clients and kept results."""

from __future__ import annotations

import asyncio
from typing import Any

from genaiops.nursery import current_nursery
from genaiops.runs._host_client import HostClient, HostSetup, PlanHandle
from genaiops.runs._process import NurseryClient


class HostPool:
    """Starts hosts when they are needed and ends them all at the end."""

    def __init__(self) -> None:
        self._nurseries: dict[bool, NurseryClient] = {}
        self._hosts: dict[tuple[str, str], asyncio.Task[HostClient]] = {}
        self._retired: dict[HostClient, int] = {}
        self._users: dict[HostClient, int] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self.started = 0

    def start(self, setup: HostSetup, slot: str = "0") -> asyncio.Task[HostClient]:
        """The host for this setup, started when there is none that lives."""
        key = (setup.key(), slot)
        task = self._hosts.get(key)
        if task is None or (task.done() and not _is_usable(task, self._retired)):
            self.started += 1
            task = self._hosts[key] = asyncio.create_task(HostClient.start(setup, self._nursery_for(setup)))
        return task

    async def open(self, setup: HostSetup, request: dict[str, Any], slot: str = "0") -> PlanHandle:
        """Open a flow in the host for this setup.

        Raises:
            InputError: The flow cannot be run as asked.
            HostError: The host cannot be started or died.
        """
        host = await asyncio.shield(self.start(setup, slot))
        self._users[host] = self._users.get(host, 0) + 1
        try:
            return await host.open(request)
        except BaseException:
            self._leave(host)
            raise

    async def close(self, plan: PlanHandle) -> list[str]:
        """A run no longer needs its plan; what its host has to say at the end."""
        said = await plan.close()
        self._leave(plan.host)
        return said

    def retire(self, host: HostClient) -> bool:
        """Open nothing more in this host; it ends when its last plan is closed.

        Returns:
            False when two hosts are on their way out already: then it stays in use.
        """
        alive = [other for other in self._retired if other.is_alive]
        if host in self._retired:
            return True
        if len(alive) >= 2:
            return False
        self._retired[host] = 1
        return True

    async def shut(self, *, at_once: bool = False) -> None:
        """End all hosts."""
        hosts = []
        for task in self._hosts.values():
            if not task.done():
                await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                hosts.append(task.result())
        hosts += [host for host in self._retired if host not in hosts]
        await asyncio.gather(*(host.kill() if at_once else host.stop() for host in hosts), *self._endings)
        for nursery in self._nurseries.values():
            nursery.close()

    def _nursery_for(self, setup: HostSetup) -> NurseryClient | None:
        """What makes such hosts quickly, when somebody has opened it; reached through the loop that runs now."""
        kind = setup.asks_models
        nursery = current_nursery()
        if kind not in self._nurseries and nursery is not None:
            self._nurseries[kind] = NurseryClient(nursery, asks_models=kind)
        return self._nurseries.get(kind)

    def _leave(self, host: HostClient) -> None:
        self._users[host] = self._users.get(host, 1) - 1
        if host in self._retired and self._users[host] <= 0:
            ending = asyncio.create_task(host.kill())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)


def _is_usable(task: asyncio.Task[HostClient], retired: dict[HostClient, int]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    return task.result().is_alive and task.result() not in retired
