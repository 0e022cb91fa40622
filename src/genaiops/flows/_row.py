"""One row on its way through a graph.

Whoever drives the row owns its state: a worker thread for graphs of plain functions, the event loop for the others.
Nodes that run beside the driver hand their result back and touch nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import copy_context
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from genaiops.errors import RowError
from genaiops.flows._compile import Binding, CompiledCondition, CompiledGraph, CompiledNode, State
from genaiops.flows._counted_models import UserModels
from genaiops.flows._failures import failure
from genaiops.flows._generators import PROXIES, watched
from genaiops.flows._outcome import NodeOutcome
from genaiops.flows._recorded import PLAIN_TYPES, ImageWriter, recorded
from genaiops.flows._references import read_property
from genaiops.flows._threads import WorkerThreads, take_turn
from genaiops.tracing import start_span

_log = logging.getLogger(__name__)

Finished = tuple[CompiledNode, NodeOutcome, Any]


class GraphRow:
    """The state of one row: what each node gave, who still waits, what went wrong.

    Args:
        graph: What runs.
        inputs: The flow's inputs, converted.
        folder: The flow's folder, for the places of errors.
        repeat: Which repetition of the row this is; part of the key of kept results.
        streaming: The caller takes generators.
        write_image: How images are recorded.
        models: The models that user code may reach; None when nothing calls one.
    """

    __slots__ = (
        "error",
        "folder",
        "graph",
        "inputs",
        "is_abandoned",
        "models",
        "nodes",
        "repeat",
        "started",
        "states",
        "streaming",
        "values",
        "waiting",
        "write_image",
    )

    def __init__(
        self,
        graph: CompiledGraph,
        inputs: Mapping[str, Any],
        folder: Path,
        *,
        repeat: int = 0,
        streaming: bool = False,
        write_image: ImageWriter | None = None,
        models: UserModels | None = None,
    ) -> None:
        self.graph = graph
        self.inputs = inputs
        self.folder = folder
        self.repeat = repeat
        self.streaming = streaming
        self.write_image = write_image
        self.models = models
        self.states = [State.WAITING] * len(graph.nodes)
        self.values: list[Any] = [None] * len(graph.nodes)
        self.waiting = graph.waiting.copy()
        self.nodes: dict[str, NodeOutcome] = {}
        self.error: dict[str, Any] | None = None
        self.is_abandoned = False
        self.started = perf_counter()

    # What a node may ask

    def flow_input(self, name: str) -> Any:
        """A flow input.

        Raises:
            RowError: `InputNotFound` when the row has no such input.
        """
        try:
            return self.inputs[name]
        except KeyError:
            raise RowError(f"The flow input {name!r} has no value.", kind="InputNotFound") from None

    def read(self, binding: Binding) -> Any:
        """The value of a binding; a bypassed node counts as null, and then a property of it leads nowhere."""
        if binding.source == "constant":
            return binding.constant
        if binding.source == "input":
            return self.flow_input(binding.key)
        value = self.values[binding.key]
        return read_property(value, binding.steps, binding.reference) if binding.steps else value  # type: ignore[arg-type]

    # Progress

    def start(self) -> list[CompiledNode]:
        """The nodes that can run at once, after bypassing those that need not run."""
        return self._release(self.graph.roots)

    def finish(self, finished: Finished) -> list[CompiledNode]:
        """Note what a node gave; the nodes that can run now."""
        node, outcome, value = finished
        self.nodes[node.name] = outcome
        if outcome.status == "failed":
            self.states[node.index] = State.FAILED
            self.error = self.error or outcome.error
            return []
        self.states[node.index] = State.COMPLETED
        self.values[node.index] = value
        followers = self.graph.followers[node.index]
        return self._release(self._freed(followers)) if followers else []

    def _freed(self, followers: tuple[int, ...]) -> list[CompiledNode]:
        freed = []
        for index in followers:
            self.waiting[index] -= 1
            if not self.waiting[index]:
                freed.append(self.graph.nodes[index])
        return freed

    def _release(self, candidates: Any) -> list[CompiledNode]:
        """Of nodes that wait for nothing more, those that run; the others are bypassed, and so on behind them."""
        ready: list[CompiledNode] = []
        queue = list(candidates)
        for node in queue:  # grows while it is walked
            try:
                bypassed = self._is_bypassed(node)
            except Exception as error:  # noqa: BLE001 - values of users are compared here
                self.error = self.error or failure(error, name=node.name, folder=self.folder, node=node.name)
                return []
            if not bypassed:
                ready.append(node)
                continue
            queue.extend(self._freed(self.graph.followers[node.index]))
        if len(ready) > 1:
            ready.sort(key=_index)
        for node in ready:
            self.states[node.index] = State.RUNNING
        return ready

    def _is_bypassed(self, node: CompiledNode) -> bool:
        if node.activate is not None:
            bypassed = not self._is_met(node.activate)
        elif node.skip is not None and self._is_met(node.skip):
            self._skip(node, node.skip)
            return True
        elif node.input_nodes:
            bypassed = all(self.states[index] == State.BYPASSED for index in node.input_nodes)
        else:
            return False
        if bypassed:
            self.states[node.index] = State.BYPASSED
            self.nodes[node.name] = NodeOutcome("bypassed", started_s=perf_counter() - self.started)
        return bypassed

    def _is_met(self, condition: CompiledCondition) -> bool:
        """`when` equals what is expected, by Python's `==`; a condition on a bypassed node is never met."""
        when = condition.when
        if when.source == "node" and self.states[when.key] == State.BYPASSED:
            return False
        return bool(self.read(when) == condition.expected)

    def _skip(self, node: CompiledNode, skip: CompiledCondition) -> None:
        """`skip:` of older files: the node does not run and gives the value of `return` instead."""
        outcome = NodeOutcome("bypassed", started_s=perf_counter() - self.started)
        self.nodes[node.name] = outcome
        self.states[node.index] = State.BYPASSED
        if skip.value is not None:
            value = self.read(skip.value)
            self.values[node.index] = value
            self.states[node.index] = State.COMPLETED  # for those behind it, it has an output
            outcome.output = recorded(value, self.write_image)

    def is_done(self) -> bool:
        """Every node has run or was bypassed."""
        return all(state in (State.COMPLETED, State.BYPASSED) for state in self.states)

    def outcomes(self) -> dict[str, NodeOutcome]:
        """What each node did, in the order of the flow; nodes that nobody waited for count as canceled."""
        nodes = dict(self.nodes)
        result = {}
        for node in self.graph.nodes:
            if node.name in nodes:
                result[node.name] = nodes[node.name]
            elif self.states[node.index] == State.RUNNING:
                result[node.name] = NodeOutcome("canceled")
        return result


def _index(node: CompiledNode) -> int:
    return node.index


# Running one node


def run_node(node: CompiledNode, row: GraphRow) -> Finished:
    """Run a plain function and wait for it; what it raises becomes part of the outcome."""
    started = perf_counter()
    outcome = NodeOutcome("completed", started_s=started - row.started)
    value = None
    span = start_span(node.name, "node")
    outcome.tokens = span.usage
    try:
        with span:
            arguments, outcome.inputs = node.arguments(row, row.write_image)
            if row.models is None:
                value = node.function(**arguments)
            else:
                with row.models.scope(outcome, row.repeat):
                    value = node.function(**arguments)
            if type(value) in PLAIN_TYPES:
                outcome.output = value
            else:
                value = watched(value)
                outcome.output = _output(value, row)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    outcome.duration_s = perf_counter() - started
    return node, outcome, value


async def run_node_async(node: CompiledNode, row: GraphRow) -> Finished:
    """Run an async function or a model node."""
    started = perf_counter()
    outcome = NodeOutcome("completed", started_s=started - row.started)
    value = None
    span = start_span(node.name, "node")
    outcome.tokens = span.usage
    try:
        with span:
            arguments, outcome.inputs = node.arguments(row, row.write_image)
            if node.model is not None:
                value = await node.model.run(arguments, outcome, row)
            elif row.models is None:
                value = await _called(node, arguments)
            else:
                with row.models.scope(outcome, row.repeat):
                    value = await _called(node, arguments)
            value = watched(value)
            outcome.output = _output(value, row)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    outcome.duration_s = perf_counter() - started
    return node, outcome, value


async def _called(node: CompiledNode, arguments: dict[str, Any]) -> Any:
    value = node.function(**arguments)
    return await value if hasattr(value, "__await__") else value


def _output(value: Any, row: GraphRow) -> Any:
    """The output as it is recorded; of a generator the items are read when the row is over."""
    return value if type(value) in PROXIES else recorded(value, row.write_image)


def _fail(outcome: NodeOutcome, error: BaseException, node: CompiledNode, row: GraphRow) -> None:
    outcome.status = "failed"
    outcome.error = failure(error, name=node.name, folder=row.folder, node=node.name)


# Driving a row


def drive_in_thread(row: GraphRow, ready: list[CompiledNode], threads: WorkerThreads) -> None:
    """Run a graph of plain functions to its end, on the thread of the caller.

    Nodes that could run at the same time are offered to other threads; what nobody has begun when this thread is free
    again, it runs itself. So a chain never leaves the thread, and no thread waits for one that cannot start.
    """
    beside = _Beside(row, threads)
    while (ready or beside.is_open) and row.error is None and not row.is_abandoned:
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


def read_reference_value(row: GraphRow, binding: Binding) -> Any:
    """The value of a flow output, with a warning when its node was bypassed."""
    if binding.source == "node" and row.states[binding.key] == State.BYPASSED:
        _log.debug("The node of %s was bypassed; its value is null.", binding.reference)
    return row.read(binding)
