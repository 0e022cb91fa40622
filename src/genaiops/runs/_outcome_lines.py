"""Reading `outcomes.jsonl`: the latest outcome of each row, in order, without holding them all."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

# The host writes these keys first, so that a line need not be parsed to know whose it is.
_HEAD = re.compile(rb'\{"schema_version": ?1, ?"row": ?(\d+), ?"status": ?"(\w+)"')
_HEAD_BYTES = 96


class LineHead(NamedTuple):
    """Which row a line is about, how it ended, and where the line stands in the file."""

    row: int
    completed: bool
    offset: int


def read_heads(path: Path) -> Iterator[LineHead]:
    """The head of every whole line; a torn last line is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        offset = 0
        for line in file:
            if line.endswith(b"\n") and (head := _head(line)) is not None:
                yield LineHead(head[0], head[1], offset)
            offset += len(line)


def _head(line: bytes) -> tuple[int, bool] | None:
    match = _HEAD.match(line, 0, _HEAD_BYTES)
    if match is not None:
        return int(match[1]), match[2] == b"completed"
    try:
        form = json.loads(line)
        return int(form["row"]), form["status"] == "completed"
    except (ValueError, KeyError, TypeError):
        return None


class LineIndex:
    """Where the latest outcome of each row stands: sixteen bytes a row."""

    def __init__(self, path: Path, *, completed_only: bool = False) -> None:
        self.path = path
        self.in_order = True
        rows, offsets = array("q"), array("q")
        for head in read_heads(path):
            if completed_only and not head.completed:
                self.in_order = False
                continue
            if rows and head.row <= rows[-1]:
                self.in_order = False
            rows.append(head.row)
            offsets.append(head.offset)
        self.rows, self._offsets = (rows, offsets) if _rises(rows) else _latest_sorted(rows, offsets)

    def __len__(self) -> int:
        return len(self.rows)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Row and line, by row."""
        if not self.rows:
            return
        with self.path.open("rb") as file:
            for row, offset in zip(self.rows, self._offsets, strict=True):
                if file.tell() != offset:
                    file.seek(offset)
                yield row, file.readline()


def _rises(rows: array[int]) -> bool:
    return all(first < second for first, second in pairwise(rows))


def _latest_sorted(rows: array[int], offsets: array[int]) -> tuple[array[int], array[int]]:
    """By row; of several lines of one row the last one written."""
    highest = max(rows, default=-1)
    if highest < 2 * len(rows) + 1024:
        # Nearly every number is there: put each offset in its place. Sorting would hold a hundred bytes a row.
        places = array("q", bytes(8)) * (highest + 1)
        for row, offset in zip(rows, offsets, strict=True):
            places[row] = offset + 1
        found = array("q", (row for row, place in enumerate(places) if place))
        return found, array("q", (places[row] - 1 for row in found))
    latest_rows, latest_offsets = array("q"), array("q")
    for index in sorted(range(len(rows)), key=lambda i: (rows[i], offsets[i])):
        if latest_rows and latest_rows[-1] == rows[index]:
            latest_offsets[-1] = offsets[index]
        else:
            latest_rows.append(rows[index])
            latest_offsets.append(offsets[index])
    return latest_rows, latest_offsets


def read_outcomes(path: Path) -> Iterator[dict[str, Any]]:
    """The latest outcome of each row, by row."""
    for _, line in LineIndex(path).lines():
        yield json.loads(line)


def drop_torn_line(path: Path) -> int:
    """Cut off what stands behind the last line end, as a process that was killed leaves it.

    Returns:
        How many bytes were cut off.
    """
    if not path.is_file():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _last_line_end(file, size)
        if end < size:
            file.truncate(end)
    return size - end


def _last_line_end(file: BinaryIO, size: int) -> int:
    """The position behind the last line end."""
    step = 1 << 16
    position = size
    while position > 0:
        start = max(0, position - step)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def put_in_order(path: Path) -> None:
    """Rewrite the file with one line a row, by row; nothing is done when it is so already."""
    index = LineIndex(path)
    if index.in_order:
        return
    scratch = path.with_suffix(".jsonl.new")
    with scratch.open("wb") as file:
        for _, line in index.lines():
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


class RowSet:
    """A set of row numbers: a bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._large: set[int] = set()
        self.count = 0

    def add(self, row: int) -> bool:
        """Add a number; False when it was there."""
        if row in self:
            return False
        self.count += 1
        place, bit = divmod(row, 8)
        if place >= 1 << 24:  # numbers that a user chose may be anything
            self._large.add(row)
            return True
        if place >= len(self._bits):
            self._bits.extend(bytes(max(place + 1 - len(self._bits), len(self._bits), 1024)))
        self._bits[place] |= 1 << bit
        return True

    def __contains__(self, row: int) -> bool:
        place, bit = divmod(row, 8)
        if place < len(self._bits):
            return bool(self._bits[place] >> bit & 1)
        return row in self._large

    def __len__(self) -> int:
        return self.count
