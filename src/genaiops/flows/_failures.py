"""Exceptions of flow code as the error of an outcome: kind, message, file and line in the flow, its own traceback."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from genaiops.errors import GenaiopsError
from genaiops.flows._exceptions import is_deliberate

_OUR_FOLDER = str(Path(__file__).parents[1])


def failure(
    error: BaseException, *, name: str, folder: Path, kind: str = "ToolExecutionError", node: str | None = None
) -> dict[str, Any]:
    """The published error form of an exception that left a node or an entry.

    Args:
        error: What was raised.
        name: The node, or the function of a flex flow, as the message calls it.
        folder: The flow's folder: the deepest frame in it gives file and line.
        kind: `ToolExecutionError` for nodes, `ScriptExecutionError` for entries.
        node: The node, when there is one.
    """
    if isinstance(error, GenaiopsError):
        form = error.to_json()
        form["node"] = node or form["node"]
        form.setdefault("traceback", None)
        return form
    frames = _user_frames(error.__traceback__)
    here = next((frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(folder)), None)
    here = here or (frames[-1] if frames else None)
    deliberate = is_deliberate(error)
    type_name = type(error).__name__
    return {
        "kind": type_name if deliberate else kind,
        "type": type_name,
        "message": str(error) if deliberate else f"Execution failure in '{name}': ({type_name}) {error}",
        "node": node,
        "file": here.filename if here else None,
        "line": here.lineno if here else None,
        "hint": None,
        "traceback": "".join(
            [
                "Traceback (most recent call last):\n",
                *traceback.format_list(frames),
                *traceback.format_exception_only(type(error), error),
            ]
        ),
    }


def _user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of a traceback without the engine's own."""
    return [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OUR_FOLDER)]


def place_in_user_code(error: BaseException, file: Path) -> tuple[str, int | None]:
    """File and line of the deepest frame in a file that failed to load, for messages about loading."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = [frame for frame in _user_frames(error.__traceback__) if frame.filename == str(file)]
    return str(file), frames[-1].lineno if frames else None
