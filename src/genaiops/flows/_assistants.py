"""Assistant definitions: a YAML file that names a model, instructions, and tools that the assistant may call."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import FlowDefinitionError
from genaiops.flows._model import Node, NodeSource
from genaiops.flows._references import Reference
from genaiops.flows._sources import inside, source_path, tool_error
from genaiops.flows._tools import ToolFunction, load_package_tool, load_script_tool
from genaiops.flows._yaml import load_yaml
from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.flows._literals import LiteralPreparer

_JSON_TYPES = {
    "int": "number",
    "double": "number",
    "bool": "boolean",
    "string": "string",
    "list": "array",
    "object": "object",
}
_BUILT_IN = ("code_interpreter", "retrieval")
_PARAMETER = re.compile(r"^\s*:(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")


@record(frozen=True)
class AssistantTool:
    """A tool ready to be called, with its description for the model."""

    name: str
    openai_definition: dict[str, Any]
    func: Callable[..., Any] | None


class AssistantToolInvoker:
    """Calls the tools of an assistant by name."""

    def __init__(self, tools: Mapping[str, AssistantTool]) -> None:
        self._assistant_tools = dict(tools)

    def invoke_tool(self, func_name: str, kwargs: Mapping[str, Any]) -> Any:
        """Call a tool with the arguments that the model chose; for an async tool the result is to be awaited.

        Raises:
            KeyError: There is no such tool, or it has no function.
        """
        function = self._assistant_tools[func_name].func
        if function is None:
            raise KeyError(func_name)
        return function(**kwargs)

    def to_openai_tools(self) -> list[dict[str, Any]]:
        """The tools as the model is told of them."""
        return [tool.openai_definition for tool in self._assistant_tools.values()]


@dataclass
class AssistantDefinition:
    """A model, its instructions, and its tools as written; `_tool_invoker` calls them."""

    model: str
    instructions: str
    tools: list[Any]

    def __post_init__(self) -> None:
        self._tool_invoker: AssistantToolInvoker | None = None

    @staticmethod
    def deserialize(data: Mapping[str, Any]) -> AssistantDefinition:
        """From the content of the YAML file."""
        return AssistantDefinition(
            model=data.get("model", ""), instructions=data.get("instructions", ""), tools=data.get("tools", [])
        )

    def serialize(self) -> dict[str, Any]:
        """As plain data."""
        return {"model": self.model, "instructions": self.instructions, "tools": self.tools}


def load_assistant(written: Any, folder: Path, literals: LiteralPreparer, node: Node, name: str) -> AssistantDefinition:
    """The definition in a YAML file of the flow, its tools loaded.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `InvalidSource` or `InvalidAssistantTool`.
    """
    path = inside(folder, written) if isinstance(written, str) else None
    if path is None or not path.is_file():
        message = f"The input {name!r} names the file {written!r}, which is not a file of the flow."
        raise tool_error(node, "InvalidSource", message, file=None, line=node.lines.get(f"inputs.{name}", node.line))
    definition = AssistantDefinition.deserialize(load_yaml(path).data or {})
    tools: dict[str, AssistantTool] = {}
    for written_tool in definition.tools:
        tool = _load_tool(written_tool, folder, path, literals, node)
        tools[tool.name] = tool
    definition._tool_invoker = AssistantToolInvoker(tools)
    return definition


def _load_tool(
    written: Mapping[str, Any], folder: Path, path: Path, literals: LiteralPreparer, node: Node
) -> AssistantTool:
    kind = written.get("type")
    if kind in _BUILT_IN:
        return AssistantTool(str(kind), dict(written), None)
    if kind != "function":
        raise _invalid(node, path, f"A tool has the type {kind!r}; valid: function, {', '.join(_BUILT_IN)}.")
    if written.get("tool_type") != "python":
        raise _invalid(node, path, f"A function tool needs tool_type: python, not {written.get('tool_type')!r}.")
    source = written.get("source")
    if not isinstance(source, Mapping):
        raise _invalid(node, path, "A function tool has no source.")
    inputs = written.get("predefined_inputs") or {}
    stand_in = Node(
        name=node.name,
        type="python",
        source=_source(source, node, path),
        inputs={key: value for key, value in inputs.items() if not isinstance(value, Reference)},
        line=node.line,
    )
    if stand_in.source is not None and stand_in.source.type == "package":
        tool = load_package_tool(stand_in, file=path)
    else:
        tool = load_script_tool(stand_in, source_path(stand_in, folder, file=path))
    fixed = literals.prepare(stand_in, tool.parameters, tool.module)
    name = tool.call.__name__
    return AssistantTool(name, _definition(tool, fixed), functools.partial(tool.call, **fixed))


def _source(source: Mapping[str, Any], node: Node, path: Path) -> NodeSource:
    kind = source.get("type", "code")
    needed = {"code": "path", "package": "tool"}.get(str(kind))
    if needed is None or not source.get(needed):
        raise _invalid(node, path, f"The source of a function tool of type {kind!r} has no {needed or 'such type'}.")
    return NodeSource(type="package" if kind == "package" else "code", path=source.get("path"), tool=source.get("tool"))


def _invalid(node: Node, path: Path, message: str) -> FlowDefinitionError:
    return tool_error(node, "InvalidAssistantTool", message, file=path, line=1)


def _definition(tool: ToolFunction, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The tool as the model is told of it: JSON Schema from the signature, texts from the docstring."""
    description, texts = _read_docstring(inspect.getdoc(tool.call) or "")
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, item in tool.parameters.items():
        if name in fixed:
            continue
        if not item.has_default:
            required.append(name)
        properties[name] = {"type": _JSON_TYPES.get(item.type, "object"), "description": texts.get(name, "")}
        if item.enum:
            properties[name]["enum"] = list(item.enum)
    parameters = {"type": "object", "properties": properties, "required": required}
    return {
        "type": "function",
        "function": {"name": tool.call.__name__, "description": description, "parameters": parameters},
    }


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description of a function and of its parameters (`:param name: text`)."""
    lines = text.splitlines()
    start = next((index for index, line in enumerate(lines) if line.lstrip().startswith(":")), len(lines))
    parameters: dict[str, str] = {}
    current: str | None = None
    for line in lines[start:]:
        match = _PARAMETER.match(line)
        if match:
            current = match[1]
            parameters[current] = match[2].strip()
        elif line.lstrip().startswith(":"):
            current = None
        elif current and line.strip():
            parameters[current] += f"\n{line.strip()}"
    head = lines[:start]
    summary, rest = (head[0], head[1:]) if head else ("", [])
    if not rest:
        return summary, parameters
    body = "\n".join(rest).strip()
    # A summary that a blank line follows keeps its line end, as the parser that prompt flow uses gives it.
    return f"{summary}\n{body}" if body or not rest[0].strip() else summary, parameters
