"""Entries of `nodes`, and the parts of a flow's head, from plain YAML data into records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._conversion import VALUE_TYPES
from genaiops.flows._graph import Report
from genaiops.flows._model import Condition, Finding, InputDef, Node, NodeSource, OutputDef
from genaiops.flows._references import Reference, parse_reference
from genaiops.flows._variants import ChosenBody
from genaiops.flows._yaml import Place, YamlDocument

NODE_KEYS = tuple(
    "name type source inputs tool api connection provider module aggregation reduce activate skip use_variants"  # noqa: SIM905
    " enable_cache cache comment description".split()
)
INPUT_KEYS = ("type", "default", "description", "enum", "is_chat_input", "is_chat_history", "name")
OUTPUT_KEYS = ("type", "reference", "description", "evaluation_only", "is_chat_output", "name")
SOURCE_TYPES = ("code", "package", "package_with_prompt")
# Nodes that are a template and nothing else, whatever the source calls itself.
TEMPLATE_NODES = ("llm", "prompt")
CONNECTION_SUFFIX = "Connection"
MODEL_CONFIGURATIONS = ("AzureOpenAIModelConfiguration", "OpenAIModelConfiguration")


class Reader:
    """Reads one flow file: knows where each part stands, collects errors through `report` and warnings itself."""

    def __init__(self, document: YamlDocument, report: Report) -> None:
        self.document = document
        self.report = report
        self.warnings: list[Finding] = []

    def mapping(self, value: Any, *place: str | int) -> Mapping[str, Any]:
        """`value` as a mapping; null is an empty one, anything else an error."""
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return value
        self.error(f"{_spoken(place)} should be a mapping and is a {_kind_of(value)}.", *place)
        return {}

    def error(
        self, message: str, *place: str | int, hint: str | None = None, kind: str = "FlowDefinitionError"
    ) -> None:
        """Report an error of the file at a place."""
        self.report(
            FlowDefinitionError(message, file=self.document.path, line=self.document.line(*place), hint=hint, kind=kind)
        )

    def warn(
        self, code: str, message: str, *place: str | int, hint: str | None = None, node: str | None = None
    ) -> None:
        """Note a warning at a place."""
        self.warnings.append(
            Finding(
                severity="warning",
                code=code,
                message=message,
                file=str(self.document.path),
                line=self.document.line(*place),
                hint=hint,
                node=node,
            )
        )

    def check_keys(self, data: Mapping[str, Any], known: tuple[str, ...], *place: str | int) -> None:
        """Warn about keys that mean nothing here."""
        for key in data:
            if key not in known:
                self.warn(
                    "unknown-key",
                    f"{_spoken(place)} has a key {key!r} that means nothing here.",
                    *place,
                    key,
                    hint=suggest(str(key), known),
                )

    # Inputs and outputs

    def inputs(self, data: Any, section: str, *, allow_connections: bool = False) -> dict[str, InputDef]:
        """The definitions in `inputs` or `init`."""
        return {
            str(name): self._input(str(name), definition, section, allow_connections)
            for name, definition in self.mapping(data, section).items()
        }

    def _input(self, name: str, definition: Any, section: str, allow_connections: bool) -> InputDef:
        if isinstance(definition, str):  # `inputs: {text: string}`
            definition = {"type": definition}
        data = self.mapping(definition, section, name)
        self.check_keys(data, INPUT_KEYS, section, name)
        history = data.get("is_chat_history")
        return InputDef(
            type=self._type(data, section, name, allow_connections=allow_connections),
            default=data.get("default"),
            has_default="default" in data,
            description=_text(data.get("description")),
            enum=tuple(data["enum"]) if isinstance(data.get("enum"), list) else (),
            is_chat_input=is_true(data.get("is_chat_input")),
            is_chat_history=None if history is None else is_true(history),
            line=self.document.line(section, name),
        )

    def _type(self, data: Mapping[str, Any], section: str, name: str, *, allow_connections: bool) -> str:
        written = data.get("type")
        if written is None:
            self.warn("missing-type", f"The {section[:-1]} {name!r} has no type; it is taken as object.", section, name)
            return "object"
        text = str(written)
        if text in VALUE_TYPES:
            return text
        if allow_connections and (text.endswith(CONNECTION_SUFFIX) or text in MODEL_CONFIGURATIONS):
            return text
        known = [*VALUE_TYPES, *MODEL_CONFIGURATIONS] if allow_connections else list(VALUE_TYPES)
        self.error(
            f"{text!r} is not a type that {section[:-1]} {name!r} can have.",
            section,
            name,
            "type",
            hint=_TYPE_HINTS.get(text.lower()) or suggest(text, known),
        )
        return "object"

    def outputs(self, data: Any) -> dict[str, OutputDef]:
        """The definitions in `outputs`."""
        result: dict[str, OutputDef] = {}
        for name, written in self.mapping(data, "outputs").items():
            definition = {"reference": written} if isinstance(written, str) else written
            item = self.mapping(definition, "outputs", name)
            self.check_keys(item, OUTPUT_KEYS, "outputs", name)
            reference = item.get("reference")
            result[str(name)] = OutputDef(
                type=str(item.get("type", "object")),
                reference=parse_reference(reference) or reference,
                description=_text(item.get("description")),
                evaluation_only=is_true(item.get("evaluation_only")),
                is_chat_output=is_true(item.get("is_chat_output")),
                line=self.document.line("outputs", name, "reference"),
            )
        return result

    # Nodes

    def node(self, chosen: ChosenBody, tools: Mapping[str, Mapping[str, Any]]) -> Node:
        """One node, its variant chosen."""
        body, place = chosen.body, chosen.place
        name = str(body.get("name"))
        self.check_keys(body, NODE_KEYS, *place)
        body = _with_legacy_tool(body, tools)
        inputs = self.mapping(body.get("inputs"), *place, "inputs")
        activate = self._condition(body, "activate", name, place)
        skip = self._condition(body, "skip", name, place)
        if activate is not None and skip is not None:
            self.warn(
                "skip-and-activate", f"Node {name!r} has both activate and skip; skip is ignored.", *place, "skip"
            )
            skip = None
        return Node(
            name=name,
            type=_text(body.get("type")),
            source=self._source(body.get("source"), name, place, is_template=body.get("type") in TEMPLATE_NODES),
            inputs={str(key): _value(item) for key, item in inputs.items()},
            api=_text(body.get("api")),
            connection=_text(body.get("connection")),
            provider=_text(body.get("provider")),
            module=_text(body.get("module")),
            aggregation=is_true(body.get("aggregation")) or is_true(body.get("reduce")),
            activate=activate,
            skip=skip,
            use_variants=is_true(body.get("use_variants")),
            variant=chosen.variant,
            cache=None if body.get("cache") is None else is_true(body.get("cache")),
            line=self.document.line(*place, "name") if place[0] == "nodes" else self.document.line(*place),
            lines=self._lines(body, place),
        )

    def _lines(self, body: Mapping[str, Any], place: Place) -> dict[str, int]:
        lines: dict[str, int] = {}
        for key, value in body.items():
            line = self.document.line(*place, key)
            if line is not None:
                lines[str(key)] = line
            if isinstance(value, Mapping):
                for inner in value:
                    inner_line = self.document.line(*place, key, inner)
                    if inner_line is not None:
                        lines[f"{key}.{inner}"] = inner_line
        return lines

    def _source(self, data: Any, name: str, place: Place, *, is_template: bool) -> NodeSource | None:
        if data is None:
            return None
        if isinstance(data, str):
            return NodeSource(type="code", path=data)
        source = self.mapping(data, *place, "source")
        kind = str(source.get("type", "code"))
        if kind not in SOURCE_TYPES:
            if is_template and source.get("path"):
                self.warn("unknown-source-type", f"Node {name!r} {taken_as_code(kind)}", *place, "source", "type")
            else:
                self.error(
                    f"Node {name!r} has a source of type {kind!r}.",
                    *place,
                    "source",
                    "type",
                    hint=suggest(kind, SOURCE_TYPES),
                )
            kind = "code"
        return NodeSource(
            type=kind,  # type: ignore[arg-type] # one of three, checked above
            path=_text(source.get("path")),
            tool=_text(source.get("tool")),
        )

    def _condition(self, body: Mapping[str, Any], key: str, name: str, place: Place) -> Condition | None:
        if not body.get(key):
            return None
        data = self.mapping(body[key], *place, key)
        missing = [word for word in ("when", "is") if word not in data]
        if missing:
            self.error(
                f"The {key} of node {name!r} lacks {' and '.join(missing)}.",
                *place,
                key,
                hint=f"Write {key}: {{when: ${{NODE.output}}, is: VALUE}}.",
            )
            return None
        if data["when"] is None and data["is"] is None:
            self.warn("empty-condition", f"The {key} of node {name!r} compares nothing with nothing.", *place, key)
        return Condition(
            when=_value(data["when"]),
            expected=data["is"],
            value=_value(data.get("return")),
            has_value="return" in data,
            line=self.document.line(*place, key, "when"),
        )


def taken_as_code(kind: str) -> str:
    """What is said of a template whose source has a type of its own: prompt flow never looks at it either."""
    return f"has a source of type {kind!r}; it is taken as 'code'."


def _with_legacy_tool(body: Mapping[str, Any], tools: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """A node that names its tool by `tool:` instead of `source:`, rewritten as if it had a source."""
    tool = body.get("tool")
    if body.get("source") is not None or not isinstance(tool, str):
        return body
    meta = tools.get(tool)
    if meta is None:
        return {**body, "source": {"type": "package", "tool": tool}} if "." in tool else body
    kind = body.get("type") or meta.get("type")
    if meta.get("source"):
        return {**body, "type": kind, "source": {"type": "code", "path": meta["source"]}}
    if meta.get("module") and meta.get("function"):
        owner = f"{meta['class_name']}." if meta.get("class_name") else ""
        return {
            **body,
            "type": kind,
            "source": {"type": "package", "tool": f"{meta['module']}.{owner}{meta['function']}"},
        }
    return body


def legacy_tools(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The inline tools of older files, by name."""
    tools = data.get("tools")
    if not isinstance(tools, list):
        return {}
    return {str(tool["name"]): tool for tool in tools if isinstance(tool, Mapping) and "name" in tool}


def is_true(value: Any) -> bool:
    """True for true and for the text `true`, which older files hold."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def environment_text(value: Any) -> str:
    """An environment variable's value as text: JSON for lists and maps, `str` for the rest."""
    import json

    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _value(written: Any) -> Reference | Any:
    return parse_reference(written) or written


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _kind_of(value: Any) -> str:
    return {list: "list", str: "text", int: "number", float: "number", bool: "truth value"}.get(type(value), "value")


def _spoken(place: Place) -> str:
    return ".".join(str(part) for part in place) or "The file"


_TYPE_HINTS = {
    "str": "Write string.",
    "text": "Write string.",
    "integer": "Write int.",
    "number": "Write double.",
    "float": "Write double.",
    "boolean": "Write bool.",
    "array": "Write list.",
    "dict": "Write object.",
    "map": "Write object.",
}
