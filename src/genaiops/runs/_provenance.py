"""Which code ran: digests and versions, for the record."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from genaiops import __version__

_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".jinja2", ".jinja", ".j2", ".prompty", ".md", ".txt", ".json", ".toml"})
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv", "env"})
_MAX_FILES = 500
_MAX_FILE_BYTES = 1 << 20


def flow_digest(folder: Path) -> str:
    """SHA-256 over the code, prompts and definitions of a flow's folder; data and large files are left out."""
    total = hashlib.sha256()
    for number, path in enumerate(_source_files(folder)):
        if number == _MAX_FILES:
            break
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _source_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= _MAX_FILE_BYTES:
                yield path


def versions(project: Path) -> dict[str, str | None]:
    """Versions of this package, of Python, of the system, and the commit of the project."""
    return {
        "genaiops": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "git_commit": git_commit(project),
    }


def git_commit(project: Path) -> str | None:
    """The commit that is checked out, read from the repository's files; None outside of one."""
    try:
        return _read_commit(project / ".git")
    except OSError:
        return None


def _read_commit(place: Path) -> str | None:
    if place.is_file():  # a work tree or a submodule names its folder
        named = place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        place = (place.parent / named).resolve()
    if not place.is_dir():
        return None
    head = (place / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    common = place / "commondir"
    shared = (place / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else place
    if (shared / name).is_file():
        return (shared / name).read_text(encoding="utf-8").strip()
    packed = shared / "packed-refs"
    text = packed.read_text(encoding="utf-8") if packed.is_file() else ""
    match = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", text, re.MULTILINE)
    return match[1] if match else None
