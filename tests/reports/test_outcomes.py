"""Outcomes that are read more than once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genaiops.reports._outcomes import Outcomes, parse_line


@pytest.fixture
def run(tmp_path: Path) -> dict[str, str]:
    """A run of three rows, the last of which was torn."""
    lines = "".join(json.dumps({"row": row, "outputs": {"a": "é"}}) + "\n" for row in range(2))
    (tmp_path / "outcomes.jsonl").write_text(lines + '{"row": 2, "outp', encoding="utf-8")
    return {"id": "one", "path": str(tmp_path)}


def test_few_rows_are_parsed_once(run: dict[str, str], tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path)

    first, again = list(outcomes.of(run)), list(outcomes.of(run))

    assert [line["row"] for line in first] == [0, 1]
    assert all(line is same for line, same in zip(first, again, strict=True))


def test_many_rows_are_not_held(run: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genaiops.reports._outcomes.HELD_BYTES", 10)
    outcomes = Outcomes(tmp_path)

    first, again = list(outcomes.of(run)), list(outcomes.of(run))

    assert first == again
    assert all(line is not other for line, other in zip(first, again, strict=True))


def test_a_run_without_files_has_no_rows(tmp_path: Path) -> None:
    assert list(Outcomes(tmp_path).of({"id": "gone", "path": str(tmp_path / "gone")})) == []


@pytest.mark.parametrize("line", ['{"a": 1}\n', ' {"a": [1, null]} \n', "[]", "1 \r\n", "NaN\n", '"é\\u00e9"\n'])
def test_a_line_is_read_as_json_reads_it(line: str) -> None:
    assert repr(parse_line(line)) == repr(json.loads(line))


@pytest.mark.parametrize("line", ["", "\n", "{} x\n", '{"a"\n', "1 2\n"])
def test_a_line_that_is_not_json_is_refused_as_json_refuses_it(line: str) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(line)
    with pytest.raises(json.JSONDecodeError) as found:
        parse_line(line)

    assert str(found.value) == str(expected.value)
