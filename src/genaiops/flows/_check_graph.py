"""A graph flow against itself: shapes, references, variants, cycles, outputs. Reads no file but the flow's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from genaiops.errors import suggest
from genaiops.flows._check_report import Report
from genaiops.flows._check_templates import near
from genaiops.flows._check_values import VALUE_TYPES, misfit
from genaiops.flows._graph import section_of_output
from genaiops.flows._nodes import SOURCE_TYPES, TEMPLATE_NODES, taken_as_code
from genaiops.flows._references import Reference, parse_reference
from genaiops.flows._yaml import Place, YamlDocument
from genaiops.records import record

FLOW_KEYS = (
    "$schema", "id", "name", "display_name", "description", "type", "language", "tags", "inputs", "outputs", "nodes",
    "node_variants", "environment", "environment_variables", "additional_includes", "message_format", "tools",
    "version", "entry", "sample", "init", "code",
)  # fmt: skip
NODE_KEYS = (
    "name", "type", "source", "inputs", "tool", "api", "connection", "provider", "module", "aggregation", "reduce",
    "activate", "skip", "use_variants", "enable_cache", "comment", "cache", "description",
)  # fmt: skip
INPUT_KEYS = ("type", "default", "description", "enum", "is_chat_input", "is_chat_history", "name")
OUTPUT_KEYS = ("type", "reference", "description", "evaluation_only", "is_chat_output", "name")
NODE_TYPES = ("python", "llm", "prompt", "custom_llm")


@record(frozen=True, slots=True)
class Body:
    """One body of a node: the node itself, or one of its variants.

    Args:
        place: Where it stands in the file.
        variant: The variant's id; None when the node has no variants.
        is_default: It is what runs when nobody chooses a variant.
    """

    name: str
    data: Mapping[str, Any]
    place: Place
    variant: str | None = None
    is_default: bool = True

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"Node {self.name!r}" if self.variant is None else f"Node {self.name!r} (variant {self.variant!r})"

    @property
    def is_aggregation(self) -> bool:
        """It runs once, after all rows."""
        return bool(self.data.get("aggregation") or self.data.get("reduce"))

    def inputs(self) -> Mapping[str, Any]:
        """Its inputs, empty when they are missing or misshapen."""
        return mapping(self.data.get("inputs"))

    def references(self) -> Iterator[tuple[Reference, Place]]:
        """Every reference and its place: inputs first, then the condition."""
        for key, value in self.inputs().items():
            reference = parse_reference(value)
            if reference is not None:
                yield reference, (*self.place, "inputs", key)
        for block in ("activate", "skip"):
            reference = parse_reference(mapping(self.data.get(block)).get("when"))
            if reference is not None:
                yield reference, (*self.place, block, "when")


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def check_graph(
    document: YamlDocument, report: Report, *, chosen: Mapping[str, str] | None = None, every_variant: bool = True
) -> list[Body]:
    """Check a graph flow's own file and return the bodies of its nodes.

    Args:
        document: The flow file.
        report: Where findings go.
        chosen: Variants chosen on the command line, by node.
        every_variant: Look at variants that nobody chose as well.
    """
    flow = mapping(document.data)
    _check_keys(flow, FLOW_KEYS, (), document, report, what="flow")
    _check_shapes(flow, document, report)
    bodies = _bodies(flow, document, report, chosen or {})
    if not every_variant:
        bodies = [body for body in bodies if body.is_default]
    for body in bodies:
        _check_body(body, bodies, flow, document, report)
    _check_cycles(bodies, document, report)
    _check_inputs(flow, document, report)
    _check_outputs(flow, bodies, document, report)
    return bodies


def _check_keys(
    found: Mapping[str, Any], known: tuple[str, ...], place: Place, document: YamlDocument, report: Report, *, what: str
) -> None:
    for key in found:
        if key not in known:
            report.warning(
                "unknown-key",
                f"The {what} has a key {key!r} that means nothing.",
                file=document.path,
                line=document.line(*place, key),
                hint=near(str(key), known),
            )


def _check_shapes(flow: Mapping[str, Any], document: YamlDocument, report: Report) -> None:
    expected = {"inputs": dict, "outputs": dict, "nodes": list, "node_variants": dict, "environment_variables": dict}
    for key, kind in expected.items():
        if flow.get(key) is not None and not isinstance(flow[key], kind):
            word = "a list" if kind is list else "a mapping"
            report.error(
                "FlowDefinitionError",
                f"{key!r} has to be {word}, found {type(flow[key]).__name__}.",
                file=document.path,
                line=document.line(key),
            )
    if not flow.get("nodes"):
        report.error(
            "FlowDefinitionError",
            "The flow has no nodes.",
            file=document.path,
            line=document.line("nodes"),
            hint="A flow file has a list 'nodes', or an 'entry: module:name'.",
        )
    language = flow.get("language", "python")
    if language not in (None, "python"):
        report.error(
            "unsupported-language",
            f"The flow is written in {language!r}; only Python flows run here.",
            file=document.path,
            line=document.line("language"),
        )


def _bodies(flow: Mapping[str, Any], document: YamlDocument, report: Report, chosen: Mapping[str, str]) -> list[Body]:
    nodes = flow.get("nodes") if isinstance(flow.get("nodes"), list) else []
    assert isinstance(nodes, list)
    bodies: list[Body] = []
    seen: dict[str, int | None] = {}
    for index, node in enumerate(nodes):
        place: Place = ("nodes", index)
        name = mapping(node).get("name")
        if not isinstance(name, str) or not name:
            report.error(
                "FlowDefinitionError",
                "A node has no name." if isinstance(node, Mapping) else "A node has to be a mapping with a name.",
                file=document.path,
                line=document.line(*place),
            )
            continue
        if name in seen:
            report.error(
                "DuplicateNodeName",
                f"Two nodes are called {name!r}; the first stands on line {seen[name]}.",
                file=document.path,
                line=document.line(*place, "name"),
                node=name,
            )
            continue
        seen[name] = document.line(*place)
        bodies += _node_bodies(name, node, place, flow, document, report, chosen.get(name))
    for name in chosen:
        if name not in seen:
            report.error(
                "InvalidFlowError",
                f"A variant was chosen for node {name!r}, which the flow does not have.",
                file=document.path,
                hint=suggest(name, seen),
            )
    return bodies


def _node_bodies(
    name: str,
    node: Mapping[str, Any],
    place: Place,
    flow: Mapping[str, Any],
    document: YamlDocument,
    report: Report,
    chosen: str | None,
) -> list[Body]:
    if not node.get("use_variants"):
        return [Body(name, node, place)]
    _check_keys(node, NODE_KEYS, place, document, report, what=f"node {name!r}")
    entry = mapping(mapping(flow.get("node_variants")).get(name))
    variants = mapping(entry.get("variants"))
    default = entry.get("default_variant_id")
    line = document.line("node_variants", name) if entry else document.line(*place, "use_variants")
    where: dict[str, Any] = {"file": document.path, "line": line, "node": name}
    if not variants:
        report.error(
            "InvalidFlowError",
            f"Node {name!r} says 'use_variants: true', but 'node_variants' has no variants for it.",
            hint=suggest(name, mapping(flow.get("node_variants"))) if flow.get("node_variants") else None,
            **where,
        )
        return [Body(name, {"type": "variant"}, place)]
    if chosen is not None and chosen not in variants:
        report.error(
            "InvalidFlowError", f"Node {name!r} has no variant {chosen!r}.", hint=suggest(chosen, variants), **where
        )
    elif chosen is None and default is None:
        report.error("InvalidFlowError", f"Node {name!r} has no 'default_variant_id'.", **where)
    elif chosen is None and default not in variants:
        report.error(
            "InvalidFlowError",
            f"The default variant {default!r} of node {name!r} is not among its variants.",
            hint=suggest(str(default), variants),
            **where,
        )
    effective = chosen or default
    if effective not in variants:
        effective = next(iter(variants))
    return [
        Body(
            name,
            mapping(mapping(variant).get("node")),
            ("node_variants", name, "variants", key, "node"),
            variant=str(key),
            is_default=key == effective,
        )
        for key, variant in variants.items()
    ]


def _check_body(
    body: Body, bodies: list[Body], flow: Mapping[str, Any], document: YamlDocument, report: Report
) -> None:
    if body.data.get("type") == "variant":
        return
    _check_keys(body.data, NODE_KEYS, body.place, document, report, what=f"node {body.name!r}")
    _check_type_and_source(body, document, report)
    _check_activate(body, document, report)
    _check_literals(body, document, report)
    names = {other.name for other in bodies}
    aggregation = {other.name for other in bodies if other.is_aggregation}
    for reference, place in body.references():
        _check_reference(body, reference, place, names, mapping(flow.get("inputs")), document, report)
        if reference.kind != "node" or reference.name not in names:
            continue
        in_activate = place[-2] == "activate"
        if not body.is_aggregation and reference.name in aggregation:
            message = f"{body.title} reads {reference}, but {reference.name!r} runs once, after all rows."
        elif body.is_aggregation and in_activate and reference.name not in aggregation:
            message = (
                f"{body.title} runs once, after all rows; its 'activate' cannot read {reference}, which differs by row."
            )
        else:
            continue
        report.error("InvalidNodeReference", message, file=document.path, line=document.line(*place), node=body.name)


def _check_type_and_source(body: Body, document: YamlDocument, report: Report) -> None:
    kind, source = body.data.get("type"), body.data.get("source")
    where: dict[str, Any] = {"file": document.path, "node": body.name}
    if kind not in NODE_TYPES:
        line = document.line(*body.place, "type") if "type" in body.data else document.line(*body.place)
        report.error(
            "NotImplementedError",
            f"{body.title} has the type {kind!r}." if kind else f"{body.title} has no type.",
            line=line,
            hint=suggest(str(kind or ""), NODE_TYPES),
            **where,
        )
    if not isinstance(source, Mapping):
        report.error(
            "ResolveToolError",
            f"{body.title} does not say where its code or template is.",
            line=document.line(*body.place),
            hint="Add 'source: {type: code, path: FILE}' or 'source: {type: package, tool: ID}'.",
            **where,
        )
        return
    written = str(source.get("type", "code"))
    if written not in SOURCE_TYPES:
        where["line"] = document.line(*body.place, "source", "type")
        if kind in TEMPLATE_NODES and source.get("path"):
            report.warning("unknown-source-type", f"{body.title} {taken_as_code(written)}", **where)
        else:
            report.error(
                "ResolveToolError",
                f"{body.title} has a source of type {written!r}.",
                hint=suggest(written, SOURCE_TYPES),
                **where,
            )
    _check_keys(source, ("type", "path", "tool"), (*body.place, "source"), document, report, what="source")


def _check_activate(body: Body, document: YamlDocument, report: Report) -> None:
    activate = body.data.get("activate")
    if activate is None:
        return
    missing = [key for key in ("when", "is") if key not in mapping(activate)]
    if missing:
        report.error(
            "FlowDefinitionError",
            f"The 'activate' of node {body.name!r} lacks {' and '.join(map(repr, missing))}.",
            file=document.path,
            line=document.line(*body.place, "activate"),
            hint="Write 'activate: {when: ${NODE.output}, is: VALUE}'.",
            node=body.name,
        )


def _check_literals(body: Body, document: YamlDocument, report: Report) -> None:
    """Text that was meant as a reference, and is not one."""
    for key, value in body.inputs().items():
        if not isinstance(value, str) or parse_reference(value) is not None:
            continue
        stripped = value.strip()
        if stripped.startswith("$") and not stripped.startswith("${") and "." in stripped and " " not in stripped:
            message = f"{value!r} is sent as text: a reference is written '${{…}}'."
        elif "${inputs." in value or (stripped.startswith("${") and stripped.endswith("}")):
            message = (
                f"{value!r} is sent as text: a reference has to be the whole value, nothing is filled in inside text."
            )
        else:
            continue
        report.warning(
            "literal-not-reference",
            f"{body.title}, input {key!r}: {message}",
            file=document.path,
            line=document.line(*body.place, "inputs", key),
            node=body.name,
        )


def _check_reference(
    body: Body,
    reference: Reference,
    place: Place,
    names: set[str],
    inputs: Mapping[str, Any],
    document: YamlDocument,
    report: Report,
) -> None:
    where: dict[str, Any] = {"file": document.path, "line": document.line(*place), "node": body.name}
    if reference.kind == "input":
        if reference.name not in inputs:
            report.error(
                "InputReferenceNotFound",
                f"{body.title} reads the flow input {reference.name!r}, which is not declared.",
                hint=suggest(reference.name, inputs),
                **where,
            )
    elif reference.name not in names:
        report.error(
            "NodeReferenceNotFound",
            f"{body.title} reads node {reference.name!r}, which does not exist.",
            hint=_hint_for_node(reference, names, inputs, body.name),
            **where,
        )
    elif reference.section != "output":
        report.error(
            "UnsupportedReference",
            f"{body.title} reads {reference.name}.{reference.section}; only {reference.name}.output can be read.",
            hint=_hint_for_section(reference),
            **where,
        )


def _hint_for_node(reference: Reference, names: set[str], inputs: Mapping[str, Any], own: str | None = None) -> str:
    stripped = reference.name.strip()
    if stripped != reference.name and (stripped in names or stripped == "inputs"):
        return "Remove the blanks inside the braces."
    if reference.name in inputs:
        return f"Did you mean ${{inputs.{reference.name}}}?"
    if reference.name == "input":
        return f"Did you mean ${{inputs.{reference.section}}}?"
    return suggest(reference.name, names - {own})


def _hint_for_section(reference: Reference) -> str:
    if reference.section.startswith("output["):
        return f"Write ${{{reference.name}.output.{reference.section[len('output') :]}}}."
    return f"Write ${{{reference.name}.output}}, or ${{{reference.name}.output.PROPERTY}}."


def _check_cycles(bodies: list[Body], document: YamlDocument, report: Report) -> None:
    """With the default variants, then with each other variant alone."""
    default = {body.name: body for body in bodies if body.is_default}
    plans = [default] + [default | {body.name: body} for body in bodies if not body.is_default]
    told: set[tuple[str, ...]] = set()
    for plan in plans:
        left = tuple(_nodes_in_cycles(plan))
        if not left or left in told:
            continue
        told.add(left)
        first = next(body for body in plan.values() if body.name in left)
        report.error(
            "NodeCircularDependency",
            f"Nodes wait for each other in a circle: {', '.join(left)}.",
            file=document.path,
            line=document.line(*first.place),
            node=first.name,
            hint="Take out one of the references between them.",
        )


def _nodes_in_cycles(plan: Mapping[str, Body]) -> list[str]:
    waits = {
        name: {r.name for r, _ in body.references() if r.kind == "node" and r.name in plan}
        for name, body in plan.items()
    }
    ready = True
    while ready:
        ready = False
        for name in [name for name, others in waits.items() if not others & waits.keys()]:
            del waits[name]
            ready = True
    return sorted(waits)


def _check_inputs(flow: Mapping[str, Any], document: YamlDocument, report: Report) -> None:
    for name, definition in mapping(flow.get("inputs")).items():
        place: Place = ("inputs", name)
        where: dict[str, Any] = {"file": document.path, "line": document.line(*place)}
        if not isinstance(definition, Mapping):
            report.error(
                "FlowDefinitionError",
                f"The input {name!r} has to be a mapping with a type.",
                hint=f"Write '{name}: {{type: string}}'.",
                **where,
            )
            continue
        _check_keys(definition, INPUT_KEYS, place, document, report, what=f"input {name!r}")
        kind = definition.get("type")
        if kind not in VALUE_TYPES:
            report.error(
                "FlowDefinitionError",
                f"The input {name!r} has the type {kind!r}." if kind else f"The input {name!r} has no type.",
                hint=suggest(str(kind or ""), VALUE_TYPES),
                file=document.path,
                line=document.line(*place, "type"),
            )
            continue
        wrong = misfit(str(kind), definition["default"]) if definition.get("default") is not None else None
        if wrong:
            report.error(
                "InputTypeError",
                f"The default of input {name!r} is {wrong}.",
                file=document.path,
                line=document.line(*place, "default"),
            )


def _check_outputs(flow: Mapping[str, Any], bodies: list[Body], document: YamlDocument, report: Report) -> None:
    names = {body.name for body in bodies}
    aggregation = {body.name for body in bodies if body.is_aggregation}
    inputs = mapping(flow.get("inputs"))
    for name, definition in mapping(flow.get("outputs")).items():
        place: Place = ("outputs", name)
        value = mapping(definition).get("reference", "")
        line = document.line(*place, "reference")
        where: dict[str, Any] = {"file": document.path, "line": line}
        _check_keys(mapping(definition), OUTPUT_KEYS, place, document, report, what=f"output {name!r}")
        reference = parse_reference(value)
        if value in ("", None):
            report.error("EmptyOutputReference", f"The output {name!r} has no reference.", **where)
        elif reference is None:
            report.warning("literal-not-reference", f"The output {name!r} is always the text {value!r}.", **where)
        elif reference.kind == "input":
            if reference.name not in inputs:
                report.error(
                    "OutputReferenceNotFound",
                    f"The output {name!r} reads the flow input {reference.name!r}, which is not declared.",
                    hint=suggest(reference.name, inputs),
                    **where,
                )
        elif reference.name not in names:
            report.error(
                "OutputReferenceNotFound",
                f"The output {name!r} reads node {reference.name!r}, which does not exist.",
                hint=_hint_for_node(reference, names, inputs),
                **where,
            )
        elif reference.name in aggregation:
            report.warning(
                "aggregation-output",
                f"The output {name!r} reads {reference.name!r}, which runs after all rows; the output is left out.",
                hint="Log a metric instead.",
                **where,
            )
        elif reference.section != "output":
            found = section_of_output(name, reference, file=str(document.path), line=line)
            report.warning(found.code, found.message, **where)
