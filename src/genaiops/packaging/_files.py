"""Which files belong to a package, and the digest that is their identity.

Source: a Merkle tree in its simplest form, one hash over the sorted lines `PATH MODE SIZE SHA256`, so that a rename, a
changed bit of a file or of its mode each give another digest, and the order of a directory listing gives none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from genaiops.errors import InputError
from genaiops.records import record

# Left out wherever they stand: caches, secrets, records of earlier work.
LEFT_OUT = frozenset(
    {
        ".git",
        ".genaiops",
        ".promptflow",
        ".runs",
        ".venv",
        "venv",
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
        ".DS_Store",
        "node_modules",
    }
)
LEFT_OUT_PATTERNS = ("*.pyc", "*.pyo", ".env", ".env.*", "*.log", "*~", "*.swp")
KEPT_ANYWAY = frozenset({".env.sample", ".env.example"})
IGNORE_FILES = (".gitignore", ".amlignore")
MAX_FILE_BYTES = 512 * 1024 * 1024


@record(frozen=True, slots=True)
class PackagedFile:
    """One file of a package.

    Args:
        path: Its place in the package, with `/`.
        source: Where it is read from.
        mode: 0o755 when it may be executed, else 0o644.
        size: In bytes.
        sha256: Of its bytes, in hexadecimal.
    """

    path: str
    source: Path
    mode: int
    size: int
    sha256: str

    def to_json(self) -> dict[str, object]:
        """The form of the manifest."""
        return {"path": self.path, "mode": f"{self.mode:04o}", "size": self.size, "sha256": self.sha256}


def collect_files(folder: Path, prefix: str = "") -> list[PackagedFile]:
    """The files below `folder`, caches and secrets left out, sorted by path.

    Raises:
        InputError: A link leads out of the folder, or a file is larger than 512 MiB.
    """
    root = folder.resolve()
    ignored = _ignore_patterns(root)
    return [_file(path, root, prefix) for path in sorted(_walk(root, root, ignored))]


def content_digest(files: Iterable[PackagedFile]) -> str:
    """`sha256:…` over paths, modes and bytes."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda item: item.path):
        digest.update(f"{file.path}\0{file.mode:o}\0{file.size}\0{file.sha256}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _walk(folder: Path, root: Path, ignored: tuple[str, ...]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if is_left_out(path.relative_to(root).as_posix(), ignored):
                continue
            if entry.is_dir(follow_symlinks=False):
                # An image that an earlier build wrote into the flow's folder is no part of the flow.
                if (path / "oci-layout").is_file():
                    continue
                yield from _walk(path, root, ignored)
            elif entry.is_file():
                if not path.resolve().is_relative_to(root):
                    raise InputError(
                        f"{path} is a link to a file outside of the flow's folder.",
                        hint="Copy the file, or name it in `additional_includes`.",
                    )
                yield path


def is_left_out(relative: str, ignored: tuple[str, ...] = ()) -> bool:
    """Whether a path (with `/`, relative to the folder) is a cache, a secret or ignored."""
    name = relative.rpartition("/")[2]
    if name in KEPT_ANYWAY:
        return False
    if name in LEFT_OUT or any(fnmatch(name, pattern) for pattern in LEFT_OUT_PATTERNS):
        return True
    return any(fnmatch(name, pattern) or fnmatch(relative, pattern) for pattern in ignored)


def _ignore_patterns(root: Path) -> tuple[str, ...]:
    """Plain patterns of ignore files in the folder itself; negations and anchors beyond a leading `/` are not read."""
    patterns: list[str] = []
    for name in IGNORE_FILES:
        file = root / name
        if file.is_file():
            lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
            patterns += [line.strip("/") for line in lines if line and not line.startswith(("#", "!"))]
    return tuple(patterns)


def _file(path: Path, root: Path, prefix: str) -> PackagedFile:
    status = path.stat()
    if status.st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} has {status.st_size:,} bytes; a package takes files up to {MAX_FILE_BYTES:,}.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    mode = 0o755 if status.st_mode & 0o111 else 0o644
    return PackagedFile(prefix + path.relative_to(root).as_posix(), path, mode, status.st_size, digest)
