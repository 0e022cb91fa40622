"""The state of one row on its way through a graph: what each node gave, and who may run next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from genaiops.errors import RowError
from genaiops.flows._compile import Binding, CompiledCondition, CompiledGraph, CompiledNode, State
from genaiops.flows._counted_models import UserModels
from genaiops.flows._failures import failure
from genaiops.flows._outcome import NodeOutcome
from genaiops.flows._recorded import ImageWriter, recorded
from genaiops.flows._references import read_property

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
        is_recorded: Somebody reads what the nodes did; else only the result of the row counts.
    """

    __slots__ = (
        "error",
        "folder",
        "graph",
        "inputs",
        "is_abandoned",
        "is_recorded",
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
        is_recorded: bool = True,
    ) -> None:
        self.graph = graph
        self.inputs = inputs
        self.folder = folder
        self.repeat = repeat
        self.streaming = streaming
        self.write_image = write_image
        self.models = models
        self.is_recorded = is_recorded
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
        if not self.graph.has_conditions:
            return self._start(list(candidates))
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
        return self._start(ready)

    def _start(self, ready: list[CompiledNode]) -> list[CompiledNode]:
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
        states = self.states
        return states.count(State.COMPLETED) + states.count(State.BYPASSED) == len(states)

    def outcomes(self) -> dict[str, NodeOutcome]:
        """What each node did, in the order of the flow; nodes that nobody waited for count as canceled."""
        nodes = dict(self.nodes)
        if len(nodes) == len(self.graph.nodes):
            return {node.name: nodes[node.name] for node in self.graph.nodes}
        result = {}
        for node in self.graph.nodes:
            if node.name in nodes:
                result[node.name] = nodes[node.name]
            elif self.states[node.index] == State.RUNNING:
                result[node.name] = NodeOutcome("canceled")
        return result


def _index(node: CompiledNode) -> int:
    return node.index
