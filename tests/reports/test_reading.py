"""Reading an experiment's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import DataError
from genaiops.reports import read_story, write_reports
from tests.gates.folders import passes, write_experiment
from tests.reports.sample import Sample, write_sample


def add_outcomes(folder: Path, variants: dict[str, list[dict[str, Any]]]) -> None:
    """Give the runs of a small experiment outcomes of their own."""
    for variant, lines in variants.items():
        place = folder.parent.parent / "runs" / f"run_{variant}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "outcomes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def outcome(row: int, answer: str | None) -> dict[str, Any]:
    if answer is None:
        return {
            "row": row,
            "status": "failed",
            "inputs": {"q": row},
            "outputs": {},
            "error": {"kind": "X", "message": "no"},
        }
    return {"row": row, "status": "completed", "inputs": {"q": row}, "outputs": {"a": answer}, "error": None}


def test_rows_say_what_changed_against_the_default_variant(tmp_path: Path) -> None:
    scores = {"variant_0": [1.0, 0.0, 1.0, 1.0, 1.0, 0.0], "variant_1": [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]}
    folder = write_experiment(tmp_path / "experiments" / "e", {name: {"ok": values} for name, values in scores.items()})
    add_outcomes(
        folder,
        {
            "variant_0": [outcome(row, text) for row, text in enumerate("aaaaaa")],
            "variant_1": [outcome(row, text) for row, text in enumerate(["b", "b", "b", "a", None, "a"])],
        },
    )

    story = read_story(folder)

    assert [row.change for row in story.rows] == ["worse", "better", "changed", "same", "failed", "missed"]
    assert [(failure.kind, failure.rows) for failure in story.failures] == [("X", [("train", 4)])]


def test_where_rows_pass_or_fail_small_moves_of_other_scores_do_not_count(tmp_path: Path) -> None:
    variants = {
        "variant_0": {"ok": [1.0, 1.0], "grade": [0.5, 0.6]},
        "variant_1": {"ok": [1.0, 0.0], "grade": [0.4, 0.7]},
    }
    folder = write_experiment(tmp_path / "experiments" / "e", variants)
    add_outcomes(folder, {name: [outcome(0, "a"), outcome(1, "a")] for name in variants})

    assert [row.change for row in read_story(folder).rows] == ["same", "worse"]


def test_repeats_show_the_first_outcome_and_the_mean_score(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiments" / "e", {"variant_0": {"ok": [1.0]}}, repeats=3)
    scores = [json.loads(line) for line in (folder / "row_scores.jsonl").read_text().splitlines()]
    for line, value in zip(scores, (1.0, 0.0, 0.0), strict=True):
        line["scores"]["ok"] = value
    (folder / "row_scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scores))
    for repeat, text in enumerate("abc"):
        place = folder.parent.parent / "runs" / f"variant_0_{repeat}"
        place.mkdir(parents=True)
        (place / "outcomes.jsonl").write_text(json.dumps(outcome(0, text)) + "\n")

    (row,) = read_story(folder).rows

    cell = row.cells["variant_0"]
    assert (cell.outputs, cell.repeats) == ({"a": "a"}, 3)
    assert cell.scores["quality.ok"] == pytest.approx(1 / 3)


def test_state_folder_may_be_moved(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "here", Sample(rows=5))
    shutil.move(tmp_path / "here", tmp_path / "there")

    story = read_story(tmp_path / "there" / folder.relative_to(tmp_path / "here"))

    assert len(story.rows) == 10


def test_runs_that_are_gone_leave_their_figures(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=5))
    shutil.rmtree(tmp_path / "runs")

    written = write_reports(folder, tmp_path / "r")

    assert read_story(folder).rows == []
    assert "variant_1" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert all(path.is_file() for path in written)


def test_torn_last_line_is_left_out(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=5, variants=("variant_0",), datasets=("d",)))
    (file,) = (path for path in (tmp_path / "runs").rglob("outcomes.jsonl") if "summary" not in path.parent.name[-16:]
               and "flow" not in path.parent.name[-6:])  # fmt: skip
    file.write_text(file.read_text() + '{"row": 5, "sta')

    assert len(read_story(folder).rows) == 5


def test_missing_and_broken_records_say_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no experiment here"):
        read_story(tmp_path)
    (tmp_path / "experiment.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"experiment\.json:1"):
        read_story(tmp_path)
    (tmp_path / "experiment.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="not an experiment's record"):
        read_story(tmp_path)


@pytest.mark.parametrize(
    "result",
    [
        {"id": "x"},
        {"id": "x", "runs": [], "scores": [], "verdict": {"result": "failed", "reasons": ["Nothing."]}},
        {"id": "x", "runs": [{"id": "r", "dataset": "d"}], "scores": [{"evaluator": "e", "metrics": {"m": {}}}]},
        {"id": "x", "runs": [{"id": "r", "dataset": "d", "rows": {"total": 3, "completed": 0, "failed": 3}}],
         "comparisons": [{"metric": "m", "candidate": "r"}], "regressions": [{"candidate": "r", "by_node": []}]},
    ],
)  # fmt: skip
def test_records_that_lack_parts_are_drawn_all_the_same(tmp_path: Path, result: dict[str, Any]) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"schema_version": 1, **result}), encoding="utf-8")

    written = write_reports(tmp_path, tmp_path / "r")

    assert (tmp_path / "r" / "report.html") == written[0]


def test_numbers_that_are_none_are_not_scores(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"ok": passes(1, 2)}})
    (folder / "row_scores.jsonl").write_text(
        '{"evaluator": "q", "run": "run_variant_0", "row": 0, "scores": {"ok": NaN, "text": "good"}}\n'
    )

    assert read_story(folder).scores == {("run_variant_0", 0): {"q.ok": None, "q.text": None}}
