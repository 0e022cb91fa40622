"""What flow code takes from python-dotenv, for flows that relied on prompt flow to bring that package.

Served only where python-dotenv is not installed. Files are read by `settings`, so quotes, blanks and values over
several lines mean the same in a flow and in its project.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import IO

from genaiops.settings import parse_dotenv

__all__ = ["dotenv_values", "find_dotenv", "get_key", "load_dotenv"]

_FileName = str | os.PathLike[str]


def find_dotenv(filename: str = ".env", raise_error_if_not_found: bool = False, usecwd: bool = False) -> str:
    """The nearest such file in the caller's folder or one above it; `""` when there is none.

    Args:
        filename: Its name.
        raise_error_if_not_found: Whether a file that is missing is an error.
        usecwd: Start in the working directory instead.
    """
    start = Path.cwd() if usecwd else _caller_folder()
    for folder in (start, *start.parents):
        if (folder / filename).is_file():
            return str(folder / filename)
    if raise_error_if_not_found:
        raise OSError("File not found")
    return ""


def load_dotenv(
    dotenv_path: _FileName | None = None,
    stream: IO[str] | None = None,
    verbose: bool = False,
    override: bool = False,
    interpolate: bool = True,
    encoding: str | None = "utf-8",
) -> bool:
    """Set this process's variables from a file; those that are set stay as they are unless `override`.

    Returns:
        Whether the file sets any variable.
    """
    found = dotenv_values(dotenv_path, stream, verbose, interpolate, encoding)
    _set(os.environ, found, override=override)
    return bool(found)


def dotenv_values(
    dotenv_path: _FileName | None = None,
    stream: IO[str] | None = None,
    verbose: bool = False,
    interpolate: bool = True,
    encoding: str | None = "utf-8",
) -> dict[str, str | None]:
    """The variables of a file, without setting them; none when there is no such file."""
    if stream is not None:
        text, path = stream.read(), Path(".env")
    else:
        path = Path(dotenv_path or find_dotenv() or ".env")
        if not path.is_file():
            return {}
        text = path.read_text(encoding=encoding or "utf-8")
    values = parse_dotenv(text, path)
    return {name: _expand(value, values) if interpolate else value for name, value in values.items()}


def get_key(dotenv_path: _FileName, key_to_get: str, encoding: str | None = "utf-8") -> str | None:
    """One variable of a file."""
    return dotenv_values(dotenv_path, encoding=encoding).get(key_to_get)


def _set(environ: MutableMapping[str, str], values: Mapping[str, str | None], *, override: bool) -> None:
    for name, value in values.items():
        if value is not None and (override or name not in environ):
            environ[name] = value


def _expand(value: str, values: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` replaced, as python-dotenv does."""
    parts = value.split("${")
    expanded = [parts[0]]
    for part in parts[1:]:
        inside, closed, rest = part.partition("}")
        name, _, default = inside.partition(":-")
        expanded.append(os.environ.get(name, values.get(name, default)) + rest if closed else "${" + part)
    return "".join(expanded)


def _caller_folder() -> Path:
    """The folder of the nearest code outside of this file; the working directory for code without a file."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    return file.resolve().parent if file.is_file() else Path.cwd()
