"""One pass over a dataset before anything starts: are all rows readable, what columns are there, what is its digest."""

from __future__ import annotations

from array import array
from itertools import islice
from pathlib import Path

from genaiops.datasets._files import data_files
from genaiops.datasets._read import OnBadRow, read_all, read_rows
from genaiops.datasets._records import BadRow, Columns, Row, Scan
from genaiops.errors import DataError

_MAX_COLUMNS = 10_000
_SAMPLE_ROWS = 1_000
_KEPT_BAD_ROWS = 10


def columns(path: str | Path, *, sample: int = 5) -> Columns:
    """The columns that the first thousand rows have, and the first `sample` rows.

    Raises:
        DataError: The dataset cannot be read, or one of these rows is bad.
    """
    rows = list(islice(read_rows(path), _SAMPLE_ROWS))
    names = dict.fromkeys(name for row in rows for name in row.values)
    return Columns(names=tuple(names), sample=tuple(rows[:sample]))


def scan(path: str | Path, *, on_bad_row: OnBadRow = "stop", limit: int | None = None) -> Scan:
    """Read a whole dataset once, in flat memory.

    Args:
        path: A file or a folder.
        on_bad_row: With `stop` the first bad row raises; with `skip` bad rows are counted.
        limit: Look at the first so many rows only; the digest is that of the whole dataset all the same.

    Raises:
        DataError: A bad row, a file that cannot be read, or no row at all (kind `EmptyInputsData`).
    """
    counts: dict[str, int] = {}
    bad: list[BadRow] = []
    bad_rows = array("q")
    rows = 0
    for row in read_all(path):
        if isinstance(row, Row):
            rows += 1
            for name in row.values:
                counts[name] = counts.get(name, 0) + 1
            if len(counts) > _MAX_COLUMNS:
                raise DataError(
                    f"The rows have more than {_MAX_COLUMNS} different keys.",
                    file=row.file,
                    line=row.line,
                    hint="Put keys that vary from row to row into one object.",
                )
            if rows == limit:
                break
        elif on_bad_row == "stop":
            raise row.error
        else:
            bad_rows.append(row.index)
            if len(bad) < _KEPT_BAD_ROWS:
                bad.append(row)
    if not rows:
        raise _empty(path, bad)
    return Scan(
        rows=rows,
        skipped=len(bad_rows),
        columns=tuple(counts),
        counts=counts,
        sha256=digest(path),
        bad_rows=bad_rows,
        first_bad=tuple(bad),
    )


def _empty(path: str | Path, bad: list[BadRow]) -> DataError:
    if bad:
        return DataError(f"None of the rows can be read; the first: {bad[0].error}", file=path, kind="EmptyInputsData")
    return DataError("The dataset has no rows.", file=path, kind="EmptyInputsData")


def digest(path: str | Path) -> str:
    """SHA-256 of a dataset's content: of the file, or of all names and files of a folder."""
    import hashlib

    place = Path(path)
    if place.is_file():
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    total = hashlib.sha256()
    for file_path in data_files(place):
        total.update(f"{file_path.relative_to(place).as_posix()}\0{digest(file_path)}\n".encode())
    return total.hexdigest()
