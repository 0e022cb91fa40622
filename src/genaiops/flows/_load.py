"""Loading a flow: from its file to a `Flow`, without importing any user code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._graph import Report, check_outputs, check_topology, sort_nodes
from genaiops.flows._includes import find_includes, merge_includes
from genaiops.flows._locate import flow_name, locate_flow
from genaiops.flows._model import ChatShape, Finding, Flow, InputDef, Node, OutputDef
from genaiops.flows._nodes import Reader, environment_text, legacy_tools
from genaiops.flows._overrides import apply_connections, apply_overrides
from genaiops.flows._sources import check_source
from genaiops.flows._variants import choose_body, parse_choice, read_variants
from genaiops.flows._yaml import Place, YamlDocument, load_yaml

Source = str | Path | Callable[..., Any]

GRAPH_KEYS = tuple(
    "$schema id name display_name description type language tags inputs outputs nodes node_variants environment"  # noqa: SIM905
    " environment_variables additional_includes message_format tools version path properties".split()
)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What may be changed while a flow is loaded; see `load_flow`."""

    variant: str | Mapping[str, str] | None = None
    overrides: Mapping[str, Any] | None = None
    connections: Mapping[str, Any] | None = None
    merged_folders: Path | None = None


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
    for name in choice:
        if name not in names:
            reader.error(
                f"There is no node {name!r} to choose a variant of.",
                "nodes",
                hint=suggest(name, [n for n in names if n in variants]),
                kind="InvalidFlowError",
            )
    return choice


# What all flow files have in common


def read_head(reader: Reader, data: Mapping[str, Any], options: LoadOptions, *, folder: Path | None = None) -> Flow:
    """The parts that every flow file has: name, folder and includes, environment, description. Kind: graph."""
    document = reader.document
    home = document.path.parent
    includes: list[Path] = []
    warnings: list[Finding] = []
    folder = folder or home
    entries = data.get("additional_includes") or []
    if not isinstance(entries, list):
        reader.error("additional_includes should be a list.", "additional_includes")
        entries = []
    if entries:
        try:
            includes = find_includes(document, entries)
        except FlowDefinitionError as error:
            reader.report(error)
        else:
            merged, warnings = merge_includes(document, includes, options.merged_folders)
            folder = merged / folder.relative_to(home) if folder.is_relative_to(home) else merged
    return Flow(
        kind="graph",
        path=document.path,
        folder=folder,
        home=home,
        name=flow_name(str(data.get("name") or home.resolve().name)),
        environment_variables={
            str(key): environment_text(value)
            for key, value in reader.mapping(data.get("environment_variables"), "environment_variables").items()
        },
        requirements=_requirements(reader, data, folder),
        message_format=_message_format(reader, data),
        type=str(data.get("type") or "standard"),
        display_name=data.get("display_name"),
        description=data.get("description"),
        tags=reader.mapping(data.get("tags"), "tags"),
        includes=tuple(includes),
        findings=tuple(warnings),
        lines={".".join(map(str, place)): line for place, line in document.lines.items() if len(place) in (1, 2)},
    )


def _requirements(reader: Reader, data: Mapping[str, Any], folder: Path) -> Path | None:
    environment = data.get("environment")
    written = environment.get("python_requirements_txt") if isinstance(environment, Mapping) else None
    if not written:
        path = folder / "requirements.txt"
        return path if path.is_file() else None
    path = folder / str(written)
    if not path.is_file():
        reader.warn(
            "missing-requirements",
            f"The requirements file {str(written)!r} does not exist.",
            "environment",
            "python_requirements_txt",
        )
        return None
    return path


def _message_format(reader: Reader, data: Mapping[str, Any]) -> str:
    written = str(data.get("message_format") or "basic")
    if written not in ("basic", "openai-vision"):
        reader.error(
            f"{written!r} is not a message format.", "message_format", hint=suggest(written, ["basic", "openai-vision"])
        )
    return written


def chat_shape(inputs: Mapping[str, InputDef], outputs: Mapping[str, OutputDef]) -> ChatShape | None:
    """Which parts of a flow carry a conversation, or None when it is not a chat flow."""
    questions = [name for name, declared in inputs.items() if declared.is_chat_input]
    answers = [name for name, declared in outputs.items() if declared.is_chat_output]
    if len(questions) != 1 or len(answers) > 1 or (outputs and not answers):
        return None
    marked = [name for name, declared in inputs.items() if declared.is_chat_history]
    by_name = inputs.get("chat_history")
    history = marked[0] if marked else None
    if history is None and by_name is not None and by_name.is_chat_history is not False:
        history = "chat_history"
    return ChatShape(input=questions[0], history=history, output=answers[0] if answers else None)
