"""An experiment as one file: to another machine, to a CI server's artefacts, and back."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from genaiops.errors import DataError
from genaiops.experiments._result import FOLDER, ExperimentResult, load_result, write_experiment
from genaiops.settings import Settings, state_folder

_RUNS = "runs"
_LARGEST_BYTES = 20 * 1024**3
_SKIPPED = ("lock",)


def export_experiment(result: ExperimentResult, target: Path) -> Path:
    """Write an experiment with all its runs and evaluations as a ZIP file.

    Args:
        result: The experiment.
        target: The file to write.

    Returns:
        The file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in _files(result):
            archive.write(file, name)
    scratch.replace(target)
    return target


def import_experiment(source: Path, settings: Settings) -> ExperimentResult:
    """Take an experiment out of a file that `export_experiment` wrote.

    Args:
        source: The file.
        settings: Whose state folder it goes to.

    Raises:
        DataError: It is no such file, names a place outside, or there is an experiment or run of its name.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"{str(source)!r} is not a file that genaiops exported.", file=source) from error
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        ids = _checked(members, source)
        folders = [state_folder(settings, kind) / name for kind, name in ids]
        for folder in folders:
            if folder.exists():
                raise DataError(
                    f"There is {folder.name!r} already; nothing was changed.",
                    file=folder,
                    hint="Remove this folder first to import it again.",
                    kind="ExperimentExists",
                )
        try:
            for member in members:
                place = settings.state / PurePosixPath(member.filename)
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as stream, place.open("wb") as file:
                    shutil.copyfileobj(stream, file)
        except BaseException:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    name = next(name for kind, name in ids if kind == FOLDER)
    return _settled(load_result(settings.state / FOLDER / name), settings)


def _files(result: ExperimentResult) -> Iterator[tuple[str, Path]]:
    """Name in the archive and place of every file, the experiment's own first."""
    yield from _folder_files(result.path, f"{FOLDER}/{result.id}")
    entries: list[dict[str, Any]] = [*result.data.get("runs", ()), *result.data.get("evaluations", ())]
    for path in dict.fromkeys(str(entry["path"]) for entry in entries if entry.get("path")):
        folder = Path(path)
        if folder.is_dir():
            yield from _folder_files(folder, f"{_RUNS}/{folder.name}")


def _folder_files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.name not in _SKIPPED and not file.name.startswith("."):
            yield f"{prefix}/{file.relative_to(folder).as_posix()}", file


def _checked(members: list[zipfile.ZipInfo], source: Path) -> list[tuple[str, str]]:
    """The folders that the members belong to; nothing may lead out of the state folder."""
    found: dict[tuple[str, str], None] = {}
    if sum(member.file_size for member in members) > _LARGEST_BYTES:
        raise DataError("The file unpacks to more than 20 GiB.", file=source)
    for member in members:
        parts = PurePosixPath(member.filename).parts
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        bad = any(part in ("..", "") or ":" in part or "\\" in part for part in parts)
        if len(parts) < 3 or parts[0] not in (FOLDER, _RUNS) or bad or is_link:
            raise DataError(f"The file names the place {member.filename!r}, which is none of ours.", file=source)
        found[parts[0], parts[1]] = None
    if sum(kind == FOLDER for kind, _ in found) != 1:
        raise DataError("The file holds no experiment, or several.", file=source)
    return list(found)


def _settled(result: ExperimentResult, settings: Settings) -> ExperimentResult:
    """The record with the places that its runs have here."""
    data = dict(result.data)
    for key in ("runs", "evaluations"):
        data[key] = [_moved(entry, settings) for entry in data.get(key, ())]
    data["imported_from"] = str(result.data.get("use_case"))
    return write_experiment(result.path, data)


def _moved(entry: dict[str, Any], settings: Settings) -> dict[str, Any]:
    if not entry.get("path"):
        return entry
    # The name as the other machine's separators give it.
    name = str(entry["path"]).replace("\\", "/").rsplit("/", 1)[-1]
    return {**entry, "path": str(settings.state / _RUNS / name)}
