"""Layers of an image: tar archives that are the same, byte for byte, whenever their files are."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from genaiops.records import record

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# Level 6 of zlib: the same bytes from the same zlib; level 9 costs three times as long for 1 %.
_LEVEL = 6


@record(frozen=True, slots=True)
class Entry:
    """One file to come into a layer: its place, its bytes or where they are, its mode."""

    path: str
    content: bytes | Path
    mode: int = 0o644
    link: str | None = None


@record(frozen=True, slots=True)
class Layer:
    """A layer that has been written.

    Args:
        digest: Of the compressed bytes; its name in the layout.
        diff_id: Of the tar archive; its name in the image's configuration.
        size: Compressed, in bytes.
        size_unpacked: Of the files, in bytes.
    """

    digest: str
    diff_id: str
    size: int
    size_unpacked: int
    media_type: str = LAYER_TYPE
    comment: str = ""


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashing(io.RawIOBase):
    """Passes bytes on and remembers their hash and number."""

    def __init__(self, target: _Writable) -> None:
        self._target = target
        self.hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.hash.update(data)
        self.size += len(data)
        self._target.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"


def write_layer(entries: Iterable[Entry], blobs: Path, *, comment: str = "") -> Layer:
    """Write a layer into a folder of blobs and name it by its digest.

    Args:
        entries: Files and links; parent folders are added. Times are 0, owner is root: nothing tells when or by whom.
        blobs: `blobs/sha256` of an OCI layout.
        comment: What the layer is for, shown in the image's history.
    """
    blobs.mkdir(parents=True, exist_ok=True)
    draft = blobs / f".layer-{id(entries)}"
    with draft.open("wb") as file:
        compressed = _Hashing(file)
        with gzip.GzipFile(filename="", mode="wb", fileobj=compressed, compresslevel=_LEVEL, mtime=0) as zipped:
            plain = _Hashing(zipped)
            unpacked = write_tar(entries, cast("IO[bytes]", plain))
    draft.replace(blobs / compressed.digest.partition(":")[2])
    return Layer(compressed.digest, plain.digest, compressed.size, unpacked, comment=comment)


def write_tar(entries: Iterable[Entry], target: IO[bytes]) -> int:
    """Write a tar archive that follows from the entries alone, and give the size of the files in it."""
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        return sum(_add(archive, entry) for entry in _with_folders(entries))


def _with_folders(entries: Iterable[Entry]) -> list[Entry | str]:
    """Entries sorted by path, each folder before what is in it."""
    found: dict[str, Entry | str] = {}
    for entry in entries:
        for parent in PurePosixPath(entry.path).parents:
            if str(parent) not in (".", "/"):
                found.setdefault(str(parent), str(parent))
        found[entry.path] = entry
    return [found[path] for path in sorted(found)]


def _add(archive: tarfile.TarFile, entry: Entry | str) -> int:
    if isinstance(entry, str):
        # Whoever the image runs as must be able to write there; engines give a tmpfs the mode of the folder it covers.
        info = _header(entry, 0o1777 if entry == "tmp" else 0o755)
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
        return 0
    info = _header(entry.path, entry.mode)
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        archive.addfile(info)
        return 0
    if isinstance(entry.content, bytes):
        info.size = len(entry.content)
        archive.addfile(info, io.BytesIO(entry.content))
    else:
        info.size = entry.content.stat().st_size
        with entry.content.open("rb") as file:
            archive.addfile(info, file)
    return info.size


def _header(path: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode, info.mtime, info.uid, info.gid, info.uname, info.gname = mode, 0, 0, 0, "", ""
    return info


def tree_entries(folder: Path, prefix: str, *, rename: Mapping[str, str] | None = None) -> list[Entry]:
    """Every file and link below a folder, for a layer."""
    found: list[Entry] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        place = f"{prefix}/{(rename or {}).get(relative, relative)}"
        if path.is_symlink():
            found.append(Entry(place, b"", link=str(path.readlink())))
        elif path.is_file():
            found.append(Entry(place, path, 0o755 if path.stat().st_mode & 0o111 else 0o644))
    return found
