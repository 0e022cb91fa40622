"""Loading a flow: from its file to a `Flow`, without importing any user code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._graph import Report, check_outputs, check_topology, sort_nodes
from genaiops.flows._head import LoadOptions, chat_shape, read_head
from genaiops.flows._locate import locate_flow
from genaiops.flows._model import Flow, Node
from genaiops.flows._nodes import Reader, legacy_tools
from genaiops.flows._overrides import apply_connections, apply_overrides
from genaiops.flows._sources import check_source
from genaiops.flows._variants import choose_body, parse_choice, read_variants
from genaiops.flows._yaml import Place, YamlDocument, load_yaml

Source = str | Path | Callable[..., Any]

GRAPH_KEYS = tuple(
    "$schema id name display_name description type language tags inputs outputs nodes node_variants environment"  # noqa: SIM905
    " environment_variables additional_includes message_format tools version path properties".split()
)


def load_flow(
    source: Source,
    *,
    variant: str | Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    connections: Mapping[str, Any] | None = None,
    merged_folders: Path | None = None,
) -> Flow:
    """Load a flow and check all that its files tell; no user code is imported.

    Args:
        source: A folder, a `.yaml`, `.yml` or `.prompty` file, `module:name`, or a callable.
        variant: `${node.variant}`, `node.variant`, a bare variant, or a mapping of node to variant.
        overrides: Dotted places and values: `{"inputs.text.default": "hi", "nodes.ask.inputs.temperature": 0.2}`.
        connections: `{"ask.connection": "other"}` or `{"ask": {"connection": "other", "deployment_name": "gpt-4o"}}`.
        merged_folders: Where flows with `additional_includes` are merged; by default among the temporary files.

    Raises:
        FlowDefinitionError: The first mistake, in the order in which prompt flow looks for them.

    Example:
        >>> flow = load_flow("examples/flows/echo")  # doctest: +SKIP
        >>> sorted(flow.inputs)  # doctest: +SKIP
        ['text']
    """

    def fail(error: FlowDefinitionError) -> None:
        raise error

    options = LoadOptions(variant=variant, overrides=overrides, connections=connections, merged_folders=merged_folders)
    return read_flow(source, options, fail)


def examine_flow(
    source: Source, *, variant: str | Mapping[str, str] | None = None, merged_folders: Path | None = None
) -> tuple[Flow | None, list[FlowDefinitionError]]:
    """Load a flow as far as it goes and collect every mistake instead of stopping at the first.

    Returns:
        The flow, or None when there is nothing to speak of, and the mistakes in the order met.
    """
    errors: list[FlowDefinitionError] = []
    try:
        return read_flow(source, LoadOptions(variant=variant, merged_folders=merged_folders), errors.append), errors
    except FlowDefinitionError as error:
        return None, [*errors, error]


def read_flow(source: Source, options: LoadOptions, report: Report) -> Flow:
    """Load a flow, handing every mistake that can be survived to `report`."""
    if callable(source):
        from genaiops.flows._callables import flow_of_callable

        return flow_of_callable(source)
    place = locate_flow(source)
    if place.entry is not None:
        from genaiops.flows._flex import flow_of_entry

        return flow_of_entry(place.entry, place.path)
    if place.is_prompty:
        from genaiops.flows._prompty import read_prompty_flow

        return read_prompty_flow(place.path, options, report)
    document = load_yaml(place.path)
    if not isinstance(document.data, dict):
        raise FlowDefinitionError("A flow file holds a mapping.", file=place.path, line=1)
    _refuse_other_languages(document)
    if "entry" in document.data:
        from genaiops.flows._flex import read_flex_flow

        return read_flex_flow(document, options, report)
    return read_graph(document, options, report)


def _refuse_other_languages(document: YamlDocument) -> None:
    language = document.data.get("language", "python")
    if language not in (None, "python"):
        raise FlowDefinitionError(
            f"The flow is written in {language!r}; only Python flows run here.",
            file=document.path,
            line=document.line("language"),
            kind="UserErrorException",
        )


def read_graph(document: YamlDocument, options: LoadOptions, report: Report) -> Flow:
    """A DAG flow from its file."""
    reader = Reader(document, report)
    data = document.data
    reader.check_keys(data, GRAPH_KEYS)
    head = read_head(reader, data, options)
    variants = read_variants(document, data)
    choice = _checked_choice(reader, data, options, variants)
    bodies = [
        choose_body(node, place, data, choice, document=document, report=report)
        for place, node in _raw_nodes(reader, data)
    ]
    bodies = apply_connections(bodies, options.connections, document=document, report=report)
    data, bodies = apply_overrides(data, bodies, options.overrides, document=document, report=report)
    tools = legacy_tools(data)
    nodes = [reader.node(body, tools) for body in bodies]
    inputs = reader.inputs(data.get("inputs"), "inputs")
    outputs = reader.outputs(data.get("outputs"))
    for node in nodes:
        try:
            check_source(node, head.folder, file=document.path)
        except FlowDefinitionError as error:
            report(error)
    file = str(document.path)
    check_topology(nodes, inputs, file=file, report=report)
    ordered = _sorted(nodes, file, report)
    row_outputs, dropped = check_outputs(outputs, ordered, inputs, file=file, report=report)
    return replace(
        head,
        inputs=inputs,
        outputs=row_outputs,
        nodes=ordered,
        variants=variants,
        chosen={body.body["name"]: body.variant for body in bodies if body.variant is not None},
        chat=chat_shape(inputs, row_outputs),
        findings=(*head.findings, *reader.warnings, *dropped),
    )


def _sorted(nodes: Sequence[Node], file: str, report: Report) -> tuple[Node, ...]:
    try:
        return sort_nodes(nodes, file=file)
    except FlowDefinitionError as error:
        report(error)
        return tuple(nodes)


def _raw_nodes(reader: Reader, data: Mapping[str, Any]) -> list[tuple[Place, Mapping[str, Any]]]:
    nodes = data.get("nodes")
    if nodes is None:
        return []
    if not isinstance(nodes, list):
        reader.error("nodes should be a list.", "nodes")
        return []
    found: list[tuple[Place, Mapping[str, Any]]] = []
    for index, node in enumerate(nodes):
        if not isinstance(node, Mapping) or node.get("name") in (None, ""):
            reader.error(f"Entry {index + 1} of nodes should be a mapping with a name.", "nodes", index)
            continue
        found.append((("nodes", index), node))
    return found


def _checked_choice(
    reader: Reader, data: Mapping[str, Any], options: LoadOptions, variants: Mapping[str, Any]
) -> dict[str, str]:
    try:
        choice = parse_choice(options.variant, variants)
    except FlowDefinitionError as error:
        error.file = str(reader.document.path)
        error.line = reader.document.line("node_variants")
        reader.report(error)
        return {}
    names = [str(node.get("name")) for _, node in _raw_nodes(reader, data)]
    with_variants = [name for name in names if name in variants]
    for name in choice:
        if name not in names:
            reader.error(
                f"There is no node {name!r} to choose a variant of.",
                "nodes",
                hint=suggest(name, with_variants) if with_variants else "No node of this flow has variants.",
                kind="InvalidFlowError",
            )
    return choice
