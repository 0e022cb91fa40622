from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.datasets import columns, digest, read_rows, scan
from genaiops.errors import DataError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path: Path, **options: object) -> list[dict[str, object]]:
    return [row.values for row in read_rows(path, **options)]  # type: ignore[arg-type]


def test_json_lines_keep_types_and_missing_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", '{"a": 1, "created_at": "2024-01-01"}\n\n{"b": null}\n')

    rows = list(read_rows(path))

    assert [(row.index, row.line, row.values) for row in rows] == [
        (0, 1, {"a": 1, "created_at": "2024-01-01"}),
        (1, 3, {"b": None}),
    ]


def test_cells_of_csv_are_text_and_an_empty_cell_is_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", 'id,text,n\n007,"a, ""b""\nc",\nNaN,null,1.0\n')

    assert values(path) == [
        {"id": "007", "text": 'a, "b"\nc', "n": ""},
        {"id": "NaN", "text": "null", "n": "1.0"},
    ]


def test_a_row_of_csv_that_spans_lines_moves_the_line_number(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", 'a,b\n"x\ny",1\nz,2,3\n')

    with pytest.raises(DataError, match="Expected 2 cells") as caught:
        values(path)

    assert (caught.value.file, caught.value.line) == (str(path), 4)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_last_line_of_csv_may_lack_its_end(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, "rows.tsv", f"a\tb{end or chr(10)}1\t2{end}")

    assert values(path) == [{"a": "1", "b": "2"}]


def test_a_quote_that_is_never_closed_is_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", 'a,b\n1,2\n"3,4\n5,6\n')

    with pytest.raises(DataError, match="never closed") as caught:
        values(path)

    assert caught.value.line == 3
    assert values(path, on_bad_row="skip") == [{"a": "1", "b": "2"}]


def test_a_column_name_that_comes_twice_is_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "a,a,a\n1,2,3\n")

    assert values(path) == [{"a": "1", "a.1": "2", "a.2": "3"}]


def test_a_json_array_is_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.json", '[\n {"a": [1, {"b": "]"}]},\n {"a": 2}\n]\n')

    assert [(row.line, row.values) for row in read_rows(path)] == [(2, {"a": [1, {"b": "]"}]}), (3, {"a": 2})]


def test_a_json_file_with_an_object_a_line_is_read_as_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.json", '{"a": 1}\n{"a": 2}\n')

    assert values(path) == [{"a": 1}, {"a": 2}]


def test_a_json_array_longer_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    rows = [{"n": n, "text": "é" * 1000} for n in range(3000)]
    path = write(tmp_path, "rows.json", json.dumps(rows, ensure_ascii=False))

    assert values(path) == rows


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        ('[{"a": 1},\n{"a": ]\n', 2, "not JSON"),
        ('[{"a": 1}\n{"a": 2}]', 2, "Expected ',' or ']'"),
        ('[{"a": 1},\n 7]', 2, "found a number"),
        ('[{"a": 1}', 1, "the file ends"),
    ],
)
def test_a_broken_array_names_the_line(tmp_path: Path, content: str, line: int, text: str) -> None:
    path = write(tmp_path, "rows.json", content)

    with pytest.raises(DataError, match=text) as caught:
        values(path)

    assert caught.value.line == line


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (b'{"a": 1', "not JSON"),
        (b"[1]", "found an array"),
        (b"null", "found null"),
        (b'{"a": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_line_stops_or_is_skipped_and_the_others_keep_their_numbers(
    tmp_path: Path, bad: bytes, text: str
) -> None:
    path = write(tmp_path, "rows.jsonl", b'{"a": 0}\n' + bad + b'\n{"a": 2}\n')

    with pytest.raises(DataError, match=text) as caught:
        values(path)

    assert (caught.value.file, caught.value.line, caught.value.exit_code) == (str(path), 2, 2)
    kept = list(read_rows(path, on_bad_row="skip"))
    assert [(row.index, row.values["a"]) for row in kept] == [(0, 0), (2, 2)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path, name: str) -> None:
    content = {"rows.jsonl": '\ufeff{"a": "1"}\n', "rows.csv": "\ufeffa\n1\n"}[name]
    path = write(tmp_path, name, content)

    assert values(path) == [{"a": "1"}]


def test_utf_16_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "a,b\n1,2\n".encode("utf-16"))

    with pytest.raises(DataError, match="UTF-16"):
        values(path)


def test_a_folder_is_all_its_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write(tmp_path, "b.jsonl", '{"n": 2}\n')
    write(tmp_path, "a.csv", "n\n1\n")
    write(tmp_path, "more/c.txt", '{"n": 3}\n')
    write(tmp_path, "README.md", "# not data\n")

    assert [(row.index, row.values["n"]) for row in read_rows(tmp_path)] == [(0, "1"), (1, 2), (2, 3)]


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, "data.jsonl", "{}")

    with pytest.raises(DataError, match=r"Did you mean 'data\.jsonl'"):
        values(tmp_path / "dat.jsonl")


def test_an_unknown_format_says_which_are_known(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.xlsx", "")

    with pytest.raises(DataError, match="no known format"):
        values(path)


def test_limit_reads_no_further(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", '{"a": 1}\n{"a": 2}\nbroken\n')

    assert values(path, limit=2) == [{"a": 1}, {"a": 2}]
    assert values(path, limit=0) == []


def test_a_scan_counts_rows_columns_and_bad_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", '{"a": 1}\nbroken\n{"a": 2, "b": 3}\n')

    found = scan(path, on_bad_row="skip")

    assert (found.rows, found.skipped, found.columns, dict(found.counts)) == (2, 1, ("a", "b"), {"a": 2, "b": 1})
    assert found.first_bad[0].error.line == 2
    assert columns(write(tmp_path, "x.csv", "p,q\n1,2\n")).names == ("p", "q")


def test_an_empty_dataset_is_an_error_of_its_own_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        scan(write(tmp_path, "rows.csv", "a,b\n"))

    assert caught.value.kind == "EmptyInputsData"


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """SHA-256 of the empty text is published in FIPS 180."""
    path = write(tmp_path, "rows.jsonl", "")

    assert digest(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=8))
def test_what_json_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    lines = write(folder, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    array = write(folder, "rows.json", json.dumps(rows, indent=1))

    assert values(lines) == rows
    assert values(array) == rows
