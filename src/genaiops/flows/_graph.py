"""Is the graph sound, and in which order could it run?"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._model import Finding, InputDef, Node, OutputDef
from genaiops.flows._references import Reference

Report = Callable[[FlowDefinitionError], None]


def check_topology(nodes: Sequence[Node], inputs: Mapping[str, InputDef], *, file: str, report: Report) -> None:
    """Report duplicate names, references to nothing, and references across the aggregation border.

    Kinds: `DuplicateNodeName`, `InputReferenceNotFound`, `InvalidNodeReference`, `NodeReferenceNotFound`, in the order
    in which prompt flow looks for them.
    """
    _check_names(nodes, file=file, report=report)
    for node in nodes:
        for reference in node.references():
            if reference.kind == "input" and reference.name not in inputs:
                report(
                    FlowDefinitionError(
                        f"Node {node.name!r} refers to the flow input {reference.name!r}, which is not declared.",
                        file=file,
                        line=_line_of(node, reference),
                        node=node.name,
                        hint=suggest(reference.name, inputs),
                        kind="InputReferenceNotFound",
                    )
                )
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        _check_node_references(node, by_name, file=file, report=report)


def _check_names(nodes: Sequence[Node], *, file: str, report: Report) -> None:
    seen: dict[str, Node] = {}
    for node in nodes:
        if node.name in seen:
            report(
                FlowDefinitionError(
                    f"Two nodes are called {node.name!r}; the other stands in line {seen[node.name].line}.",
                    file=file,
                    line=node.line,
                    node=node.name,
                    hint="Rename or remove one.",
                    kind="DuplicateNodeName",
                )
            )
        seen.setdefault(node.name, node)


def _check_node_references(node: Node, by_name: Mapping[str, Node], *, file: str, report: Report) -> None:
    conditions = {id(c.when) for c in (node.activate, node.skip) if c is not None}
    for reference in node.references():
        if reference.kind != "node":
            continue
        target = by_name.get(reference.name)
        line = _line_of(node, reference)
        if target is not None and reference.section != "output":
            report(unsupported_section(reference, file=file, line=line, node=node.name))
        if target is None:
            report(
                FlowDefinitionError(
                    f"Node {node.name!r} refers to node {reference.name!r}, which does not exist.",
                    file=file,
                    line=line,
                    node=node.name,
                    hint=_hint_for_node(reference, by_name.keys(), node.name),
                    kind="NodeReferenceNotFound",
                )
            )
        elif target.aggregation and not node.aggregation:
            report(
                FlowDefinitionError(
                    f"Node {node.name!r} runs for every row and refers to {target.name!r}, which runs after all rows.",
                    file=file,
                    line=line,
                    node=node.name,
                    kind="InvalidNodeReference",
                )
            )
        elif node.aggregation and not target.aggregation and id(reference) in conditions:
            report(
                FlowDefinitionError(
                    f"The activate condition of aggregation node {node.name!r} refers to {target.name!r}, which runs"
                    " for every row.",
                    file=file,
                    line=line,
                    node=node.name,
                    hint="Refer to a flow input or to another aggregation node.",
                    kind="InvalidNodeReference",
                )
            )


def unsupported_section(
    reference: Reference, *, file: str, line: int | None, node: str | None = None
) -> FlowDefinitionError:
    """`UnsupportedReference`: prompt flow finds it when the row gets there, and it can never be read."""
    hint = f"Write ${{{reference.name}.output}}."
    if reference.section.startswith("output["):
        rest = reference.section[len("output") :] + (f".{reference.path}" if reference.path else "")
        hint = f"Write ${{{reference.name}.output.{rest}}}."
    return FlowDefinitionError(
        f"{reference} asks for {reference.section!r} of a node; only its output can be referred to.",
        file=file,
        line=line,
        node=node,
        hint=hint,
        kind="UnsupportedReference",
    )


def _hint_for_node(reference: Reference, names: Collection[str], own: str) -> str:
    if reference.name.strip() in names:
        return f"Write ${{{reference.name.strip()}.output}} without blanks inside the braces."
    if reference.name in ("inputs", "flow"):
        return "Write ${inputs.NAME} for a flow input."
    return suggest(reference.name, [name for name in names if name != own])


def _line_of(node: Node, reference: Reference) -> int | None:
    for name, value in node.inputs.items():
        if value is reference:
            return node.lines.get(f"inputs.{name}", node.line)
    for condition in (node.activate, node.skip):
        if condition is not None and reference in (condition.when, condition.value):
            return condition.line
    return node.line


def sort_nodes(nodes: Sequence[Node], *, file: str) -> tuple[Node, ...]:
    """The nodes in an order in which they could run; among free nodes the one declared first comes first.

    Raises:
        FlowDefinitionError: `NodeCircularDependency`, naming all nodes on or behind a cycle, by alphabet.
    """
    position = {node.name: index for index, node in enumerate(nodes)}
    waiting: dict[int, set[int]] = {}
    followers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        needed = {position[r.name] for r in node.references() if r.kind == "node" and r.name in position}
        waiting[index] = needed
        for before in needed:
            followers.setdefault(before, []).append(index)
    free = [index for index, needed in waiting.items() if not needed]
    heapq.heapify(free)
    order: list[int] = []
    while free:
        index = heapq.heappop(free)
        order.append(index)
        for after in followers.get(index, ()):
            waiting[after].discard(index)
            if not waiting[after]:
                heapq.heappush(free, after)
    if len(order) < len(nodes):
        stuck = sorted({node.name for index, node in enumerate(nodes) if index not in set(order)})
        first = min(set(range(len(nodes))) - set(order))
        raise FlowDefinitionError(
            f"The nodes wait for each other in a circle: {', '.join(stuck)}.",
            file=file,
            line=nodes[first].line,
            hint="Remove one of the references between them.",
            kind="NodeCircularDependency",
        )
    return tuple(nodes[index] for index in order)


def check_outputs(
    outputs: Mapping[str, OutputDef],
    nodes: Sequence[Node],
    inputs: Mapping[str, InputDef],
    *,
    file: str,
    report: Report,
) -> tuple[dict[str, OutputDef], list[Finding]]:
    """The outputs that a row can give, and warnings about those left out.

    Reports `EmptyOutputReference` and `OutputReferenceNotFound`. An output of an aggregation node is left out: it
    belongs to the run, not to a row.
    """
    by_name = {node.name: node for node in nodes}
    kept: dict[str, OutputDef] = {}
    warnings: list[Finding] = []
    for name, output in outputs.items():
        reference = output.reference
        if not isinstance(reference, Reference):
            if reference in (None, ""):
                report(
                    FlowDefinitionError(
                        f"The output {name!r} has no reference.",
                        file=file,
                        line=output.line,
                        hint="Write reference: ${NODE.output}.",
                        kind="EmptyOutputReference",
                    )
                )
            kept[name] = output
            continue
        known = by_name if reference.kind == "node" else inputs
        if reference.name not in known:
            what = "node" if reference.kind == "node" else "flow input"
            report(
                FlowDefinitionError(
                    f"The output {name!r} refers to the {what} {reference.name!r}, which does not exist.",
                    file=file,
                    line=output.line,
                    hint=suggest(reference.name, known),
                    kind="OutputReferenceNotFound",
                )
            )
        elif reference.kind == "node" and by_name[reference.name].aggregation:
            warnings.append(
                Finding(
                    severity="warning",
                    code="aggregation-output",
                    message=f"The output {name!r} comes from the aggregation node {reference.name!r} and is left out of"
                    " the outputs of a row.",
                    file=file,
                    line=output.line,
                )
            )
            continue
        elif reference.kind == "node" and reference.section != "output":
            warnings.append(section_of_output(name, reference, file=file, line=output.line))
        kept[name] = output
    return kept, warnings


def section_of_output(name: str, reference: Reference, *, file: str, line: int | None) -> Finding:
    """For outputs of the flow prompt flow never looks at the word `output`; flows that say `outputs` are in use."""
    return Finding(
        severity="warning",
        code="section-ignored",
        message=f"The output {name!r} reads {reference}; it is taken as"
        f" ${{{reference.name}.output{'.' + reference.path if reference.path else ''}}}.",
        file=file,
        line=line,
    )
