"""Where the values of a row come from: a dataset, an earlier run, or both, joined by row number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from genaiops.datasets import OnBadRow, Scan, data_files, read_rows, scan
from genaiops.errors import DataError
from genaiops.runs._images import absolute_images
from genaiops.runs._outcome_lines import LineIndex
from genaiops.runs._record import IMAGES_FOLDER, RunRecord

ALIGN_BY = "line_number"
_SAMPLE_OUTCOMES = 200
# The runs of an experiment read few files, and many runs read each of them.
_MOST_KNOWN = 16
_MOST_HELD = 8
_HELD_BYTES = 1 << 19


class SourceRow(NamedTuple):
    """One row of one source. `folder` is where its relative paths (of images) start."""

    row: int
    values: Mapping[str, Any]
    folder: Path | None = None


class Source(Protocol):
    """Rows by number, rising."""

    columns: tuple[str, ...]

    def rows(self) -> Iterator[SourceRow]:
        """The rows, by number."""

    def numbers(self) -> Iterator[int]:
        """The numbers of `rows`, without reading them where that can be."""


class DataSource:
    """A dataset. Rows count from 0 by place, or carry their number in a column `line_number`."""

    def __init__(self, path: Path, found: Scan, *, on_bad_row: OnBadRow) -> None:
        self.path = path
        self.scan = found
        self.columns = found.columns
        self._on_bad_row = on_bad_row
        self._numbered = self._read_numbered() if ALIGN_BY in found.columns else None

    @property
    def is_numbered(self) -> bool:
        """The rows carry their numbers."""
        return self._numbered is not None

    def rows(self) -> Iterator[SourceRow]:
        """The rows, by number."""
        if self._numbered is not None:
            return iter(self._numbered)
        state = _state(self.path)
        if sum(file.size for file in state) <= _HELD_BYTES:
            return iter(_held_rows(self.path, self._on_bad_row, state))
        return _read(self.path, self._on_bad_row)

    def numbers(self) -> Iterator[int]:
        """The numbers, known from the scan."""
        if self._numbered is not None:
            return (row.row for row in self._numbered)
        bad = set(self.scan.bad_rows)
        return (index for index in range(self.scan.rows + self.scan.skipped) if index not in bad)

    def _read_numbered(self) -> list[SourceRow]:
        """All rows, by the number they carry; such files come from earlier runs and are read whole."""
        found: dict[int, SourceRow] = {}
        for row in read_rows(self.path, on_bad_row=self._on_bad_row):
            number = _row_number(row.values.get(ALIGN_BY))
            if number is None or number in found:
                problem = "comes twice" if number is not None else "is no number of a row, counted from 0"
                raise DataError(
                    f"The rows have a column {ALIGN_BY!r}, which says where each belongs;"
                    f" the value {row.values.get(ALIGN_BY)!r} {problem}.",
                    file=row.file,
                    line=row.line,
                    hint="Number the rows from 0, or rename the column.",
                    kind="InputMappingError",
                )
            found[number] = SourceRow(number, row.values, row.file.parent)
        return [found[number] for number in sorted(found)]


def _row_number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 and (isinstance(value, str) or number == value) else None


def _read(path: Path, on_bad_row: OnBadRow) -> Iterator[SourceRow]:
    for row in read_rows(path, on_bad_row=on_bad_row):
        yield SourceRow(row.index, row.values, row.file.parent)


class OutputsSource:
    """The outputs of an earlier run; rows that failed there are not in it.

    Args:
        outcomes: Its `outcomes.jsonl`.
    """

    def __init__(self, outcomes: Path) -> None:
        self._images = outcomes.parent / IMAGES_FOLDER
        self._index = LineIndex(outcomes, completed_only=True)
        is_small = outcomes.stat().st_size <= _HELD_BYTES
        self._held = list(self._read()) if is_small else None
        self.columns = (ALIGN_BY, *self._output_names())

    def __len__(self) -> int:
        return len(self._index)

    def rows(self) -> Iterator[SourceRow]:
        """The rows that completed, by number."""
        return self._read() if self._held is None else iter(self._held)

    def _read(self) -> Iterator[SourceRow]:
        for row, line in self._index.lines():
            outputs = absolute_images(json.loads(line)["outputs"], self._images, set())
            yield SourceRow(row, {ALIGN_BY: row, **outputs})

    def numbers(self) -> Iterator[int]:
        """The numbers of the rows that completed."""
        return iter(self._index.rows)

    def _output_names(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for index, source_row in enumerate(self.rows()):
            names.update(dict.fromkeys(source_row.values))
            if index == _SAMPLE_OUTCOMES:
                break
        names.pop(ALIGN_BY, None)
        return tuple(names)


class JoinedRow(NamedTuple):
    """One row of all sources together."""

    row: int
    sources: dict[str, Mapping[str, Any]]
    folder: Path | None


class Sources:
    """All sources of a run, joined: only rows that every source has are run.

    Args:
        sources: `data`, `run.outputs`, `run.inputs`.
        limit: At most this many rows.
    """

    def __init__(self, sources: Mapping[str, Source], *, limit: int | None = None) -> None:
        self._sources = dict(sources)
        self._limit = limit

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Source to its columns."""
        return {name: source.columns for name, source in self._sources.items()}

    @property
    def data(self) -> DataSource | None:
        """The dataset, when there is one."""
        found = self._sources.get("data")
        return found if isinstance(found, DataSource) else None

    def count(self) -> tuple[int, int]:
        """How many rows will run, and how many before the last of them are left out."""
        numbers = [source.numbers() for source in self._different()]
        run = skipped = 0
        first = self._sources.get("data")
        known_bad = len(first.scan.bad_rows) if isinstance(first, DataSource) else 0
        for matched in _merge_numbers(numbers):
            run += matched
            skipped += not matched
            if run == self._limit:
                return run, skipped
        return run, skipped + known_bad

    def rows(self) -> Iterator[JoinedRow]:
        """The rows that every source has, by number."""
        different = self._different()
        place = {name: different.index(source) for name, source in self._sources.items()}
        for heads in islice(_merge([source.rows() for source in different]), self._limit):
            folder = next((head.folder for head in heads if head.folder is not None), None)
            yield JoinedRow(heads[0].row, {name: heads[index].values for name, index in place.items()}, folder)

    def _different(self) -> list[Source]:
        """The sources, each once: one file may be the data and the inputs of the earlier run."""
        return list(dict.fromkeys(self._sources.values()))


def _merge(streams: list[Iterator[SourceRow]]) -> Iterator[list[SourceRow]]:
    """Walk sorted streams side by side and give the rows whose number all of them have."""
    try:
        heads = [next(stream) for stream in streams]
        while True:
            numbers = [head.row for head in heads]
            highest = max(numbers)
            if numbers.count(highest) == len(numbers):
                yield heads
                heads = [next(stream) for stream in streams]
                continue
            for index, stream in enumerate(streams):
                while heads[index].row < highest:
                    heads[index] = next(stream)
    except StopIteration:
        return


def _merge_numbers(streams: list[Iterator[int]]) -> Iterator[bool]:
    """For each number that some stream has, whether all have it; ends when every stream has."""
    heads = [next(stream, None) for stream in streams]
    while known := [head for head in heads if head is not None]:
        lowest = min(known)
        yield heads.count(lowest) == len(heads)
        heads = [next(stream, None) if head == lowest else head for head, stream in zip(heads, streams, strict=True)]


def open_sources(
    data: str | Path | None,
    source_run: RunRecord | None,
    *,
    on_bad_row: OnBadRow,
    limit: int | None,
) -> Sources:
    """Read every source once, so that nothing starts when one of them is wrong.

    Raises:
        DataError: A source cannot be read, is empty, or the sources do not fit together; a source run is not finished.
    """
    sources: dict[str, Source] = {}
    if data is not None:
        sources["data"] = _data_source(Path(data), on_bad_row, limit if source_run is None else None)
    if source_run is not None:
        sources.update(_run_sources(source_run, sources.get("data")))
    _check_lengths(sources)
    joined = Sources(sources, limit=limit)
    if joined.count()[0] == 0:
        raise DataError("The data and the earlier run have no row in common.", kind="InputMappingError")
    return joined


def _data_source(path: Path, on_bad_row: OnBadRow, limit: int | None) -> DataSource:
    return DataSource(path, _known_scan(path, on_bad_row, limit, _state(path)), on_bad_row=on_bad_row)


class _FileState(NamedTuple):
    """Other when the file has been written since."""

    path: Path
    size: int
    changed_ns: int


def _state(path: Path) -> tuple[_FileState, ...]:
    found = ((file, file.stat()) for file in data_files(path))
    return tuple(_FileState(file, about.st_size, about.st_mtime_ns) for file, about in found)


@lru_cache(maxsize=_MOST_KNOWN)
def _known_scan(path: Path, on_bad_row: OnBadRow, limit: int | None, state: object) -> Scan:
    return scan(path, on_bad_row=on_bad_row, limit=limit)


@lru_cache(maxsize=_MOST_HELD)
def _held_rows(path: Path, on_bad_row: OnBadRow, state: object) -> list[SourceRow]:
    return list(_read(path, on_bad_row))


@lru_cache(maxsize=_MOST_HELD)
def _known_outputs(outcomes: Path, state: object) -> OutputsSource:
    return OutputsSource(outcomes)


def _run_sources(record: RunRecord, data: Source | None) -> dict[str, Source]:
    if record.status not in ("completed", "failed"):
        state = "running" if record.is_running() else "not finished"
        raise DataError(
            f"The run {record.id!r} is {state}; only a finished run can be used.",
            hint=None if state == "running" else f"Finish it with --resume {record.id}.",
            kind="InvalidRunStatusError",
        )
    sources: dict[str, Source] = {}
    outcomes = record.outcomes_path
    if outcomes.is_file() and len(outputs := _known_outputs(outcomes.absolute(), _state(outcomes))):
        sources["run.outputs"] = outputs
    path = record.dataset.get("path")
    if path and isinstance(data, DataSource) and data.path.resolve() == Path(path).resolve():
        sources["run.inputs"] = data
    elif path and Path(path).exists():
        sources["run.inputs"] = _data_source(Path(path), "skip", None)
    if not sources:
        raise DataError(f"The run {record.id!r} has no completed row.", kind="EmptyInputsData")
    return sources


def _check_lengths(sources: Mapping[str, Source]) -> None:
    """Datasets without row numbers are joined by place, so their lengths must agree."""
    by_place = {
        name: source.scan.rows + source.scan.skipped
        for name, source in sources.items()
        if isinstance(source, DataSource) and not source.is_numbered
    }
    if len(set(by_place.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in by_place.items())
        raise DataError(
            f"The sources have different numbers of rows and are joined by place: {listed}.",
            hint=f"Give the rows a column {ALIGN_BY!r}, or use the dataset of the earlier run.",
            kind="InputMappingError",
        )
