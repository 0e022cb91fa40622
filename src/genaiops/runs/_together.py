"""Runs that begin as others end, in one set of hosts: what an experiment needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from genaiops.runs._batch import Batch
from genaiops.runs._early_stop import Stop
from genaiops.runs._events import OnEvent, ignore_event
from genaiops.runs._interrupt import run_sync
from genaiops.runs._pool import HostPool
from genaiops.runs._prepare import Surroundings
from genaiops.runs._record import RunRecord
from genaiops.runs._setup import host_setup
from genaiops.runs._spec import RunSpec
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

Result = TypeVar("Result")


class RunTogether:
    """Starts runs in shared hosts; runs of one flow share limits, clients and kept results."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._batches: list[Batch] = []
        self.interrupted = False

    async def warm(self, spec: RunSpec, *, will_call: bool = False) -> None:
        """Start a host of a run that will begin soon, and let it import what the flow needs.

        Args:
            spec: The run; its host is set up as the run's will be.
            will_call: Its models will be called; without it, what it keeps may do.

        Raises:
            SettingsError: An option that means nothing, or an environment that cannot be built.
            HostError: Its process cannot be started.
        """
        # In a thread: an environment may have to be built first, and rows of other flows must not wait for it.
        setup = await asyncio.to_thread(
            host_setup, spec, self._around.settings, self._around.store, hosts=spec.processes
        )
        host = await asyncio.shield(self._around.pool.start(setup))
        await host.prepare(will_call=will_call)

    async def run(self, spec: RunSpec, earlier: RunRecord | None = None) -> RunRecord | None:
        """Run a spec, or what an earlier attempt of it left; None when a person has stopped everything.

        Raises:
            InputError: The spec is wrong; nothing of it was started.
            HostError: No host could be started.
        """
        if self.interrupted:
            return None
        batch = Batch(spec, self._around, earlier)
        self._batches.append(batch)
        try:
            return await batch.run()
        finally:
            self._batches.remove(batch)

    def interrupt(self) -> None:
        """Stop everything; what has finished is kept."""
        self.interrupted = True
        for batch in self._batches:
            batch.end(Stop("interrupted", "The run was interrupted."))


def run_together(
    main: Callable[[RunTogether], Awaitable[Result]],
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    on_event: OnEvent = ignore_event,
) -> Result:
    """Run a coroutine that starts runs; at its end all hosts end.

    Args:
        main: Gets what starts runs.
        settings: The surroundings.
        store: Connections; by default those of the environment and of connection files.
        on_event: Told what happens in each run.
    """
    if store is None:
        from genaiops.connections import ConnectionStore

        store = ConnectionStore.load(settings)
    pool = HostPool()
    together = RunTogether(Surroundings(settings=settings, store=store, pool=pool, on_event=on_event))

    async def whole() -> Result:
        at_once = True
        try:
            result = await main(together)
            at_once = together.interrupted
            return result
        finally:
            await pool.shut(at_once=at_once)

    return run_sync(whole, on_interrupt=together.interrupt)
