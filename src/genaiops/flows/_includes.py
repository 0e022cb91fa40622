"""`additional_includes`: a flow and files from outside, merged into one folder.

The merged folder is a copy, kept under the hash of its content and used again while nothing changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._model import Finding
from genaiops.flows._yaml import YamlDocument

# Never part of a flow: histories, caches, and what tools write beside it.
_SKIPPED = frozenset({".git", "__pycache__", ".promptflow", ".runs", ".genaiops", ".venv", ".ipynb_checkpoints"})


def find_includes(document: YamlDocument, entries: Sequence[object]) -> list[Path]:
    """The files and folders that `additional_includes` names, absolute.

    An entry `NAME.zip` without such a file stands for the folder `NAME`, to be zipped.

    Raises:
        FlowDefinitionError: An entry that does not exist.
    """
    found: list[Path] = []
    for index, entry in enumerate(entries):
        path = Path(os.path.normpath(document.path.parent / str(entry)))
        is_zip_of_folder = path.suffix == ".zip" and path.with_suffix("").is_dir()
        if not path.exists() and not is_zip_of_folder:
            raise FlowDefinitionError(
                f"Unable to find additional include {str(entry)!r}.",
                file=document.path,
                line=document.line("additional_includes", index),
                hint=hint_for_include(path),
                kind="UserErrorException",
            )
        found.append(path)
    return found


def hint_for_include(path: Path) -> str:
    """What may have been meant by an include that does not exist."""
    folder = Path(os.path.normpath(path.parent))
    siblings = [sibling.name for sibling in folder.iterdir()] if folder.is_dir() else []
    return suggest(path.name, siblings) if siblings else f"There is no folder {str(folder)!r}, or it is empty."


def merge_includes(
    document: YamlDocument, includes: Sequence[Path], cache: Path | None = None
) -> tuple[Path, list[Finding]]:
    """A folder that holds the flow and, under their base names, its includes; and warnings about clashes.

    Args:
        document: The flow's file.
        includes: What `find_includes` gave.
        cache: Where merged folders are kept; by default a private folder among the system's temporary files.
    """
    home = document.path.parent
    warnings = [
        Finding(
            severity="warning",
            code="include-overwrites",
            message=f"The include {include.name!r} takes the place of the flow's own {include.name!r}.",
            file=str(document.path),
            line=document.line("additional_includes"),
        )
        for include in includes
        if include.is_file() and (home / include.name).exists()
    ]
    folder = (cache or _default_cache()) / _content_key(home, includes)
    if not folder.is_dir():
        _build(folder, document, includes)
    return folder, warnings


def _default_cache() -> Path:
    # Windows gives every user a temporary folder of their own.
    user = os.getuid() if hasattr(os, "getuid") else "mine"
    folder = Path(tempfile.gettempdir()) / f"genaiops-merged-{user}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Everybody may write where temporary files are: a folder that somebody else put there could hold any code.
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
        return Path(tempfile.mkdtemp(prefix="genaiops-merged-"))
    return folder


def _content_key(home: Path, includes: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for root in (home, *includes):
        digest.update(f"\0{root.name}\0".encode())
        for path, inner in _files(root):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{inner}\0{content}\0".encode())
    return f"{home.name}-{digest.hexdigest()[:24]}"


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """The files of a file or a folder, with their paths inside, sorted."""
    if root.is_file():
        yield root, root.name
        return
    if not root.exists():  # `NAME.zip` that stands for the folder `NAME`
        root = root.with_suffix("")
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file():
                yield path, path.relative_to(root).as_posix()


def _build(folder: Path, document: YamlDocument, includes: Sequence[Path]) -> None:
    """Fill a folder beside the final one, then move it there in one step: two processes may build at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        _copy(document.path.parent, scratch)
        for include in includes:
            if include.is_file():
                shutil.copy2(include, scratch / include.name)
            elif include.is_dir():
                _copy(include, scratch / include.name)
            else:
                shutil.make_archive(str(scratch / include.stem), "zip", include.with_suffix(""))
        _drop_includes_key(scratch / document.path.name, document)
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    for path, inner in _files(source):
        (target / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / inner)


def _drop_includes_key(path: Path, document: YamlDocument) -> None:
    """Take the key out of the copied file, so that the copy is a complete flow on its own."""
    start = document.lines.get(("additional_includes",))
    if start is None or not path.is_file():
        return
    later = [line for place, line in document.lines.items() if len(place) == 1 and line > start]
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    end = min(later, default=len(lines) + 1)
    path.write_text("".join(lines[: start - 1] + lines[end - 1 :]), encoding="utf-8")
