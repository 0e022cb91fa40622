"""Reading rows, one at a time, whatever the file's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from genaiops.datasets._delimited import read_csv, read_tsv
from genaiops.datasets._files import SUFFIXES, data_files
from genaiops.datasets._json import read_json, read_jsonl
from genaiops.datasets._parquet import read_parquet
from genaiops.datasets._records import BadRow, Row
from genaiops.errors import DataError, suggest

OnBadRow = Literal["stop", "skip"]
# What a format gives for each row: its line, and its values or what is wrong with it.
RawRows = Iterable[tuple[int, "dict[str, object] | DataError"]]

_READERS: dict[str, Callable[[Path], RawRows]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}


def read_rows(path: str | Path, *, on_bad_row: OnBadRow = "stop", limit: int | None = None) -> Iterator[Row]:
    """The rows of a dataset, one at a time: memory does not grow with the file.

    JSON Lines, JSON (an array of objects), CSV, TSV, Parquet, or a folder of these. Cells of CSV and TSV are text,
    an empty cell is `""`. Keys that a JSON object lacks stay missing.

    Args:
        path: A file or a folder.
        on_bad_row: `stop` raises at the first row that cannot be read; `skip` leaves such rows out and keeps the
            others with their own numbers.
        limit: At most this many rows.

    Raises:
        DataError: No such file, an unknown format, or (with `stop`) a bad row, with its file and line.

    Example:
        >>> [row.values for row in read_rows("examples/data/colours.csv")]  # doctest: +SKIP
        [{'name': 'red', 'code': '1'}]
    """
    given = 0
    if limit is not None and limit <= 0:
        return
    for row in read_all(path):
        if isinstance(row, BadRow):
            if on_bad_row == "stop":
                raise row.error
            continue
        yield row
        given += 1
        if given == limit:
            return


def read_all(path: str | Path) -> Iterator[Row | BadRow]:
    """Every row of a dataset, those that cannot be read included."""
    place = Path(path)
    index = 0
    for file in data_files(place):
        reader = _READERS.get(file.suffix.lower())
        if reader is None:
            if not place.is_dir():
                raise DataError(
                    f"The data file {file.name!r} has no known format.",
                    file=file,
                    hint=f"{suggest(file.suffix, SUFFIXES)} Its name must end in one of {', '.join(SUFFIXES)}.",
                )
            if not _looks_like_jsonl(file):
                continue
            reader = read_jsonl
        for line, values in reader(file):
            yield BadRow(index, values) if isinstance(values, DataError) else Row(index, values, line, file)
            index += 1


def _looks_like_jsonl(file: Path) -> bool:
    """Other files of a folder count only when they hold JSON Lines."""
    for _, values in read_jsonl(file):
        return not isinstance(values, DataError)
    return False
