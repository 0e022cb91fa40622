"""Digest of a file or a folder: the same content gives the same digest on every machine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from genaiops.errors import DataError

# What tools leave behind and nobody wrote.
_CACHES = {
    "__pycache__",
    ".git",
    ".hg",
    ".svn",
    ".genaiops",
    ".promptflow",
    ".runs",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".venv",
    "venv",
    "node_modules",
    ".DS_Store",
    "Thumbs.db",
}
_CACHE_ENDINGS = (".pyc", ".pyo", ".swp", "~")
_CHUNK = 1 << 20


def tree_digest(path: Path) -> str:
    """SHA-256 over sorted relative paths, modes and bytes; a file counts as its bytes alone.

    Caches and version control folders are left out. Of the mode only "executable" counts, which is what version
    control keeps. A link counts as the path it names.

    Raises:
        DataError: There is nothing at `path`.
    """
    if path.is_file():
        return _file_digest(path)
    if not path.is_dir():
        raise DataError(f"There is no file or folder {str(path)!r}.", file=path)
    total = hashlib.sha256()
    for name, file in _files(path):
        if file.is_symlink():
            mode, digest = "link", hashlib.sha256(os.fsencode(file.readlink())).hexdigest()
        else:
            mode, digest = _mode(file), _file_digest(file)
        total.update(f"{name}\0{mode}\0{digest}\n".encode())
    return total.hexdigest()


def tree_files(path: Path) -> list[str]:
    """The relative paths that count, sorted, with `/` between parts."""
    return [path.name] if path.is_file() else [name for name, _ in _files(path)]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of each file, sorted by the bytes of the name so that no locale has a say."""
    found: list[tuple[str, Path]] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_cache(name)]
        here = Path(root)
        linked = [name for name in folders if (here / name).is_symlink()]
        names = [name for name in (*files, *linked) if not _is_cache(name)]
        found += [((here / name).relative_to(folder).as_posix(), here / name) for name in names]
    return iter(sorted(found, key=lambda item: item[0].encode()))


def _is_cache(name: str) -> bool:
    return name in _CACHES or name.endswith(_CACHE_ENDINGS)


def _mode(file: Path) -> str:
    # Windows has no such bit, so there a file is executable by what version control says, which we cannot see.
    return "x" if os.name != "nt" and file.stat().st_mode & stat.S_IXUSR else "-"


def _file_digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
