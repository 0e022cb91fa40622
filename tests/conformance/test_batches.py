"""Batches from the command line: mapping and merging (appendix C.4), data files, variables (sections 1.12 and 8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.cli import main

HEAD = "from promptflow.core import tool\n"
BASE = """\
inputs: {q: {type: int}}
outputs: {o: {type: string, reference: "${n.output}"}}
nodes:
- {name: n, type: python, source: {type: code, path: n.py}, inputs: {q: "${inputs.q}"}}
"""
ABC = f'{HEAD}@tool\ndef run(q: int):\n    return {{1: "a", 3: "c"}}[q]\n'
SHOW = """\
inputs:
  x: {type: object}
  y: {type: string, default: nobody}
  z: {type: string, default: nobody}
  lang: {type: string, default: en}
environment_variables: {FROM_FLOW: flow, FROM_BOTH: flow, FROM_ALL: flow}
outputs: {o: {type: object, reference: "${n.output}"}}
nodes:
- name: n
  type: python
  source: {type: code, path: n.py}
  inputs: {x: "${inputs.x}", y: "${inputs.y}", z: "${inputs.z}", lang: "${inputs.lang}"}
"""
ALL = f"""{HEAD}import os
@tool
def run(x, y, z, lang):
    return [x, y, z, lang, [os.environ.get(f"FROM_{{name}}") for name in ("FLOW", "BOTH", "ALL")]]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".genaiops").mkdir()
    for name, text, code in (("base", BASE, ABC), ("show", SHOW, ALL)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.dag.yaml").write_text(text, encoding="utf-8")
        (tmp_path / name / "n.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[int, dict[str, Any]]:
    """Run a dataset; the outcomes by row."""
    main(["flow", "run", *words, "--json"])
    path = Path(json.loads(capsys.readouterr().out)["path"])
    outcomes = map(json.loads, (path / "outcomes.jsonl").read_text(encoding="utf-8").splitlines())
    return {outcome["row"]: outcome for outcome in outcomes}


def test_data_and_outputs_of_a_run_are_joined_by_row_and_failed_rows_are_left_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Vector C.4: rows 0 and 2 of the earlier run are there, row 1 failed."""
    Path("d.jsonl").write_text('{"q": 1}\n{"q": 2}\n{"q": 3}\n', encoding="utf-8")
    run(capsys, "base", "--data", "d.jsonl", "--map", "q=${data.q}", "--name", "earlier")

    rows = run(
        capsys,
        *("show", "--data", "d.jsonl", "--run", "earlier"),
        *("--map", "x=${data.q}", "--map", "y=${run.outputs.o}", "--map", "z=lit"),
    )

    assert {number: outcome["outputs"]["o"][:3] for number, outcome in rows.items()} == {
        0: [1, "a", "lit"],
        2: [3, "c", "lit"],
    }


def test_an_input_with_a_default_is_not_read_from_the_data_unless_it_is_mapped(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("d.jsonl").write_text('{"x": 1, "lang": "fr"}\n', encoding="utf-8")

    assert run(capsys, "show", "--data", "d.jsonl")[0]["outputs"]["o"][3] == "en"


def test_cells_of_a_csv_file_are_text_and_dates_in_json_stay_as_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("d.csv").write_text("c,empty\n010,\n", encoding="utf-8")
    Path("d.jsonl").write_text('{"created_at": "2024-01-02", "n": 1.50, "gone": null}\n', encoding="utf-8")

    cells = run(capsys, "show", "--data", "d.csv", "--map", "x=${data.c}", "--map", "y=${data.empty}")
    values = run(capsys, "show", "--data", "d.jsonl", "--map", "x=${data.created_at}", "--map", "y=${data.n}")

    # `x` is an object, which reads text as JSON when it can; `010` is none.
    assert cells[0]["outputs"]["o"][:2] == ["010", ""]
    assert values[0]["outputs"]["o"][:2] == ["2024-01-02", "1.5"]


def test_variables_of_the_flow_win_over_the_process_and_the_command_line_wins_over_both(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FROM_BOTH", "process")
    monkeypatch.setenv("FROM_ALL", "process")
    Path("d.jsonl").write_text('{"x": 1}\n', encoding="utf-8")

    rows = run(capsys, "show", "--data", "d.jsonl", "--map", "x=${data.x}", "--env", "FROM_ALL=line")

    assert rows[0]["outputs"]["o"][4] == ["flow", "flow", "line"]
