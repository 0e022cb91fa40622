"""Files of prompty 2.x: what means the same is translated, what differs is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError

_FIRST = frozenset({"api", "configuration", "parameters", "response"})
_SECOND = frozenset({"id", "provider", "apiType", "connection", "options"})
_OPTIONS = {
    "temperature": "temperature",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "stopSequences": "stop",
    "seed": "seed",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "reasoningEffort": "reasoning_effort",
    "allowMultipleToolCalls": "parallel_tool_calls",
}
_KINDS = {
    "string": "string",
    "integer": "int",
    "float": "double",
    "number": "double",
    "boolean": "bool",
    "array": "list",
    "object": "object",
    "image": "image",
}
_MARKER = re.compile(r"\s*#?\s*(system|user|assistant|developer|tool|function)\s*(\[[^\]\n]*\])?\s*:\s*$", re.I)


def is_second_dialect(front: Mapping[str, Any]) -> bool:
    """Whether front matter is written for prompty 2.x."""
    model = front.get("model")
    if isinstance(model, str):
        return True
    keys = set(model) if isinstance(model, Mapping) else set()
    return not keys & _FIRST and bool(keys & _SECOND)


def translate(front: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The front matter in the first dialect, and what is worth a warning.

    Raises:
        FlowDefinitionError: It asks for what has no counterpart; the feature is named.
    """
    model = front.get("model")
    model = {"id": model} if isinstance(model, str) else dict(model or {})
    if str(model.get("apiType") or "chat") != "chat":
        raise _differs(path, f"apiType {model['apiType']!r}", "Only 'chat' has a counterpart.")
    _check_template_block(front.get("template"), path)
    parameters, warnings = _parameters(model.get("options") or {}, path)
    if tools := _tools(front.get("tools") or (), path):
        parameters["tools"] = tools
    inputs, examples = _inputs(front.get("inputs"), path)
    kept = {
        key: value for key, value in front.items() if key not in ("model", "inputs", "outputs", "tools", "template")
    }
    translated = {
        **kept,
        "model": {"api": "chat", "configuration": _configuration(model, path), "parameters": parameters},
        "inputs": inputs,
        "outputs": {name: {} for name, _ in _properties(front.get("outputs"))},
    }
    if examples and "sample" not in translated:
        translated["sample"] = examples
    return translated, warnings


def check_template(template: str, path: Path, first_line: int) -> str:
    """The body; text before the first marker is a system message in this dialect.

    Raises:
        FlowDefinitionError: A marker carries attributes.
    """
    lines = template.splitlines()
    for number, line in enumerate(lines, first_line):
        match = _MARKER.fullmatch(line)
        if match and match[2]:
            raise _differs(path, f"attributes on a role ({line.strip()!r})", "Write the role alone.", line=number)
    first = next((line for line in lines if line.strip()), "")
    return template if not first or _MARKER.fullmatch(first) else f"system:\n{template}"


def _configuration(model: Mapping[str, Any], path: Path) -> dict[str, Any]:
    provider = str(model.get("provider") or "openai")
    connection = model.get("connection") or {}
    kind = str(connection.get("kind") or ("key" if connection else "anonymous"))
    if provider not in ("openai", "azure"):
        raise _differs(path, f"provider {provider!r}", "'openai' and 'azure' have a counterpart.")
    if kind not in ("key", "reference", "anonymous"):
        raise _differs(path, f"connection kind {kind!r}", "'key' and 'reference' have a counterpart.")
    is_azure = provider == "azure"
    fields: dict[str, Any] = {
        "type": "azure_openai" if is_azure else "openai",
        "azure_deployment" if is_azure else "model": model.get("id"),
    }
    if kind == "reference":
        return {**fields, "connection": connection.get("name")}
    if endpoint := connection.get("endpoint"):
        fields["azure_endpoint" if is_azure else "base_url"] = endpoint
    if key := connection.get("apiKey"):
        fields["api_key"] = key
    return fields


def _parameters(options: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    parameters = {_OPTIONS[name]: value for name, value in options.items() if name in _OPTIONS}
    parameters |= dict(options.get("additionalProperties") or {})
    ignored = sorted(set(options) - set(_OPTIONS) - {"additionalProperties"})
    return parameters, tuple(f"{path}: the option {name!r} has no counterpart and is not sent." for name in ignored)


def _inputs(written: Any, path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {}
    examples: dict[str, Any] = {}
    for name, item in _properties(written):
        kind = str(item.get("kind") or "string")
        if kind not in _KINDS:
            raise _differs(path, f"an input of the kind {kind!r} ({name!r})", f"These have one: {', '.join(_KINDS)}.")
        inputs[name] = {"type": _KINDS[kind]}
        if item.get("default") is not None:
            inputs[name]["default"] = item["default"]
        elif item.get("required") is False:
            inputs[name]["default"] = None
        if "example" in item:
            examples[name] = item["example"]
    return inputs, examples


def _properties(written: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if isinstance(written, Mapping):
        return [(str(name), item if isinstance(item, Mapping) else {"default": item}) for name, item in written.items()]
    return [(str(item.get("name")), item) for item in written or () if isinstance(item, Mapping)]


def _tools(written: Any, path: Path) -> list[dict[str, Any]]:
    tools = []
    for item in written:
        kind = item.get("kind") if isinstance(item, Mapping) else None
        if kind != "function":
            raise _differs(path, f"a tool of the kind {kind!r}", "'function' has a counterpart.")
        parameters = item.get("parameters")
        if not isinstance(parameters, Mapping) or "properties" not in parameters:
            parameters = _schema(parameters)
        function = {"name": item.get("name"), "description": item.get("description") or "", "parameters": parameters}
        tools.append({"type": "function", "function": function})
    return tools


def _schema(written: Any) -> dict[str, Any]:
    names = {"float": "number", "integer": "integer", "boolean": "boolean", "array": "array", "object": "object"}
    properties = list(_properties(written))
    return {
        "type": "object",
        "properties": {
            name: {"type": names.get(str(item.get("kind")), "string"), "description": item.get("description") or ""}
            for name, item in properties
        },
        "required": [name for name, item in properties if item.get("required")],
    }


def _check_template_block(written: Any, path: Path) -> None:
    block = written if isinstance(written, Mapping) else {}
    form = block.get("format")
    kind = form.get("kind") if isinstance(form, Mapping) else form
    if kind not in (None, "jinja2"):
        raise _differs(path, f"template format {kind!r}", "Write the template in Jinja.")


def _differs(path: Path, feature: str, hint: str, *, line: int | None = None) -> FlowDefinitionError:
    return FlowDefinitionError(
        f"This prompty is written for prompty 2.x and uses {feature}, which works differently here.",
        file=path,
        line=line,
        hint=hint,
        kind="UserErrorException",
    )
