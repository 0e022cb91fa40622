"""What runs inside a flow host to call plain Python evaluators; the small flows that `_generated.py` writes use it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# Stands among the outputs of a row when some functions failed and others did not.
ERRORS = "__errors__"


def call_functions(
    functions: Sequence[tuple[str, str]], folders: Sequence[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Call row-wise functions, each with those of the values that it takes.

    Args:
        functions: File and name of each.
        folders: Folders that go on the import path.
        values: The mapped inputs of a row.

    Returns:
        What they returned, side by side; a bare value under its function's name without `eval_`, the errors of those
        that failed under `__errors__`.

    Raises:
        Exception: What the function raised, when none of them succeeded.
    """
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    last: Exception | None = None
    for file, name in functions:
        try:
            found.update(_call(_load(file, name, folders), name, values))
        except Exception as error:  # noqa: BLE001 - one function's failure is not the others'
            last, errors[_short_name(name)] = error, f"{type(error).__name__}: {error}"
    if last is not None and len(errors) == len(functions):
        raise last
    return {**found, ERRORS: errors} if errors else found


def _call(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    taken = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    result = finish(function(**{key: value for key, value in values.items() if takes_any or key in taken}))
    return as_outputs(result, _short_name(name))


def call_contract(
    file: str, name: str, folders: Sequence[str], workdir: str, arguments: Sequence[Any]
) -> dict[str, Any]:
    """Call a function once for a whole dataset.

    Args:
        file: Where the function is defined.
        name: Its name.
        folders: Folders that go on the import path.
        workdir: The current folder while it runs.
        arguments: Name of the run, path of the data, mappings, output folder.

    Returns:
        `{"result": what it returned}`, and what it wrote to `<output folder>/<name of the run>.json` when it
        returned nothing.
    """
    function = _load(file, name, folders)
    os.chdir(workdir)
    result = finish(function(*arguments))
    written = Path(str(arguments[3])) / f"{arguments[0]}.json"
    if result is None and written.is_file():
        result = json.loads(written.read_text(encoding="utf-8"))
    return {"result": _plain(result)}


def _load(file: str, name: str, folders: Sequence[str]) -> Callable[..., Any]:
    """A function of a file, imported once; its own folder and the given ones are on the import path."""
    for folder in [*reversed(folders), str(Path(file).parent)]:
        if folder not in sys.path:
            sys.path.insert(0, folder)
    module_name = Path(file).stem
    loaded = sys.modules.get(module_name)
    if loaded is None or getattr(loaded, "__file__", None) != file:
        loaded = _import_file(module_name, file)
    function: Callable[..., Any] = getattr(loaded, name)
    return function


def _import_file(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def finish(result: Any) -> Any:
    """What a call gave; awaited when it is a coroutine."""
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result


def _short_name(name: str) -> str:
    return name[5:] or name


def as_outputs(result: Any, name: str) -> dict[str, Any]:
    """What a call gave as named JSON values; a bare value is called `name`."""
    plain = _plain(result)
    return plain if isinstance(plain, dict) else {name: plain}


def _plain(value: Any) -> Any:
    """JSON data; numbers of numpy and the like become Python's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if hasattr(value, "item") and callable(value.item):
        return value.item()
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if hasattr(value, "__dict__"):
        return _plain({key: item for key, item in vars(value).items() if not key.startswith("_")})
    return str(value)
