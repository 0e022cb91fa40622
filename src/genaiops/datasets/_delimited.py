"""CSV and TSV: every cell is text, an empty cell is the empty text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from genaiops.datasets._json import MAX_ROW_BYTES, refuse_utf16
from genaiops.errors import DataError
from genaiops.plain_text import plural

# Stands behind the last line: a cell that holds it has a quote that is never closed.
_END = "\x00end of file\x00"


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Each record and the line where it starts."""
    return _read(path, ",")


def read_tsv(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Each record and the line where it starts."""
    return _read(path, "\t")


def _read(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    with path.open("rb") as raw:
        refuse_utf16(raw, path)
    csv.field_size_limit(MAX_ROW_BYTES)
    # A byte that is not UTF-8 becomes a lone surrogate, so that one bad cell does not end the reading.
    with path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = csv.reader(_lines(file), delimiter=delimiter)
        names: list[str] | None = None
        while True:
            line = records.line_num + 1
            try:
                cells = next(records, [_END])
            except csv.Error as error:
                yield line, DataError(f"Expected delimited text, found: {error}.", file=path, line=line)
                continue
            if not cells:
                continue
            if _END in cells[-1]:
                if cells != [_END]:
                    yield line, DataError("A quote is opened and never closed.", file=path, line=line)
                return
            if names is None:
                names = _unique(cells, path)
                continue
            yield line, _record(names, cells, path, line)


def _lines(file: TextIO) -> Iterator[str]:
    """The file's lines and the mark of its end; a line that never ends is cut at the bound."""
    last = "\n"
    while line := file.readline(MAX_ROW_BYTES):
        last = line
        yield line
    if not last.endswith(("\n", "\r")):
        # The last line has no end of its own, and the mark must not become part of it.
        yield "\n"
    yield _END


def _record(names: list[str], cells: list[str], path: Path, line: int) -> dict[str, Any] | DataError:
    if len(cells) > len(names):
        return DataError(
            f"Expected {plural(len(names), 'cell')} ({', '.join(names[:8])}), found {len(cells)}.",
            file=path,
            line=line,
            hint="Put cells that hold the delimiter in double quotes, or use --on-bad-row skip.",
        )
    for name, cell in zip(names, cells, strict=False):
        if not cell.isascii() and any("\udc80" <= sign <= "\udcff" for sign in cell):
            return DataError(f"The cell {name!r} is not UTF-8 text.", file=path, line=line)
    return dict(zip(names, cells, strict=False))


def _unique(cells: list[str], path: Path) -> list[str]:
    """The names in the header; a name that comes again gets `.1`, `.2` as prompt flow's reader gives it."""
    names: list[str] = []
    for index, cell in enumerate(cells):
        if any("\udc80" <= sign <= "\udcff" for sign in cell):
            raise DataError("The header is not UTF-8 text.", file=path, line=1)
        base = cell or f"Unnamed: {index}"
        name, number = base, 0
        while name in names:
            number += 1
            name = f"{base}.{number}"
        names.append(name)
    return names
