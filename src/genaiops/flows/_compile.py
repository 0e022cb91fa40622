"""A graph made ready to run: each node with its function, its arguments' sources, and who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from genaiops.flows._model import Condition, Flow, Node
from genaiops.flows._recorded import PLAIN_TYPES, ImageWriter, recorded
from genaiops.flows._references import Reference, Step, read_property

if TYPE_CHECKING:
    from genaiops.flows._outcome import NodeOutcome
    from genaiops.flows._row import GraphRow

Mode = Literal["inline", "thread", "async"]


class State(IntEnum):
    """Where a node of a row stands."""

    WAITING = 0
    RUNNING = 1
    COMPLETED = 2
    BYPASSED = 3
    FAILED = 4


class ModelRunner(Protocol):
    """A node that calls a model: given its arguments, gives its output and notes tokens, model and retries."""

    async def run(self, arguments: dict[str, Any], outcome: NodeOutcome, row: GraphRow) -> Any:
        """The output of the node."""


class KeepKey(Protocol):
    """Everything that decides the result of a node, as a key; None when that cannot be told."""

    def __call__(self, arguments: Mapping[str, Any]) -> str | None:
        """The key for these arguments."""


class Binding(NamedTuple):
    """Where one argument comes from.

    Args:
        name: The parameter.
        constant: A value that is always the same; only when `source` is `constant`.
        shown: The constant as it is recorded.
        source: `constant`, `input` or `node`.
        key: The flow input, or the index of the node.
        steps: The property, for a node.
        omit: Leave the argument out when the node was bypassed, because the function has a default.
        reference: For messages.
    """

    name: str
    source: Literal["constant", "input", "node"]
    constant: Any = None
    shown: Any = None
    key: Any = None
    steps: tuple[Step, ...] = ()
    omit: bool = False
    reference: Reference | None = None


@dataclass(slots=True, kw_only=True)
class CompiledNode:
    """One node, ready to run. `waits_for` are indices of nodes."""

    node: Node
    name: str
    index: int
    mode: Mode
    function: Callable[..., Any]
    bindings: tuple[Binding, ...]
    waits_for: frozenset[int]
    activate: CompiledCondition | None = None
    skip: CompiledCondition | None = None
    input_nodes: frozenset[int] = frozenset()
    model: ModelRunner | None = None
    keep_key: KeepKey | None = None

    def arguments(self, row: GraphRow) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments for one row, and the same as they are recorded; nothing where the row is not.

        Raises:
            RowError: A reference leads nowhere.
        """
        values: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        for name, source, constant, constant_shown, key, steps, omit, reference in self.bindings:
            if source == "constant":
                values[name] = constant
                if row.is_recorded:
                    shown[name] = constant_shown
                continue
            if source == "input":
                value = row.flow_input(key)
            elif row.states[key] == State.BYPASSED:
                if omit:
                    continue
                value = None
            else:
                value = row.values[key]
                if steps:
                    value = read_property(value, steps, reference)  # type: ignore[arg-type] # set for nodes
            values[name] = value
            if row.is_recorded:
                shown[name] = value if type(value) in PLAIN_TYPES else recorded(value, row.write_image)
        return values, shown


class CompiledCondition(NamedTuple):
    """`activate` or `skip`: the binding of `when`, what it is compared with, and the value of a skipped node."""

    when: Binding
    expected: Any
    value: Binding | None = None


class CompiledGraph:
    """The nodes of a row in order, with counters of what each waits for."""

    def __init__(self, nodes: Sequence[CompiledNode]) -> None:
        self.nodes = tuple(nodes)
        self.waiting = [len(node.waits_for) for node in nodes]
        followers: list[list[int]] = [[] for _ in nodes]
        for node in nodes:
            for before in node.waits_for:
                followers[before].append(node.index)
        self.followers = tuple(tuple(sorted(items)) for items in followers)
        self.roots = tuple(node for node in nodes if not node.waits_for)
        # Without conditions no node is ever bypassed, and nobody need ask.
        self.has_conditions = any(node.activate is not None or node.skip is not None for node in nodes)
        self.is_sync = all(node.mode != "async" for node in nodes)
        self.is_inline = all(node.mode == "inline" for node in nodes)


def compile_binding(name: str, reference: Reference, positions: Mapping[str, int], *, omit: bool = False) -> Binding:
    """Where the value of a reference comes from."""
    if reference.kind == "input":
        return Binding(name, "input", key=reference.name, reference=reference)
    return Binding(name, "node", key=positions[reference.name], steps=reference.steps, omit=omit, reference=reference)


def compile_condition(condition: Condition | None, positions: Mapping[str, int]) -> CompiledCondition | None:
    """A condition with its reference resolved."""
    if condition is None:
        return None
    value = _value_binding("return", condition.value, positions) if condition.has_value else None
    return CompiledCondition(_value_binding("when", condition.when, positions), condition.expected, value)


def _value_binding(name: str, value: Any, positions: Mapping[str, int]) -> Binding:
    if isinstance(value, Reference):
        return compile_binding(name, value, positions)
    return Binding(name, "constant", constant=value)


class Compiler:
    """Turns the nodes of a flow into `CompiledNode`s.

    Args:
        nodes: Those that run together: the row's nodes, or the aggregation nodes.
        write_image: How images are recorded.
    """

    def __init__(self, nodes: Sequence[Node], write_image: ImageWriter | None = None) -> None:
        self._positions = {node.name: index for index, node in enumerate(nodes)}
        self._write_image = write_image

    def compile(
        self,
        node: Node,
        *,
        constants: Mapping[str, Any],
        mode: Mode,
        function: Callable[..., Any],
        defaults: frozenset[str] = frozenset(),
        model: ModelRunner | None = None,
        keep_key: KeepKey | None = None,
        constructor: frozenset[str] = frozenset(),
    ) -> CompiledNode:
        """One node.

        Args:
            node: The node.
            constants: Its literals, made ready; literals that are not in here are not passed.
            mode: Where it runs.
            function: What is called.
            defaults: Parameters with a default, whose arguments are left out when they come from a bypassed node.
            model: How a model node runs.
            keep_key: How its results are kept.
            constructor: Inputs that went to a class tool's constructor.
        """
        bindings = []
        for name, value in node.inputs.items():
            if isinstance(value, Reference):
                bindings.append(self._bind(node, name, value, omit=name in defaults))
            elif name in constants and name not in constructor:
                constant = constants[name]
                shown = recorded(constant, self._write_image)
                bindings.append(Binding(name, "constant", constant=constant, shown=shown))
        for name, constant in constants.items():
            if name not in node.inputs:
                shown = recorded(constant, self._write_image)
                bindings.append(Binding(name, "constant", constant=constant, shown=shown))
        return CompiledNode(
            node=node,
            name=node.name,
            index=self._positions[node.name],
            mode=mode,
            function=function,
            bindings=tuple(bindings),
            waits_for=frozenset(self._nodes_of(node.references())),
            activate=compile_condition(node.activate, self._positions),
            skip=compile_condition(node.skip, self._positions),
            input_nodes=frozenset(
                self._nodes_of([value for value in node.inputs.values() if isinstance(value, Reference)])
            ),
            model=model,
            keep_key=keep_key,
        )

    def _bind(self, node: Node, name: str, reference: Reference, *, omit: bool) -> Binding:
        if reference.kind == "node" and reference.name not in self._positions:
            # An aggregation node that reads rows: the list stands among the inputs, by the reference's text.
            return Binding(name, "input", key=str(reference), reference=reference)
        return compile_binding(name, reference, self._positions, omit=omit)

    def _nodes_of(self, references: Sequence[Reference]) -> list[int]:
        return [self._positions[r.name] for r in references if r.kind == "node" and r.name in self._positions]


def aggregation_references(flow: Flow) -> dict[str, Reference]:
    """What aggregation nodes read from rows, by canonical text: flow inputs and outputs of row nodes."""
    row_nodes = {node.name for node in flow.row_nodes}
    return {
        str(reference): reference
        for node in flow.aggregation_nodes
        for reference in node.references()
        if reference.kind == "input" or reference.name in row_nodes
    }
