"""What all flow files have in common: name, folder and includes, environment, and the shape of a chat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._includes import find_includes, merge_includes
from genaiops.flows._locate import flow_name
from genaiops.flows._model import ChatShape, Finding, Flow, InputDef, OutputDef
from genaiops.flows._nodes import Reader, environment_text
from genaiops.records import record


@record(frozen=True, kw_only=True)
class LoadOptions:
    """What may be changed while a flow is loaded; see `load_flow`."""

    variant: str | Mapping[str, str] | None = None
    overrides: Mapping[str, Any] | None = None
    connections: Mapping[str, Any] | None = None
    merged_folders: Path | None = None


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
