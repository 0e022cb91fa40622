"""Driving a row through its graph: on one thread for plain functions, on the event loop for the others.

Whoever drives the row owns its state. Nodes that run beside the driver hand their result back and touch nothing.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from queue import SimpleQueue

from genaiops.flows._compile import CompiledNode
from genaiops.flows._row import Finished, GraphRow
from genaiops.flows._run_node import run_node, run_node_async
from genaiops.flows._threads import WorkerThreads, is_left, take_turn


def drive_in_thread(row: GraphRow, ready: list[CompiledNode], threads: WorkerThreads) -> None:
    """Run a graph of plain functions to its end, on the thread of the caller.

    Nodes that could run at the same time are offered to other threads; what nobody has begun when this thread is free
    again, it runs itself. So a chain never leaves the thread, and no thread waits for one that cannot start.
    """
    while len(ready) == 1 and row.error is None and not (row.is_abandoned or is_left()):
        ready = row.finish(run_node(ready[0], row))
    if not ready:
        return
    beside = _Beside(row, threads)
    while (ready or beside.is_open) and row.error is None and not (row.is_abandoned or is_left()):
        if ready:
            node = ready.pop(0)
            for other in ready:
                beside.offer(other)
            ready.clear()
            finished = run_node(node, row)
        else:
            finished = beside.take()
        ready += row.finish(finished)
        while beside.has_finished() and row.error is None:
            ready += row.finish(beside.collect())
    beside.cancel()


class _Beside:
    """Nodes of a row that run beside its driver."""

    def __init__(self, row: GraphRow, threads: WorkerThreads) -> None:
        self._row = row
        self._threads = threads
        self._offered: list[tuple[CompiledNode, list[bool]]] = []
        self._running = 0
        self._results: SimpleQueue[Finished] = SimpleQueue()

    @property
    def is_open(self) -> bool:
        """Something was offered that has not been collected."""
        return self._running > 0

    def offer(self, node: CompiledNode) -> None:
        """Let another thread run the node, if one is free before the driver is."""
        claim = [True]
        context = copy_context()
        self._offered.append((node, claim))
        self._running += 1

        def job() -> None:
            if take_turn(claim):
                self._results.put(context.run(run_node, node, self._row))

        self._threads.submit(job)

    def take(self) -> Finished:
        """Run the first node that nobody has begun, or wait for one that somebody has."""
        while self._offered:
            node, claim = self._offered.pop(0)
            if take_turn(claim):
                self._running -= 1
                return run_node(node, self._row)
        return self.collect()

    def cancel(self) -> None:
        """Take back what nobody has begun."""
        for _, claim in self._offered:
            take_turn(claim)

    def has_finished(self) -> bool:
        """A result is there to be collected."""
        return self._running > 0 and not self._results.empty()

    def collect(self) -> Finished:
        """Wait for a result."""
        self._running -= 1
        return self._results.get()


async def drive_on_loop(row: GraphRow, threads: WorkerThreads) -> None:
    """Run a graph with async or model nodes to its end; plain functions run on threads."""
    ready = row.start()
    tasks: set[asyncio.Task[Finished]] = set()
    try:
        while (ready or tasks) and row.error is None:
            if len(ready) == 1 and not tasks:
                # Nothing runs beside it: no task is needed, and a thread may go on as far as it gets.
                if ready[0].mode == "thread":
                    ready = await threads.run(_run_chain, ready[0], row)
                else:
                    ready = row.finish(await _run_anywhere(ready[0], row, threads))
                continue
            tasks.update(asyncio.ensure_future(_run_anywhere(node, row, threads)) for node in ready)
            ready = []
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                ready += row.finish(task.result())
    finally:
        row.is_abandoned = True
        for task in tasks:
            task.cancel()


def _run_chain(node: CompiledNode, row: GraphRow) -> list[CompiledNode]:
    """Run plain functions one after the other until something else has to happen."""
    ready = row.finish(run_node(node, row))
    while len(ready) == 1 and ready[0].mode != "async" and not row.is_abandoned:
        ready = row.finish(run_node(ready[0], row))
    return ready


async def _run_anywhere(node: CompiledNode, row: GraphRow, threads: WorkerThreads) -> Finished:
    if node.mode == "async":
        return await run_node_async(node, row)
    if node.mode == "inline":
        return run_node(node, row)
    return await threads.run(run_node, node, row)
