"""The nodes of a graph against the files they name: templates, tool files, their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import suggest
from genaiops.flows._check_graph import Body, mapping
from genaiops.flows._check_report import FlowFiles, Report
from genaiops.flows._check_source import FunctionFacts, SourceFacts, read_source
from genaiops.flows._check_templates import Template, check_roles, check_template
from genaiops.flows._check_values import VALUE_TYPES, misfit
from genaiops.flows._references import parse_reference
from genaiops.flows._sources import hint_for_file, inside
from genaiops.flows._yaml import Place, YamlDocument
from genaiops.records import record

APIS: Mapping[str, frozenset[str]] = {
    "chat": frozenset(
        ("temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty", "frequency_penalty",
         "logit_bias", "user", "seed", "function_call", "functions", "tools", "tool_choice", "response_format",
         "deployment_name", "model")
    ),
    "completion": frozenset(
        ("suffix", "max_tokens", "temperature", "top_p", "n", "stream", "logprobs", "echo", "stop",
         "presence_penalty", "frequency_penalty", "best_of", "logit_bias", "user", "deployment_name", "model")
    ),
}  # fmt: skip
_LLM_MODULES = ("promptflow.tools.aoai", "promptflow.tools.openai")
# A template variable of these names would hide a parameter of the call.
_RESERVED = {"prompt"}
# A script that may be called with anything.
_ANYTHING = FunctionFacts("", 1, (), takes_any=True)


@record(frozen=True, slots=True)
class ConnectionUse:
    """A place where a flow names a connection.

    Args:
        types: Connection classes that fit, empty when any does.
    """

    name: str
    file: Path
    line: int | None
    node: str | None
    types: tuple[str, ...] = ()


def check_nodes(bodies: list[Body], document: YamlDocument, files: FlowFiles, report: Report) -> list[ConnectionUse]:
    """Check every body against its files; returns the connections the nodes name."""
    uses: list[ConnectionUse] = []
    for body in bodies:
        kind = body.data.get("type")
        source = mapping(body.data.get("source"))
        if kind == "python" and source.get("type", "code") == "code":
            uses += _check_script(body, source, document, files, report)
        elif kind in ("llm", "prompt"):
            uses += _check_prompt(body, source, document, files, report)
        elif kind in ("python", "custom_llm"):
            uses += _check_package(body, source, document, files, report)
    return uses


def _source_file(
    body: Body, source: Mapping[str, Any], document: YamlDocument, files: FlowFiles, report: Report, *, what: str
) -> Path | None:
    written = source.get("path")
    place: Place = (*body.place, "source", "path")
    where: dict[str, Any] = {"file": document.path, "line": document.line(*place), "node": body.name}
    if not isinstance(written, str) or not written:
        if body.data.get("source"):
            report.error("InvalidSource", f"{body.title} has a source without a path.", **where)
        return None
    if inside(files.home, written) is None:
        report.error(
            "InvalidSource",
            f"{body.title}: the {what} {written!r} lies outside the flow's folder.",
            hint="Move the file into the folder, or list it under additional_includes.",
            **where,
        )
        return None
    found = files.find(written)
    if found is None or not found.is_file():
        suffix = Path(written).suffix
        report.error(
            "InvalidSource",
            f"{body.title}: the {what} {written!r} does not exist.",
            hint=hint_for_file(written, files.names(suffix)),
            **where,
        )
        return None
    return found


def _check_script(
    body: Body, source: Mapping[str, Any], document: YamlDocument, files: FlowFiles, report: Report
) -> list[ConnectionUse]:
    path = _source_file(body, source, document, files, report, what="tool file")
    facts = None if path is None else read_python(path, report, node=body.name)
    if facts is None:
        return []
    tool = _only_tool(body, facts, report)
    if tool is None:
        return []
    _check_arguments(body, tool, document, report)
    return _literal_connections(body, tool, document)


def read_python(path: Path, report: Report, *, node: str | None = None) -> SourceFacts | None:
    """The facts of a Python file; a syntax error is reported."""
    try:
        return read_source(path)
    except SyntaxError as error:
        text = (error.text or "").strip()
        report.error(
            "PythonLoadError",
            f"The file is not valid Python: {error.msg}.",
            file=path,
            line=error.lineno,
            node=node,
            hint=f"The line reads {text[:80]!r}." if text else None,
        )
    except (OSError, ValueError) as error:
        report.error("PythonLoadError", f"The file cannot be read: {error}.", file=path, node=node)
    return None


def _only_tool(body: Body, facts: SourceFacts, report: Report) -> FunctionFacts | None:
    if len(facts.tools) == 1:
        return facts.tools[0]
    if len(facts.tools) > 1:
        report.error(
            "MultipleToolsDefined",
            f"{len(facts.tools)} functions are decorated with @tool: {', '.join(t.name for t in facts.tools)}.",
            file=facts.path,
            line=facts.tools[1].line,
            node=body.name,
            hint="Keep one @tool in a file; move the others to files of their own.",
        )
        return None
    if facts.may_hide_tools or facts.open_ended:
        return _ANYTHING
    names = ", ".join(facts.functions) or "none"
    report.error(
        "NoToolDefined",
        f"No function of the file is decorated with @tool (functions found: {names}).",
        file=facts.path,
        line=next((f.line for f in facts.functions.values()), 1),
        node=body.name,
        hint="Write 'from promptflow.core import tool' and put '@tool' above the function that the node calls.",
    )
    return None


def _given(body: Body) -> dict[str, Any]:
    """Inputs that reach the function: a literal that is empty is as good as absent."""
    return {key: value for key, value in body.inputs().items() if value is not None and value != ""}


def _check_arguments(body: Body, tool: FunctionFacts, document: YamlDocument, report: Report) -> None:
    given = _given(body)
    known = [parameter.name for parameter in tool.parameters]
    missing = []
    for name in (name for name in tool.required if name not in given):
        parameter = tool.parameter(name)
        if parameter is not None and parameter.connection_types:
            _report_no_connection(body, name, document, report)
        else:
            missing.append(name)
    if missing:
        names = ", ".join(map(repr, missing))
        free = [name for name in given if name not in known]
        report.error(
            "MissingRequiredInputs",
            f"{body.title} does not give {names}, which {tool.name}() needs.",
            file=document.path,
            line=document.line(*body.place, "inputs"),
            node=body.name,
            hint=suggest(missing[0], free) if free else f"Add 'inputs: {{{missing[0]}: …}}'.",
        )
    for key, value in given.items():
        place: Place = (*body.place, "inputs", key)
        parameter = tool.parameter(key)
        if parameter is None:
            if not tool.takes_any:
                report.error(
                    "unknown-argument",
                    f"{body.title} gives {key!r}, which {tool.name}() does not take.",
                    file=document.path,
                    line=document.line(*place),
                    node=body.name,
                    hint=suggest(key, [name for name in known if name not in given] or known),
                )
        elif parse_reference(value) is None and parameter.types[0] in VALUE_TYPES:
            wrong = misfit(parameter.types[0], value)
            if wrong:
                report.error(
                    "NodeInputValidationError",
                    f"{body.title}: input {key!r} is {wrong}.",
                    file=document.path,
                    line=document.line(*place),
                    node=body.name,
                )


def _literal_connections(body: Body, tool: FunctionFacts, document: YamlDocument) -> list[ConnectionUse]:
    return [
        ConnectionUse(
            value, document.path, document.line(*body.place, "inputs", key), body.name, parameter.connection_types
        )
        for key, value in _given(body).items()
        if (parameter := tool.parameter(key)) is not None
        and parameter.connection_types
        and isinstance(value, str)
        and parse_reference(value) is None
    ]


def _read_template(body: Body, path: Path, report: Report) -> Template | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        report.error("InvalidSource", f"The template is not UTF-8 text: {error}.", file=path, node=body.name)
        return None
    return check_template(text, file=path, report=report, node=body.name)


def _check_prompt(
    body: Body, source: Mapping[str, Any], document: YamlDocument, files: FlowFiles, report: Report
) -> list[ConnectionUse]:
    path = _source_file(body, source, document, files, report, what="template")
    template = None if path is None else _read_template(body, path, report)
    if body.data.get("type") == "prompt":
        if path is not None and template is not None:
            _check_variables(body, template, path, document, report, parameters=frozenset(), reserved={"template"})
        return []
    api = body.data.get("api") or "chat"
    if api not in APIS:
        report.error(
            "APINotFound",
            f"{body.title} calls the API {api!r}.",
            file=document.path,
            line=document.line(*body.place, "api"),
            node=body.name,
            hint=suggest(str(api), APIS),
        )
        return []
    _check_module(body, document, report)
    if path is not None and template is not None:
        _check_variables(body, template, path, document, report, parameters=APIS[api], reserved=_RESERVED)
        if api == "chat":
            check_roles(template, file=path, report=report, node=body.name)
    return _llm_connection(body, document, report)


def _check_module(body: Body, document: YamlDocument, report: Report) -> None:
    """The module that older files name for a provider; ours stand in for prompt flow's."""
    module = body.data.get("module")
    if isinstance(module, str) and module.startswith("promptflow.") and module not in _LLM_MODULES:
        report.error(
            "FailedToImportModule",
            f"{body.title} names the module {module!r}.",
            file=document.path,
            line=document.line(*body.place, "module"),
            node=body.name,
            hint=suggest(module, _LLM_MODULES),
        )


def _check_variables(
    body: Body,
    template: Template,
    path: Path,
    document: YamlDocument,
    report: Report,
    *,
    parameters: frozenset[str],
    reserved: set[str],
) -> None:
    """Variables that no input fills, inputs that no variable uses, variables that hide a parameter."""
    inputs = body.inputs()
    for name in sorted(template.variables & (parameters | reserved)):
        report.error(
            "NodeInputValidationError",
            f"{body.title}: the template variable {name!r} has the name of a parameter of the call.",
            file=path,
            line=template.line_of(name),
            node=body.name,
            hint="Give the variable another name, in the template and in the node's inputs.",
        )
    unused = [key for key in inputs if key not in template.variables and key not in parameters]
    for name in sorted(template.variables - inputs.keys() - parameters - reserved):
        report.warning(
            "template-variable-without-input",
            f"{body.title}: the template reads {name!r}, which no input gives; it renders as empty text.",
            file=path,
            line=template.line_of(name),
            node=body.name,
            hint=suggest(name, unused) if unused else f"Add {name!r} to the inputs of the node.",
        )
    if body.data.get("type") != "prompt":
        # A model takes more parameters than we know, and they are passed through.
        return
    for key in unused:
        report.warning(
            "unused-input",
            f"{body.title}: the template does not read the input {key!r}.",
            file=document.path,
            line=document.line(*body.place, "inputs", key),
            node=body.name,
        )


def _llm_connection(body: Body, document: YamlDocument, report: Report) -> list[ConnectionUse]:
    name = body.data.get("connection") or body.inputs().get("connection")
    if isinstance(name, str) and name and parse_reference(name) is None:
        types = ("AzureOpenAIConnection", "OpenAIConnection", "ServerlessConnection")
        return [ConnectionUse(name, document.path, document.line(*body.place, "connection"), body.name, types)]
    if not name:
        _report_no_connection(body, "connection", document, report)
    return []


def _report_no_connection(body: Body, key: str, document: YamlDocument, report: Report) -> None:
    place = (*body.place, key) if body.data.get("type") == "llm" else (*body.place, "inputs", key)
    report.error(
        "no-connection",
        f"{body.title} names no connection ({key!r} is empty).",
        file=document.path,
        line=document.line(*place),
        node=body.name,
        hint=f"Write '{key}: NAME', or run with --connections {body.name}.{key}=NAME.",
    )


def _check_package(
    body: Body, source: Mapping[str, Any], document: YamlDocument, files: FlowFiles, report: Report
) -> list[ConnectionUse]:
    tool = source.get("tool")
    where: dict[str, Any] = {"file": document.path, "line": document.line(*body.place, "source"), "node": body.name}
    if source and not tool:
        report.error("InvalidSource", f"{body.title}: a package source needs the id of a tool.", **where)
    if body.data.get("type") == "custom_llm":
        if source.get("type") != "package_with_prompt":
            report.error(
                "ResolveToolError",
                f"{body.title} is of type custom_llm; its source has to be of type package_with_prompt.",
                **where,
            )
        else:
            path = _source_file(body, source, document, files, report, what="template")
            if path is not None:
                _read_template(body, path, report)
    elif source.get("type") == "package_with_prompt":
        report.error("ResolveToolError", f"{body.title} is of type python; its source cannot have a template.", **where)
    name = body.inputs().get("connection")
    if isinstance(name, str) and name and parse_reference(name) is None:
        place = (*body.place, "inputs", "connection")
        return [ConnectionUse(name, document.path, document.line(*place), body.name)]
    return []
