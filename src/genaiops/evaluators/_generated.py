"""Small flows that we write so that plain Python evaluators run in a host like every other flow."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.evaluators._functions import EvalFunction

_HEAD = '"""Written by genaiops; changes are lost."""\n\nimport json\n\n'
_REQUIREMENTS = {"autoevals": "autoevals\n", "azure_ai_evaluation": "azure-ai-evaluation\n"}


def write_row_flow(
    target: Path, functions: Sequence[EvalFunction], *, inputs: Sequence[str], folders: Sequence[Path]
) -> Path:
    """A flow that calls row-wise functions.

    Args:
        target: The flow's folder, which is ours.
        functions: The functions.
        inputs: The mapped inputs, as valid names.
        folders: Folders for the import path.
    """
    constants = _constant("FOLDERS", [str(folder) for folder in folders])
    constants += _constant("FUNCTIONS", [[str(function.file), function.name] for function in functions])
    return _write(target, inputs, "call_functions", constants, f"call_functions(FUNCTIONS, FOLDERS, {_values(inputs)})")


def write_contract_flow(target: Path, function: EvalFunction, *, workdir: Path, folders: Sequence[Path]) -> Path:
    """A flow that calls a function once for a whole dataset, by the template's contract."""
    constants = _constant("FOLDERS", [str(folder) for folder in folders])
    inputs = ("run_name", "data_path", "mapping", "output_path")
    arguments = "[run_name, data_path, mapping, output_path]"
    call = (
        f"call_contract({json.dumps(str(function.file))}, {json.dumps(function.name)}, FOLDERS, "
        f"{json.dumps(str(workdir))}, {arguments})"
    )
    return _write(target, inputs, "call_contract", constants, call)


def write_adapter_flow(target: Path, entry: str, *, inputs: Sequence[str], options: Mapping[str, Any]) -> Path:
    """A flow that calls a library's evaluator; the library is its requirement, so that it gets its own environment.

    Args:
        target: The flow's folder.
        entry: `library:Evaluator`.
        inputs: The mapped inputs.
        options: Parameters of the evaluator's constructor.
    """
    library, _, name = entry.partition(":")
    call = f"call_adapter({json.dumps(library)}, {json.dumps(name)}, OPTIONS, {_values(inputs)})"
    _put(target / "requirements.txt", _REQUIREMENTS.get(library, ""))
    environment = "environment:\n  python_requirements_txt: requirements.txt\n"
    return _write(target, inputs, "call_adapter", _constant("OPTIONS", dict(options)), call, more=environment)


def write_entry_flow(target: Path, entry: str, *, code: Path) -> Path:
    """A flow for `module:name`, imported from the folder `code`."""
    _put(target / "flow.flex.yaml", f"entry: {entry}\ncode: {json.dumps(str(code))}\n")
    return target


def _values(inputs: Sequence[str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {name}" for name in inputs) + "}"


def _constant(name: str, value: Any) -> str:
    # The value stands as JSON inside a string literal: whatever it holds, it stays data.
    return f"{name} = json.loads({json.dumps(json.dumps(value))})\n"


def _write(target: Path, inputs: Sequence[str], helper: str, constants: str, call: str, *, more: str = "") -> Path:
    parameters = ", ".join(inputs)
    code = f"{_HEAD}from genaiops.evaluators import {helper}\n\n{constants}\n\n"
    code += f"def evaluate({parameters}):\n    return {call}\n"
    _put(target / "evaluate_rows.py", code)
    declared = "".join(f"  {name}: {{type: object}}\n" for name in inputs)
    _put(
        target / "flow.flex.yaml",
        "entry: evaluate_rows:evaluate\n" + (f"inputs:\n{declared}" if declared else "") + more,
    )
    return target


def _put(file: Path, text: str) -> None:
    """Let a file say this. Evaluations of other runs may be reading it: they see all of it at any moment."""
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder: all that is in it belongs to the flow.
    scratch = file.parent.with_name(f".{file.parent.name}.{secrets.token_hex(4)}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)
