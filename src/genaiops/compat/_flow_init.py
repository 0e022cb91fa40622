"""A new flow folder: a small flow that runs at once, or one around a function that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genaiops.errors import InputError

if TYPE_CHECKING:
    from genaiops.flows import Flow

FlowType = Literal["standard", "chat", "evaluation"]
_STARTERS = Path(__file__).parent / "starters"
_GITIGNORE = ".env\n__pycache__/\n.promptflow/*\n.runs/\n"
_TOOL_FILE = "flow_entry.py"
_PYTHON_TYPES = {"string": "str", "int": "int", "double": "float", "bool": "bool", "list": "list", "object": "dict"}


def init_flow(
    folder: Path,
    *,
    kind: FlowType = "standard",
    connection: str = "open_ai_connection",
    deployment: str = "gpt-4o-mini",
) -> list[Path]:
    """Write a starter flow; files that exist are left alone.

    Args:
        folder: Where to; made when it is missing.
        kind: Which starter.
        connection: For a chat flow: the connection it names.
        deployment: For a chat flow: the deployment or model it asks for.

    Returns:
        The files that were written.
    """
    words = {"{connection}": connection, "{deployment}": deployment, "{prefix}": connection.upper()}
    # Python files carry a second suffix, so that nobody takes them for code of this package.
    found = sorted((_STARTERS / kind).iterdir())
    files = {path.name.removesuffix(".txt"): path.read_text(encoding="utf-8") for path in found}
    return _write(folder, {name: _filled(text, words) for name, text in files.items()})


def init_flow_for_function(
    folder: Path, *, entry: Path, function: str, templates: Mapping[str, Path] | None = None
) -> list[Path]:
    """Write a flow around a function of a Python file.

    Args:
        folder: Where to; the file of the function must stand in it.
        entry: The file, relative to the folder or not.
        function: Its name.
        templates: Parameter to a Jinja template that renders its value.

    Returns:
        The files that were written.

    Raises:
        InputError: The file is not in the folder, or a template does not exist.
        FlowDefinitionError: There is no such function.
    """
    from genaiops.flows import load_flow

    place = entry if entry.is_absolute() or entry.exists() else folder / entry
    if place.resolve().parent != folder.resolve():
        raise InputError(f"{entry} does not stand in {folder}.", hint="Name a Python file of the flow's folder.")
    for template in (templates or {}).values():
        if not (folder / template.name).is_file():
            raise InputError(f"The template {template} does not stand in {folder}.")
    scratch = folder / "flow.flex.yaml"
    if scratch.exists():
        raise InputError(f"{folder} holds a flow already.", hint="Name another folder.")
    scratch.write_text(f"entry: {place.stem}:{function}\n", encoding="utf-8")
    try:
        definition = load_flow(scratch)
    finally:
        scratch.unlink()
    chosen = {name: path.name for name, path in (templates or {}).items()}
    return _write(
        folder,
        {
            _TOOL_FILE: _tool_text(definition, place.stem, function),
            "flow.dag.yaml": _graph_text(definition, chosen),
        },
    )


def _tool_text(definition: Flow, module: str, function: str) -> str:
    parameters = ", ".join(
        f"{name}: {_PYTHON_TYPES.get(item.type, 'object')}" for name, item in definition.inputs.items()
    )
    arguments = ", ".join(f"{name}={name}" for name in definition.inputs)
    return (
        f"from {module} import {function}\nfrom promptflow.core import tool\n\n\n"
        f"@tool\ndef flow_entry({parameters}):\n    return {function}({arguments})\n"
    )


def _graph_text(definition: Flow, templates: Mapping[str, str]) -> str:
    from genaiops.compat._internals import dump_yaml_to_string
    from genaiops.prompts import template_variables

    inputs = {name: item.to_json() for name, item in definition.inputs.items() if name not in templates}
    references = {
        name: f"${{{name}_prompt.output}}" if name in templates else f"${{inputs.{name}}}" for name in definition.inputs
    }
    nodes: list[dict[str, object]] = []
    for name, file in templates.items():
        variables = sorted(template_variables((definition.home / file).read_text(encoding="utf-8")))
        inputs |= {variable: {"type": "string"} for variable in variables}
        nodes.append(
            {
                "name": f"{name}_prompt",
                "type": "prompt",
                "source": {"type": "code", "path": file},
                "inputs": {variable: f"${{inputs.{variable}}}" for variable in variables},
            }
        )
    nodes.append(
        {
            "name": "flow_entry",
            "type": "python",
            "source": {"type": "code", "path": _TOOL_FILE},
            "inputs": references,
        }
    )
    outputs = {"output": {"type": "string", "reference": "${flow_entry.output}"}}
    return dump_yaml_to_string({"inputs": inputs, "outputs": outputs, "nodes": nodes})


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in {**files, "requirements.txt": "", ".gitignore": _GITIGNORE}.items():
        path = folder / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
