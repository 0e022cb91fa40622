"""The hash of all code that decides what a function does: its file and the modules of the flow that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def code_fingerprint(path: Path, folder: Path) -> str:
    """A hash of a Python file and of every module below `folder` that it imports, directly or not.

    Imports inside functions count; what is imported by a name made at run time cannot be seen.
    """
    digest = hashlib.sha256()
    for file in sorted(_closure(path, folder)):
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _closure(path: Path, folder: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        waiting.extend(_local_imports(file, folder))
    return found


def _local_imports(file: Path, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from _files_of(folder, alias.name.split("."))
        elif isinstance(statement, ast.ImportFrom):
            base = folder
            for _ in range(statement.level):
                base = file.parent if base is folder else base.parent
            parts = statement.module.split(".") if statement.module else []
            yield from _files_of(base, parts)
            for alias in statement.names:
                yield from _files_of(base, [*parts, alias.name])


def _files_of(base: Path, parts: list[str]) -> Iterator[Path]:
    """The files that importing `parts` runs: each package's `__init__.py`, and the module."""
    for end in range(1, len(parts) + 1):
        path = base.joinpath(*parts[:end])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                yield candidate
