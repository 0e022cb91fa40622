"""A flow drawn: boxes and arrows for a terminal, Mermaid for a page, JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genaiops.flows import Flow, Node, Reference

MAX_LINES_IN_A_BOX = 8
_GAP = "   "


def flow_json(flow: Flow) -> dict[str, Any]:
    """The flow as one JSON object."""
    return {
        "schema_version": 1,
        "flow": flow.name,
        "kind": flow.kind,
        "path": str(flow.path),
        "entry": flow.entry,
        "inputs": {name: definition.to_json() for name, definition in flow.inputs.items()},
        "outputs": {name: definition.to_json() for name, definition in flow.outputs.items()},
        "init": {name: definition.to_json() for name, definition in flow.init.items()},
        "nodes": [_node_json(node) for node in flow.nodes],
        "variants": {name: {"default": v.default, "ids": list(v.ids)} for name, v in flow.variants.items()},
        "edges": [[source, node.name] for node in flow.nodes for source in _sources(node)],
    }


def _node_json(node: Node) -> dict[str, Any]:
    source = node.source
    return {
        "name": node.name,
        "type": node.type,
        "source": (source.path or source.tool) if source else None,
        "inputs": {name: _shown(value) for name, value in node.inputs.items()},
        "connection": node.connection,
        "variant": node.variant,
        "aggregation": node.aggregation,
        "activate": None if node.activate is None else f"{node.activate.when} is {node.activate.expected!r}",
    }


def _shown(value: object) -> object:
    return value if value is None or isinstance(value, (str, int, float, bool, list, dict)) else str(value)


def _sources(node: Node) -> list[str]:
    """The nodes it waits for; `inputs` stands for the flow's inputs."""
    found = ["inputs" if reference.kind == "input" else reference.name for reference in node.references()]
    return list(dict.fromkeys(found))


def mermaid(flow: Flow) -> str:
    """The flow as a Mermaid flowchart."""
    ids = {node.name: f"n{number}" for number, node in enumerate(flow.nodes)}
    lines = ["flowchart TD"]
    if flow.inputs:
        lines.append(f'  inputs(["{_safe("inputs: " + ", ".join(flow.inputs))}"])')
    for node in flow.nodes:
        kind = f"{node.type}{', once' if node.aggregation else ''}{f', {node.variant}' if node.variant else ''}"
        lines.append(f'  {ids[node.name]}["{_safe(node.name)}<br/>{_safe(kind)}"]')
    if not flow.nodes:
        lines.append(f'  n0["{_safe(flow.name)}<br/>{_safe(flow.entry or flow.kind)}"]')
    if flow.outputs:
        lines.append(f'  outputs(["{_safe("outputs: " + ", ".join(flow.outputs))}"])')
    lines += _mermaid_edges(flow, ids)
    return "\n".join(lines)


def _mermaid_edges(flow: Flow, ids: Mapping[str, str]) -> Iterator[str]:
    if not flow.nodes:
        yield from ["  inputs --> n0"] if flow.inputs else []
        yield from ["  n0 --> outputs"] if flow.outputs else []
        return
    for node in flow.nodes:
        for name, value in node.inputs.items():
            if isinstance(value, Reference) and (value.kind == "input" or value.name in ids):
                source = "inputs" if value.kind == "input" else ids[value.name]
                yield f'  {source} -->|"{_safe(name)}"| {ids[node.name]}'
        when = node.activate.when if node.activate else None
        if isinstance(when, Reference) and when.name in ids:
            yield f"  {ids[when.name]} -.->|activate| {ids[node.name]}"
    for name, output in flow.outputs.items():
        reference = output.reference
        if isinstance(reference, Reference) and reference.name in ids and reference.kind == "node":
            yield f'  {ids[reference.name]} -->|"{_safe(name)}"| outputs'
        elif isinstance(reference, Reference) and reference.kind == "input":
            yield f'  inputs -->|"{_safe(name)}"| outputs'


def _safe(text: str) -> str:
    """Text inside Mermaid's quotes."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def draw(flow: Flow, width: int = 100) -> str:
    """The flow as boxes, a row of boxes for each step, arrows between the steps."""
    rows: list[list[list[str]]] = []
    if flow.inputs:
        rows.append([_box("inputs", _input_lines(flow), width)])
    if not flow.nodes:
        rows.append([_box(flow.name, [flow.entry or flow.kind, *_init_lines(flow)], width)])
    for layer in _layers(flow):
        boxes = [_box(_title(node), _node_lines(node), width) for node in layer]
        rows += _fit(boxes, width)
    if flow.outputs:
        rows.append([_box("outputs", _output_lines(flow), width)])
    return "\n".join(_join(rows))


def _layers(flow: Flow) -> list[list[Node]]:
    """Nodes by the number of steps before them; those that run once, after all rows, come last."""
    depth: dict[str, int] = {}
    for node in flow.nodes:
        depth[node.name] = 1 + max((depth.get(source, 0) for source in _sources(node)), default=0)
    rows = [node for node in flow.nodes if not node.aggregation]
    once = [node for node in flow.nodes if node.aggregation]
    layers = []
    for nodes in (rows, once):
        for level in sorted({depth[node.name] for node in nodes}):
            layers += [[node for node in nodes if depth[node.name] == level]]
    return layers


def _title(node: Node) -> str:
    once = ", once after all rows" if node.aggregation else ""
    variant = f", {node.variant}" if node.variant else ""
    return f"{node.name} ({node.type}{variant}{once})"


def _node_lines(node: Node) -> list[str]:
    lines = []
    if node.source is not None:
        lines.append(node.source.tool or node.source.path or "")
    if node.connection:
        lines.append(f"connection {node.connection}")
    if node.activate is not None:
        lines.append(f"only if {_reference_text(node.activate.when)} is {node.activate.expected!r}")
    lines += [f"{name} ← {_reference_text(value)}" for name, value in node.inputs.items()]
    return lines


def _reference_text(value: object) -> str:
    """A reference without its braces, a literal as it is."""
    if not isinstance(value, Reference):
        return " ".join(str(value).split())
    return str(value)[2:-1].replace("flow.", "inputs.", 1) if str(value).startswith("${flow.") else str(value)[2:-1]


def _input_lines(flow: Flow) -> list[str]:
    return [
        f"{name}: {definition.type}{f' = {definition.default!r}' if definition.has_default else ''}"
        for name, definition in flow.inputs.items()
    ]


def _init_lines(flow: Flow) -> list[str]:
    return [f"init {name}: {definition.type}" for name, definition in flow.init.items()]


def _output_lines(flow: Flow) -> list[str]:
    return [
        f"{name} ← {_reference_text(output.reference)}" if output.reference is not None else f"{name}: {output.type}"
        for name, output in flow.outputs.items()
    ]


def _box(title: str, lines: Sequence[str], width: int) -> list[str]:
    """A box of text; long lines are cut, many lines are counted."""
    most = max(20, min(56, width - 4))
    shown = [f"{line[: most - 1]}…" if len(line) > most else line for line in lines]
    if len(shown) > MAX_LINES_IN_A_BOX:
        shown = [*shown[: MAX_LINES_IN_A_BOX - 1], f"… and {len(shown) - MAX_LINES_IN_A_BOX + 1} more"]
    inner = max(len(title) + 2, *(len(line) for line in shown), 0) if shown else len(title) + 2
    head = f"╭─ {title} {'─' * (inner - len(title) - 1)}╮"
    return [head, *(f"│ {line.ljust(inner)} │" for line in shown), f"╰{'─' * (inner + 2)}╯"]


def _fit(boxes: list[list[str]], width: int) -> list[list[list[str]]]:
    """Boxes of one step in as many rows as the width asks for."""
    rows: list[list[list[str]]] = [[]]
    used = 0
    for box in boxes:
        if rows[-1] and used + len(box[0]) > width:
            rows.append([])
            used = 0
        rows[-1].append(box)
        used += len(box[0]) + len(_GAP)
    return rows


def _join(rows: list[list[list[str]]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        height = max(len(box) for box in row)
        for line in range(height):
            yield _GAP.join(box[line] if line < len(box) else " " * len(box[0]) for box in row).rstrip()
        if number < len(rows) - 1:
            for mark in ("│", "▼"):
                yield _GAP.join(mark.center(len(box[0])) for box in row).rstrip()
