from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import DataError
from genaiops.runs import RowCounts, RunRecord
from genaiops.runs._sources import open_sources


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def earlier_run(folder: Path, outputs: Mapping[int, Mapping[str, Any] | None], data: Path | None = None) -> RunRecord:
    """A run whose row `n` gave `outputs[n]`, or failed where that is None."""
    folder.mkdir()
    lines = [
        {"schema_version": 1, "row": row, "status": "failed" if given is None else "completed", "outputs": given or {}}
        for row, given in outputs.items()
    ]
    write_rows(folder / "outcomes.jsonl", lines)
    dataset = {"path": str(data)} if data else {}
    return RunRecord(id="first", path=folder, status="completed", flow={}, dataset=dataset, rows=RowCounts())


def joined(data: Path | None, run: RunRecord | None, limit: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    sources = open_sources(data, run, on_bad_row="skip", limit=limit)
    found = [(row.row, {name: dict(values) for name, values in row.sources.items()}) for row in sources.rows()]
    assert sources.count()[0] == len(found)
    return found


def test_only_rows_that_every_source_has_are_run(tmp_path: Path) -> None:
    """Vector C.4 of the format reference."""
    data = write_rows(tmp_path / "d.jsonl", [{"q": 1}, {"q": 2}, {"q": 3}])
    run = earlier_run(tmp_path / "run", {2: {"o": "c"}, 0: {"o": "a"}, 1: None})

    rows = joined(data, run)

    assert [(number, sources["data"]["q"], sources["run.outputs"]["o"]) for number, sources in rows] == [
        (0, 1, "a"),
        (2, 3, "c"),
    ]
    assert open_sources(data, run, on_bad_row="stop", limit=None).count() == (2, 1)


def test_the_inputs_of_an_earlier_run_are_its_data(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"q": 1}, {"q": 2}])
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}, 1: {"o": "b"}}, data)

    rows = joined(None, run)

    assert [(sources["run.inputs"]["q"], sources["run.outputs"]["o"]) for _, sources in rows] == [(1, "a"), (2, "b")]


def test_a_column_line_number_says_where_a_row_belongs(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"line_number": 2, "t": "two"}, {"line_number": 0, "t": "zero"}])
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}, 1: {"o": "b"}, 2: {"o": "c"}})

    rows = joined(data, run)

    assert [(number, sources["data"]["t"], sources["run.outputs"]["o"]) for number, sources in rows] == [
        (0, "zero", "a"),
        (2, "two", "c"),
    ]


@pytest.mark.parametrize("values", [[0, 0], [0, None], [0, -1], [0, 1.5], [0, "x"], [0, True]])
def test_a_column_line_number_that_is_none_is_refused(tmp_path: Path, values: list[object]) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"line_number": value} for value in values])

    with pytest.raises(DataError, match="line_number") as caught:
        joined(data, None)

    assert caught.value.line == 2


def test_sources_joined_by_place_must_be_of_one_length(tmp_path: Path) -> None:
    short = write_rows(tmp_path / "short.jsonl", [{"q": 1}])
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}}, write_rows(tmp_path / "d.jsonl", [{"q": 1}, {"q": 2}]))

    with pytest.raises(DataError, match="different numbers of rows") as caught:
        joined(short, run)

    assert caught.value.kind == "InputMappingError"


def test_a_row_that_cannot_be_read_keeps_the_places_of_the_others(tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"q": 1}\nbroken\n{"q": 3}\n')
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}, 1: {"o": "b"}, 2: {"o": "c"}})

    rows = joined(data, run)

    assert [(number, sources["run.outputs"]["o"]) for number, sources in rows] == [(0, "a"), (2, "c")]


def test_the_limit_counts_joined_rows(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"q": n} for n in range(5)])
    run = earlier_run(tmp_path / "run", {1: {"o": "b"}, 3: {"o": "d"}, 4: {"o": "e"}})

    assert [number for number, _ in joined(data, run, limit=2)] == [1, 3]
    assert open_sources(data, run, on_bad_row="stop", limit=2).count() == (2, 2)


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_data_that_the_earlier_run_had_too_is_joined_as_a_copy_of_it_would_be(
    tmp_path: Path, limit: int | None
) -> None:
    text = '{"q": 1}\nbroken\n{"q": 3}\n{"q": 4}\n'
    data, copy = tmp_path / "d.jsonl", tmp_path / "copy.jsonl"
    data.write_text(text)
    copy.write_text(text)
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}, 2: {"o": "c"}, 3: {"o": "d"}}, data)

    same, apart = (open_sources(path, run, on_bad_row="skip", limit=limit) for path in (data, copy))

    assert joined(data, run, limit) == joined(copy, run, limit)
    assert same.count() == apart.count()
    assert same.columns == apart.columns == {"data": ("q",), "run.outputs": ("line_number", "o"), "run.inputs": ("q",)}


def test_files_that_have_changed_are_looked_at_again(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"q": 1}])
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}})
    assert len(joined(data, run)) == 1

    write_rows(data, [{"q": 1, "more": True}, {"q": 2}])
    done = [{"schema_version": 1, "row": row, "status": "completed", "outputs": {"p": row}} for row in range(2)]
    write_rows(run.outcomes_path, done)

    assert [row for row, _ in joined(data, run)] == [0, 1]
    columns = open_sources(data, run, on_bad_row="stop", limit=None).columns
    assert columns == {"data": ("q", "more"), "run.outputs": ("line_number", "p")}


def test_a_run_that_is_not_finished_cannot_be_used(tmp_path: Path) -> None:
    run = earlier_run(tmp_path / "run", {0: {"o": "a"}})
    stopped = RunRecord(id="first", path=run.path, status="interrupted", flow={})

    with pytest.raises(DataError) as caught:
        joined(None, stopped)

    assert (caught.value.kind, caught.value.exit_code) == ("InvalidRunStatusError", 2)


def test_images_of_an_earlier_run_are_found_from_anywhere(tmp_path: Path) -> None:
    run = earlier_run(tmp_path / "run", {0: {"o": {"data:image/png;path": "a.png"}}})

    rows = joined(None, run)

    assert rows[0][1]["run.outputs"]["o"] == {"data:image/png;path": str(tmp_path / "run" / "images" / "a.png")}
