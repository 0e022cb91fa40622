from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.runs import read_outcomes
from genaiops.runs._outcome_lines import LineIndex, RowSet, drop_torn_line, put_in_order, read_heads


def line(row: int, status: str = "completed", text: str = "") -> bytes:
    return json.dumps({"schema_version": 1, "row": row, "status": status, "text": text}).encode() + b"\n"


written = st.lists(
    st.tuples(
        st.integers(0, 20) | st.integers(5000, 5010), st.sampled_from(["completed", "failed"]), st.text(max_size=5)
    ),
    max_size=30,
)


@given(entries=written, torn=st.integers(0, 30))
def test_of_several_lines_of_a_row_the_latest_counts_and_rows_come_in_order(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[int, str, str]], torn: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "outcomes.jsonl"
    path.write_bytes(b"".join(line(*entry) for entry in entries) + line(9999, text="torn")[:torn])
    latest = {row: text for row, _, text in entries}

    assert [(item["row"], item["text"]) for item in read_outcomes(path)] == sorted(latest.items())
    drop_torn_line(path)
    put_in_order(path)
    assert [json.loads(item)["row"] for item in path.read_bytes().splitlines()] == sorted(latest)
    assert {item["row"]: item["text"] for item in read_outcomes(path)} == latest


def test_a_file_in_order_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(line(0) + line(5))
    before = path.stat().st_ino

    put_in_order(path)

    assert path.stat().st_ino == before


def test_completed_rows_alone_can_be_indexed(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(line(2) + line(0, "failed") + line(1) + line(0, "completed", "again"))

    index = LineIndex(path, completed_only=True)

    assert list(index.rows) == [0, 1, 2]
    assert [json.loads(text)["text"] for _, text in index.lines()] == ["again", "", ""]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_heads_are_read_however_a_writer_puts_its_blanks(tmp_path: Path, separators: tuple[str, str]) -> None:
    path = tmp_path / "outcomes.jsonl"
    forms = [{"schema_version": 1, "row": 3, "status": "failed"}, {"status": "completed", "row": 4}]
    path.write_text("".join(json.dumps(form, separators=separators) + "\n" for form in forms) + "not json\n")

    assert [(head.row, head.completed) for head in read_heads(path)] == [(3, False), (4, True)]


def test_a_torn_line_longer_than_any_piece_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(line(0) + b'{"row": 1, "text": "' + b"x" * 300_000)

    assert drop_torn_line(path) > 300_000
    assert path.read_bytes() == line(0)
    assert drop_torn_line(path) == 0
    assert drop_torn_line(tmp_path / "nothing") == 0


@given(numbers=st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 1 << 62))))
def test_a_row_set_is_a_set(numbers: list[int]) -> None:
    rows = RowSet()

    fresh = [rows.add(number) for number in numbers]

    assert sum(fresh) == len(rows) == len(set(numbers))
    assert all(number in rows for number in numbers)
    assert all((number + 1 in rows) == (number + 1 in numbers) for number in numbers)
