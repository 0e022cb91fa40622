"""Any Python callable as a flow: a function, a class, an object with `__call__`, sync or async."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError
from genaiops.flows._locate import flow_name
from genaiops.flows._model import Flow
from genaiops.flows._signature import signature_of, unwrapped


def flow_of_callable(target: Callable[..., Any]) -> Flow:
    """The flow that a callable is.

    Raises:
        FlowDefinitionError: Its parameters cannot be read (a builtin, say).
    """
    try:
        signature = signature_of(target)
    except (TypeError, ValueError) as error:
        raise FlowDefinitionError(
            f"The parameters of {target!r} cannot be read.", hint="Wrap it in a function.", kind="BadFunctionInterface"
        ) from error
    path = _file_of(target)
    folder = path.parent if path else Path.cwd()
    name = getattr(unwrapped(target), "__name__", type(target).__name__)
    return Flow(
        kind="class" if signature.kind == "class" else "function",
        path=path or folder,
        folder=folder,
        home=folder,
        name=flow_name(name),
        inputs=signature.inputs,
        outputs=signature.outputs,
        init=signature.init,
        entry=entry_of(target),
        target=target,
    )


def entry_of(target: Callable[..., Any]) -> str | None:
    """`module:name` by which another process could import the callable, or None when it could not."""
    core = unwrapped(target)
    module, name = getattr(core, "__module__", None), getattr(core, "__qualname__", None)
    if not module or not name or "." in name or "<" in name:
        return None
    if module == "__main__":
        path = _file_of(target)
        return f"{path.stem}:{name}" if path else None
    return f"{module}:{name}"


def _file_of(target: Callable[..., Any]) -> Path | None:
    core: Any = unwrapped(target)
    if not inspect.isclass(core) and not inspect.isroutine(core):
        core = type(core)
    try:
        path = Path(inspect.getfile(core))
    except (TypeError, OSError):
        return None
    return path.resolve() if path.is_file() else None
