"""What reading a dataset gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from genaiops.errors import DataError
from genaiops.records import record


@record(frozen=True, slots=True)
class Row:
    """One record of a dataset.

    Args:
        index: Its place in the dataset, counted from 0. A bad row keeps its place, so that the numbers of the others
            do not depend on whether somebody repaired it.
        values: Column to value. A column that the row lacks is not there.
        line: The line in the file where it starts, counted from 1; for Parquet the row, counted from 1.
        file: The file that holds it.
    """

    index: int
    values: dict[str, Any]
    line: int
    file: Path


@record(frozen=True, slots=True)
class BadRow:
    """A row that could not be read, and why."""

    index: int
    error: DataError


@record(frozen=True, kw_only=True)
class Columns:
    """The columns of a dataset.

    Args:
        names: In the order in which they first appear.
        sample: The first rows, to show or to check types against.
    """

    names: tuple[str, ...]
    sample: tuple[Row, ...] = ()


@record(frozen=True, kw_only=True)
class Scan:
    """What one pass over a whole dataset found.

    Args:
        rows: Rows that can be used.
        skipped: Rows that cannot, when bad rows are skipped.
        columns: Every column that some row has.
        counts: How many rows have each column.
        sha256: Digest of the content of all files.
        bad_rows: The indices of rows that cannot be used.
        first_bad: The first of them with their errors, at most ten.
    """

    rows: int
    skipped: int
    columns: tuple[str, ...]
    sha256: str
    counts: Mapping[str, int] = field(default_factory=dict)
    bad_rows: Sequence[int] = ()
    first_bad: tuple[BadRow, ...] = ()
