"""The function behind a node: found in a script or a package, its parameters read."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from pathlib import Path
from types import ModuleType
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._decorators import is_tool, plain_function, unwrap_for_signature
from genaiops.flows._failures import hint_for_import, how_to_offer, place_in_user_code
from genaiops.flows._model import InputDef, Node
from genaiops.flows._signature import input_of_parameter
from genaiops.flows._sources import tool_error
from genaiops.records import record

SCRIPT_MODULE = "__pf_main__"
_loading = threading.Lock()


@record(frozen=True, kw_only=True)
class ToolFunction:
    """What a node calls.

    Args:
        call: The function, or for a class tool the unbound method.
        parameters: Its parameters, `self` left out.
        takes_any: It has `**kwargs`.
        owner: The class of a class tool.
        init: The constructor's parameters of a class tool.
        is_async: A coroutine or async generator function.
        keep: The tool said that its results may be kept.
        streaming_option: The parameter that asks it to stream.
        module: Where annotations of the function are looked up.
        file: Its source file.
    """

    call: Callable[..., Any]
    parameters: Mapping[str, InputDef]
    takes_any: bool = False
    owner: type | None = None
    init: Mapping[str, InputDef] = field(default_factory=dict)
    is_async: bool = False
    keep: bool = False
    streaming_option: str | None = None
    module: ModuleType | None = None
    file: Path | None = None


def load_script_tool(node: Node, path: Path) -> ToolFunction:
    """The one `@tool` function of a script, in a module of the node's own.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `PythonLoadError`, `NoToolDefined` or `MultipleToolsDefined`.
    """
    module = load_script(node, path)
    found: dict[int, tuple[Any, type | None]] = {}
    for item in list(vars(module).values()):
        if is_tool(item) and getattr(item, "__module__", None) == SCRIPT_MODULE:
            found[id(item)] = (item, None)
        elif inspect.isclass(item) and item.__module__ == SCRIPT_MODULE and _is_provider(item):
            for _, method in inspect.getmembers(item, is_tool):
                found[id(method)] = (method, item)
    if not found:
        raise tool_error(
            node,
            "NoToolDefined",
            "No function of the file is decorated with @tool.",
            file=path,
            line=1,
            hint="Decorate the function that the node calls: from promptflow.core import tool.",
        )
    if len(found) > 1:
        names = ", ".join(item.__name__ for item, _ in found.values())
        raise tool_error(
            node,
            "MultipleToolsDefined",
            f"The file defines {len(found)} tools: {names}.",
            file=path,
            line=None,
            hint="Keep one @tool in a file.",
        )
    item, owner = next(iter(found.values()))
    return tool_function(item, owner=owner, module=module, file=path)


def load_script(node: Node, path: Path) -> ModuleType:
    """A script as a fresh module called `__pf_main__`, which no other node shares.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `PythonLoadError`, with the line in the script.
    """
    spec = importlib.util.spec_from_file_location(SCRIPT_MODULE, path)
    if spec is None or spec.loader is None:
        raise tool_error(node, "PythonLoaderNotFound", f"{path.name} is not a Python file.", file=path, line=None)
    module = importlib.util.module_from_spec(spec)
    # Known by its name while it loads: dataclasses and pydantic look up text annotations in sys.modules.
    with _loading:
        before = sys.modules.get(SCRIPT_MODULE)
        sys.modules[SCRIPT_MODULE] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            file, line = place_in_user_code(error, path)
            message = f"Failed to load python module from file '{path}': ({type(error).__name__}) {error}"
            hint = hint_for_import(error, path.parent)
            raise tool_error(node, "PythonLoadError", message, file=file, line=line, hint=hint) from error
        finally:
            if before is None:
                sys.modules.pop(SCRIPT_MODULE, None)
            else:
                sys.modules[SCRIPT_MODULE] = before
    return module


def _is_provider(cls: type) -> bool:
    return any(base.__name__ == "ToolProvider" for base in cls.__mro__[1:])


def tool_function(
    item: Callable[..., Any],
    *,
    owner: type | None = None,
    module: ModuleType | None = None,
    file: Path | None = None,
) -> ToolFunction:
    """The parameters of a decorated function, and how to call it."""
    core = unwrap_for_signature(item)
    parameters = list(inspect.signature(core).parameters.values())
    if owner is not None and parameters and not inspect.ismethod(core):
        parameters = parameters[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    call = plain_function(item)
    return ToolFunction(
        call=call,
        parameters={p.name: input_of_parameter(p) for p in named},
        takes_any=any(p.kind is p.VAR_KEYWORD for p in parameters),
        owner=owner,
        init={} if owner is None else _init_of(owner),
        is_async=any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (call, item, core)),
        keep=bool(getattr(item, "__cache", False)),
        streaming_option=getattr(item, "_streaming_option_parameter", None),
        module=module or sys.modules.get(getattr(core, "__module__", "")),
        file=file,
    )


def _init_of(owner: type) -> dict[str, InputDef]:
    init: Any = vars(owner).get("__init__") or getattr(owner, "__init__")  # noqa: B009 - mypy distrusts the plain form
    if init is object.__init__:
        return {}
    parameters = list(inspect.signature(init).parameters.values())[1:]
    return {p.name: input_of_parameter(p) for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


# Tools of packages


def load_package_tool(node: Node, *, file: Path) -> ToolFunction:
    """A tool that an installed package offers by the entry point group `package_tools`.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `PackageToolNotFoundError` or `PythonLoadError`.
    """
    identity = (node.source.tool if node.source else None) or ""
    line = node.lines.get("source.tool", node.line)
    metas = package_tools()
    meta = metas.get(identity)
    if meta is None:
        raise tool_error(
            node,
            "PackageToolNotFoundError",
            f"No installed package offers the tool {identity!r}.",
            file=file,
            line=line,
            hint=_hint_for_tool(identity, metas),
        )
    try:
        module = importlib.import_module(str(meta["module"]))
        owner = getattr(module, meta["class_name"]) if meta.get("class_name") else None
        item = getattr(owner or module, meta["function"])
    except (ImportError, AttributeError, KeyError) as error:
        message = f"The tool {identity!r} cannot be imported: {error}."
        raise tool_error(node, "PythonLoadError", message, file=file, line=line) from error
    return tool_function(item, owner=owner, module=module)


def package_tools() -> dict[str, Mapping[str, Any]]:
    """Every package tool by its id, deprecated ids included; a package that fails to answer is left out."""
    import logging
    from importlib.metadata import entry_points

    metas: dict[str, Mapping[str, Any]] = {}
    for point in entry_points(group="package_tools"):
        try:
            metas.update(point.load()())
        except Exception as error:  # noqa: BLE001 - an extension being loaded
            logging.getLogger(__name__).warning("The package tools of %r cannot be listed: %s", point.name, error)
    for meta in list(metas.values()):
        for old in meta.get("deprecated_tools") or ():
            metas.setdefault(old, meta)
    return metas


def instantiate(node: Node, tool: ToolFunction, constants: dict[str, Any], references: set[str], file: Path) -> Any:
    """The instance of a class tool; its constructor's arguments are taken out of `constants`.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `InputTypeMismatch` when an argument is a reference,
            `MissingRequiredInputs` when one is missing.
    """
    dynamic = sorted(references & set(tool.init))
    if dynamic:
        message = f"The inputs {', '.join(dynamic)} go to the constructor and must be literals or connections."
        raise tool_error(node, "InputTypeMismatch", message, file=file, line=node.line)
    missing = [name for name, item in tool.init.items() if not item.has_default and name not in constants]
    if missing:
        message = f"The constructor needs {', '.join(missing)}."
        raise tool_error(node, "MissingRequiredInputs", message, file=file, line=node.line)
    arguments = {name: constants.pop(name) for name in tool.init if name in constants}
    assert tool.owner is not None
    try:
        return tool.owner(**arguments)
    except FlowDefinitionError:
        raise
    except Exception as error:
        where, line = place_in_user_code(error, tool.file or file)
        raise tool_error(node, type(error).__name__, str(error), file=where, line=line) from error


def _hint_for_tool(identity: str, offered: Collection[str]) -> str:
    from genaiops.prompts import PACKAGE_TOOLS

    near = suggest(identity, {*offered, *PACKAGE_TOOLS})
    return near if near.startswith("Did") else how_to_offer(identity)
