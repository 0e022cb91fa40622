"""A prompty file against itself: front matter, model, template, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import GenaiopsError, suggest
from genaiops.flows._check_graph import mapping
from genaiops.flows._check_nodes import ConnectionUse
from genaiops.flows._check_report import Report
from genaiops.flows._check_templates import check_roles, check_template, near
from genaiops.flows._check_values import VALUE_TYPES, misfit
from genaiops.flows._yaml import YamlDocument, parse_yaml
from genaiops.records import record

_MODEL_KEYS = ("api", "configuration", "parameters", "response")
_V2_KEYS = ("id", "provider", "apiType", "connection", "options")
# As compared: lower case, without `_` and `-`.
_PROVIDERS = frozenset({"azureopenai", "openai", "serverless", "simulated"})
_CONNECTIONS = ("AzureOpenAIConnection", "OpenAIConnection", "ServerlessConnection")
# What names the model, by provider; the others know which model they are.
_MODEL_FIELDS = {"azureopenai": "azure_deployment", "openai": "model"}


@record(frozen=True, slots=True)
class PromptyText:
    """A prompty taken apart: its front matter with lines, its template, and where the template starts."""

    front: YamlDocument
    body: str
    body_line: int


def split_prompty(path: Path, report: Report) -> PromptyText | None:
    """Take a prompty apart; what makes that impossible is reported."""
    from genaiops.prompts import split_prompty as split_text

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        report.error("UserErrorException", f"The file is not UTF-8 text: {error}.", file=path)
        return None
    try:
        split = split_text(text, path)
        front = parse_yaml(split.front, path, first_line=split.front_line)
    except GenaiopsError as error:
        report.raised(error, file=path)
        return None
    return PromptyText(front, split.body, split.body_line)


def is_second_dialect(front: Mapping[str, Any]) -> bool:
    """Whether this is the newer dialect of prompty 2.x, which prompt flow never ran."""
    model = front.get("model")
    if isinstance(model, str):
        return True
    first = set(_MODEL_KEYS) & mapping(model).keys()
    return not first and bool(set(_V2_KEYS) & mapping(model).keys())


def check_prompty(path: Path, report: Report) -> tuple[YamlDocument | None, list[ConnectionUse]]:
    """Check a prompty file; returns its front matter and the connections it names."""
    parts = split_prompty(path, report)
    if parts is None:
        return None, []
    front = mapping(parts.front.data)
    if not front:
        report.error("UserErrorException", "The front matter is empty or no mapping.", file=path, line=1)
        return parts.front, []
    if is_second_dialect(front):
        translated = _translate(front, parts, path, report)
        if translated is None:
            return parts.front, []
        front = translated
    uses = _check_model(front, parts.front, report)
    _check_inputs(front, parts.front, report)
    template = check_template(parts.body, file=path, report=report, first_line=parts.body_line)
    if template is not None:
        declared = {*mapping(front.get("inputs")), *mapping(front.get("sample"))}
        for name in sorted(template.variables - declared):
            # The file of a sample is not read: it may live elsewhere.
            if isinstance(front.get("sample"), str) and not front.get("inputs"):
                break
            report.warning(
                "template-variable-without-input",
                f"The template reads {name!r}, which is no input; it renders as empty text.",
                file=path,
                line=template.line_of(name),
                hint=suggest(name, declared) if declared else f"Add {name!r} to 'inputs'.",
            )
        if mapping(front.get("model")).get("api", "chat") == "chat":
            check_roles(template, file=path, report=report)
    return parts.front, uses


def _translate(front: Mapping[str, Any], parts: PromptyText, path: Path, report: Report) -> Mapping[str, Any] | None:
    """The front matter in the first dialect; None, and an error, when it asks for what differs."""
    from genaiops.prompts import translate_prompty

    line = parts.front.line("model")
    try:
        translated, warnings = translate_prompty(front, path)
    except GenaiopsError as error:
        report.error("prompty-second-dialect", error.message, file=path, line=line, hint=error.hint)
        return None
    told = " ".join(warning.removeprefix(f"{path}: ") for warning in warnings)
    message = f"This prompty is written for prompty 2.x and runs translated. {told}".strip()
    report.warning("prompty-second-dialect", message, file=path, line=line)
    return translated


def _check_model(front: Mapping[str, Any], document: YamlDocument, report: Report) -> list[ConnectionUse]:
    model = mapping(front.get("model"))
    for key in model:
        if key not in _MODEL_KEYS:
            report.warning(
                "unknown-key",
                f"'model' has a key {key!r} that means nothing.",
                file=document.path,
                line=document.line("model", key),
                hint=near(str(key), _MODEL_KEYS),
            )
    if model.get("api", "chat") not in ("chat", "completion"):
        report.error(
            "UserErrorException",
            f"'model.api' is {model.get('api')!r}.",
            file=document.path,
            line=document.line("model", "api"),
            hint=suggest(str(model.get("api")), ("chat", "completion")),
        )
    configuration = mapping(model.get("configuration"))
    line = document.line("model", "configuration")
    kind = configuration.get("type")
    spelling = re.sub(r"[_-]", "", str(kind)).lower()
    if configuration and kind is not None and spelling not in _PROVIDERS and not spelling.startswith("${"):
        # A named connection decides; without one the type has to.
        tell = report.warning if configuration.get("connection") else report.error
        tell(
            "unknown-provider",
            f"'model.configuration.type' is {kind!r}.",
            file=document.path,
            line=document.line("model", "configuration", "type"),
            hint=suggest(str(kind), ("azure_openai", "openai")),
        )
    _check_model_name(configuration, spelling, line, document, report)
    name = configuration.get("connection")
    fields = [key for key in ("azure_endpoint", "api_key", "base_url", "organization") if configuration.get(key)]
    if name and fields:
        report.error(
            "InvalidConnectionError",
            f"The model names a connection and also {', '.join(map(repr, fields))}; it can have one of the two.",
            file=document.path,
            line=document.line("model", "configuration", "connection"),
            hint="Keep 'connection', or keep the fields.",
        )
    if isinstance(name, str) and name and not name.startswith("${"):
        where = document.line("model", "configuration", "connection") or line
        return [ConnectionUse(name, document.path, where, None, _CONNECTIONS)]
    return []


def _check_model_name(
    configuration: Mapping[str, Any], provider: str, line: int | None, document: YamlDocument, report: Report
) -> None:
    """Code that loads a prompty may give the model; run by itself it needs one."""
    field = _MODEL_FIELDS.get(provider)
    if field is not None and not (configuration.get("azure_deployment") or configuration.get("model")):
        report.warning(
            "prompty-without-model",
            f"'model.configuration' has no {field!r}; the prompty runs only where code that loads it gives one.",
            file=document.path,
            line=line,
            hint=f"Add '{field}: NAME'.",
        )


def _check_inputs(front: Mapping[str, Any], document: YamlDocument, report: Report) -> None:
    for name, definition in mapping(front.get("inputs")).items():
        if not isinstance(definition, Mapping):
            continue
        kind, default = definition.get("type"), definition.get("default")
        if kind is not None and kind not in VALUE_TYPES:
            report.error(
                "FlowDefinitionError",
                f"The input {name!r} has the type {kind!r}.",
                file=document.path,
                line=document.line("inputs", name, "type"),
                hint=suggest(str(kind), VALUE_TYPES),
            )
        elif kind and default is not None and (wrong := misfit(str(kind), default)):
            report.error(
                "InputTypeError",
                f"The default of input {name!r} is {wrong}.",
                file=document.path,
                line=document.line("inputs", name, "default"),
            )
