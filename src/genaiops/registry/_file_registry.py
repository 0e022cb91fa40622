"""Names and versions in a folder: one JSON file a name, safe under many processes, readable by people and diffs.

<registry>/<kind>/<name>.json   {"schema_version", "kind", "name", "versions": [...], "aliases": {...}}
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from genaiops.errors import DataError, GenaiopsError, suggest
from genaiops.records import record

Kind = Literal["dataset", "flow", "experiment", "package"]
SCHEMA_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LOCK_S = 10.0


@record(frozen=True, kw_only=True)
class Version:
    """One registered state of something.

    Args:
        kind: What it is.
        name: What it is called.
        version: Counted from 1.
        digest: SHA-256 of its content.
        created: When, ISO 8601 in UTC.
        source: Where the content was, as the user named it.
        tags: Words and values to find it by: git commit, build, experiment.
        is_new: False when the content was registered already.
    """

    kind: str
    name: str
    version: int
    digest: str
    created: str
    source: str | None = None
    description: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    is_new: bool = True

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        form = {key: getattr(self, key) for key in ("version", "digest", "created", "source", "description")}
        return {"kind": self.kind, "name": self.name, **form, "tags": dict(self.tags)}


class FileRegistry:
    """A registry that is a folder.

    Args:
        folder: Where it lives; made when something is registered.
        clock: Gives the time.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] | None = None) -> None:
        self.folder = folder
        self._clock = clock or (lambda: datetime.now(UTC))

    def register(
        self,
        kind: Kind,
        name: str,
        digest: str,
        *,
        source: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Version:
        """A new version when the content changed since the latest one, else that one with `is_new` false.

        Raises:
            DataError: The name cannot be a file's name.
        """
        path = self._path(kind, name)
        with self._locked(path):
            record = self._read(path, kind, name)
            versions = record["versions"]
            if versions and versions[-1]["digest"] == digest:
                return _version(kind, name, versions[-1], is_new=False)
            entry = {
                "version": versions[-1]["version"] + 1 if versions else 1,
                "digest": digest,
                "created": self._clock().isoformat(timespec="seconds"),
                "source": source,
                "description": description,
                "tags": dict(tags or {}),
            }
            versions.append(entry)
            _write(path, record)
            return _version(kind, name, entry, is_new=True)

    def get(self, kind: Kind, name: str, version: int | str | None = None) -> Version:
        """A version by number or alias; by default the latest.

        Raises:
            DataError: There is no such name or version.
        """
        path = self._path(kind, name)
        if not path.is_file():
            raise DataError(
                f"There is no {kind} {name!r} in the registry.",
                hint=suggest(name, self.names(kind)),
                kind="NotRegistered",
            )
        record = self._read(path, kind, name)
        wanted = record["aliases"].get(version, version) if isinstance(version, str) else version
        if wanted is None or wanted == "latest":
            return _version(kind, name, record["versions"][-1])
        for entry in record["versions"]:
            if str(entry["version"]) == str(wanted):
                return _version(kind, name, entry)
        known = [str(entry["version"]) for entry in record["versions"]] + list(record["aliases"])
        raise DataError(
            f"The {kind} {name!r} has no version {version!r}.", hint=suggest(str(version), known), kind="NotRegistered"
        )

    def set_alias(self, kind: Kind, name: str, alias: str, version: int) -> None:
        """Let an alias, such as `champion`, name a version.

        Raises:
            DataError: There is no such version, or the alias is a number.
        """
        if alias.isdigit() or alias == "latest":
            raise DataError(f"An alias cannot be {alias!r}.", hint="Choose a word, such as champion.")
        self.get(kind, name, version)
        path = self._path(kind, name)
        with self._locked(path):
            record = self._read(path, kind, name)
            record["aliases"][alias] = version
            _write(path, record)

    def aliases(self, kind: Kind, name: str) -> dict[str, int]:
        """Alias -> version."""
        path = self._path(kind, name)
        return dict(self._read(path, kind, name)["aliases"]) if path.is_file() else {}

    def versions(self, kind: Kind, name: str) -> list[Version]:
        """All versions, the first one first."""
        path = self._path(kind, name)
        entries = self._read(path, kind, name)["versions"] if path.is_file() else []
        return [_version(kind, name, entry) for entry in entries]

    def names(self, kind: Kind) -> list[str]:
        """What is registered, sorted."""
        folder = self.folder / kind
        return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []

    def _path(self, kind: str, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith("."):
            raise DataError(
                f"{name!r} cannot be the name of a {kind}.",
                hint="Use letters, digits, '.', '_' and '-'.",
                kind="BadName",
            )
        return self.folder / kind / f"{name}.json"

    def _read(self, path: Path, kind: str, name: str) -> dict[str, Any]:
        if not path.is_file():
            return {"schema_version": SCHEMA_VERSION, "kind": kind, "name": name, "versions": [], "aliases": {}}
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DataError(f"The registry's file is damaged: {error.msg}.", file=path, line=error.lineno) from error
        return record

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """One writer a name. A lock that a dead process left behind is taken over after ten seconds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock")
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                break
            except FileExistsError:
                if _age_s(lock) > _LOCK_S:
                    lock.unlink(missing_ok=True)
                elif time.monotonic() > deadline + _LOCK_S:
                    raise GenaiopsError(f"The registry is locked: {lock}.", hint="Remove the file.") from None
                else:
                    time.sleep(0.01)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _version(kind: str, name: str, entry: Mapping[str, Any], *, is_new: bool = False) -> Version:
    return Version(
        kind=kind,
        name=name,
        version=int(entry["version"]),
        digest=str(entry["digest"]),
        created=str(entry["created"]),
        source=entry.get("source"),
        description=entry.get("description"),
        tags=entry.get("tags") or {},
        is_new=is_new,
    )


def _write(path: Path, record: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
