"""The files of a dataset: one file, or all files of a folder."""

from __future__ import annotations

from pathlib import Path

from genaiops.errors import DataError, suggest

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def data_files(path: str | Path) -> list[Path]:
    """The files that hold the rows of `path`, in the order in which they are read.

    A folder gives all its files, those of its folders included, by name; hidden ones are left out.

    Raises:
        DataError: There is no such file or folder, or the folder is empty.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    if not place.exists():
        raise DataError(f"The data file {str(path)!r} does not exist.", hint=_neighbours(place))
    files = sorted(
        file
        for file in place.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(place).parts)
    )
    if not files:
        raise DataError(f"The folder {str(path)!r} holds no data file.", kind="EmptyInputsData")
    return files


def _neighbours(path: Path) -> str:
    if str(path).startswith("azureml:"):
        return "Datasets of an Azure ML workspace are not read here; download the file first."
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    return suggest(path.name, [p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES or p.is_dir()])
