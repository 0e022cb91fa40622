"""Writing `flow.flex.yaml` for a function or a class, with the signature that its source shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from genaiops.errors import InputError

FLEX_FILE = "flow.flex.yaml"
_SKIPPED = (".git", "__pycache__", ".promptflow", ".genaiops", ".runs", ".venv")


def save_flow(entry: str, *, code: Path | None = None, path: Path | None = None) -> Path:
    """Write the file that makes an entry a flex flow.

    Args:
        entry: `module:name`, the module relative to `code`.
        code: The folder of the code; by default the working directory.
        path: A new folder for code and file; by default the file is written into `code`.

    Returns:
        The file.

    Raises:
        InputError: There is a flow file already, or `path` holds something.
        FlowDefinitionError: There is no such entry, or its signature cannot be mapped.
    """
    source = (code or Path()).resolve()
    if not source.is_dir():
        raise InputError(f"The folder {str(source)!r} does not exist.", hint="Name the folder of the code with --code.")
    target = path.resolve() if path is not None else source
    if (target / FLEX_FILE).exists() or (target != source and target.exists() and any(target.iterdir())):
        raise InputError(f"{str(target)!r} holds a flow or other files already.", hint="Name a new folder with --path.")
    if target != source:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_SKIPPED), dirs_exist_ok=True)
    file = target / FLEX_FILE
    try:
        file.write_text(f"entry: {entry}\n", encoding="utf-8")
        file.write_text(_with_signature(file, entry), encoding="utf-8")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


def _with_signature(file: Path, entry: str) -> str:
    from genaiops.compat._internals import dump_yaml_to_string
    from genaiops.flows import load_flow

    flow = load_flow(file)
    form: dict[str, Any] = {
        "inputs": {name: item.to_json() for name, item in flow.inputs.items()},
        "outputs": {name: {"type": item.type} for name, item in flow.outputs.items()},
        "init": {name: item.to_json() for name, item in flow.init.items()},
    }
    if list(form["outputs"]) == ["output"]:
        form.pop("outputs")  # A single value has no names to declare.
    written = {key: value for key, value in form.items() if value}
    return dump_yaml_to_string({**written, "entry": entry})
