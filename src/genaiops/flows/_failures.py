"""Exceptions of flow code as the error of an outcome: kind, message, file and line in the flow, its own traceback."""

from __future__ import annotations

import traceback
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from genaiops.errors import GenaiopsError
from genaiops.flows._exceptions import is_deliberate

_OUR_FOLDER = str(Path(__file__).parents[1])
HOW_TO_INSTALL = "Install it, or name its package in a requirements.txt beside the flow file."


def failure(
    error: BaseException,
    *,
    name: str,
    folder: Path,
    kind: str = "ToolExecutionError",
    node: str | None = None,
    wrap_all: bool = False,
) -> dict[str, Any]:
    """The published error form of an exception that left a node or an entry.

    Args:
        error: What was raised.
        name: The node, or the function of a flex flow, as the message calls it.
        folder: The flow's folder: the deepest frame in it gives file and line.
        kind: `ToolExecutionError` for nodes, `ScriptExecutionError` for entries.
        node: The node, when there is one.
        wrap_all: Wrap errors that say what they are, too, as prompt flow does for entries.
    """
    frames = _user_frames(error.__traceback__)
    here = next((frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(folder)), None)
    here = here or (frames[-1] if frames else None)
    is_ours = isinstance(error, GenaiopsError)
    form: dict[str, Any] = error.to_json() if isinstance(error, GenaiopsError) else {"hint": None}
    type_name = form.get("kind") or type(error).__name__
    if wrap_all or not (is_ours or is_deliberate(error)):
        form |= {
            "kind": kind,
            "type": type_name,
            "message": f"Execution failure in '{name}': ({type_name}) {form.get('message') or error}",
        }
    elif not is_ours:
        form |= {"kind": type_name, "type": type_name, "message": str(error)}
    form["node"] = node or form.get("node")
    if not form.get("file"):
        form |= {"file": here.filename if here else None, "line": here.lineno if here else None}
    form.setdefault("traceback", _traceback(error, frames) if frames or not is_ours else None)
    return form


def _traceback(error: BaseException, frames: list[traceback.FrameSummary]) -> str:
    parts = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    return "".join([*parts, *traceback.format_exception_only(type(error), error)])


def _user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of a traceback without the engine's own."""
    return [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OUR_FOLDER)]


def place_in_user_code(error: BaseException, file: Path) -> tuple[str, int | None]:
    """File and line of the deepest frame in a file that failed to load, for messages about loading."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = [frame for frame in _user_frames(error.__traceback__) if frame.filename == str(file)]
    return str(file), frames[-1].lineno if frames else None


def hint_for_import(error: Exception, folder: Path) -> str | None:
    """What to do about a module that user code imports and that is nowhere; None for any other error."""
    # An import that our layer refuses says itself what to use.
    if type(error) is not ModuleNotFoundError or error.name is None:
        return None
    own = [path.stem for path in folder.glob("*.py")]
    near = get_close_matches(error.name, own, n=1, cutoff=0.75)
    return f"Did you mean {near[0]!r}?" if near else how_to_find(error.name, folder)


def how_to_offer(tool: str) -> str:
    """What to do about a package tool that nothing installed offers: its first part is the package's module."""
    return f"Install the package that brings the module {tool.partition('.')[0]!r}."


def how_to_find(module: str, folder: Path) -> str:
    """What to do about a module that is neither in the flow's folder nor installed.

    Flows of a repository often import from its root, where a tool that puts the working directory on the path finds it.
    """
    for above in folder.resolve().parents:
        package = above / module
        if package.with_suffix(".py").is_file() or (package.is_dir() and any(package.rglob("*.py"))):
            return f"{above} holds it: set PYTHONPATH to that folder, or list it under additional_includes."
        if (above / ".git").exists():
            break
    return HOW_TO_INSTALL
