"""The template's tables: each number on its own row."""

from __future__ import annotations

import csv
import io
import json
import re
from html import escape, unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.plain_text import plain
from genaiops.reports import read_story, write_reports
from genaiops.reports._sheets import Block, safe_cell, safe_name, safe_text
from tests.gates.folders import passes, write_experiment
from tests.reports.html_reading import read_page
from tests.reports.sample import Sample, write_sample


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_files_have_the_names_that_users_know(reports: Path) -> None:
    stems = ["web_classification", "web_classification_flow", "summary_quality", "web_classification_train",
             "web_classification_new"]  # fmt: skip

    for stem in stems:
        for what in ("result", "metrics"):
            for form in ("csv", "html"):
                assert (reports / f"{stem}_{what}.{form}").is_file(), (stem, what, form)


def test_every_row_names_its_own_run_variant_and_dataset(experiment: Path, reports: Path) -> None:
    runs = {run["id"]: run for run in json.loads((experiment / "experiment.json").read_text())["runs"]}

    rows = rows_of(reports / "web_classification_result.csv")

    assert len(rows) == 6 * 60
    assert {row["exp_run"] for row in rows} == set(runs)
    for row in rows:
        run = runs[row["exp_run"]]
        assert (row["variant"], row["dataset"]) == (run["variant_label"], run["dataset"])
        assert row["summarize_text_content"] == run["variant"]["summarize_text_content"]
        assert (row["stage"], row["experiment_name"], row["build"]) == ("dev", "web_classification", "2026.11.20-4")
        assert f"/{row['inputs.line_number']}.html" in row["inputs.url"]


def test_outputs_and_scores_stand_on_the_row_that_gave_them(experiment: Path, reports: Path) -> None:
    result = json.loads((experiment / "experiment.json").read_text())
    outcomes = {
        (run["id"], line["row"]): line
        for run in result["runs"]
        for line in map(json.loads, (Path(run["path"]) / "outcomes.jsonl").read_text().splitlines())
    }
    scores = {
        (line["run"], line["row"]): line["scores"]["accuracy"]
        for line in map(json.loads, (experiment / "row_scores.jsonl").read_text().splitlines())
        if line["evaluator"] == "web_classification_flow"
    }

    for row in rows_of(reports / "web_classification_result.csv"):
        key = (row["exp_run"], int(row["inputs.line_number"]))
        assert row["status"] == outcomes[key]["status"]
        assert row["outputs.category"] == outcomes[key]["outputs"].get("category", "")
        score = scores.get(key)
        assert row["web_classification_flow.accuracy"] == ("" if score is None else str(score))


def test_failed_rows_are_in_the_table_with_their_error(reports: Path) -> None:
    failed = [row for row in rows_of(reports / "web_classification_result.csv") if row["status"] == "failed"]

    assert failed
    assert all(row["error"] for row in failed)


def test_metrics_name_the_run_that_they_measure(experiment: Path, reports: Path) -> None:
    result = json.loads((experiment / "experiment.json").read_text())
    expected = {(score["run"], score["evaluator"]): score["metrics"] for score in result["scores"]}

    rows = rows_of(reports / "web_classification_metrics.csv")

    assert len(rows) == len(expected) == 12
    for row in rows:
        for name, form in expected[row["exp_run"], row["flow_name"]].items():
            assert float(row[name]) == form["value"]
            assert (float(row[f"{name}.low"]), float(row[f"{name}.high"])) == (form["low"], form["high"])
            assert int(row[f"{name}.rows"]) == form["rows"]


def test_tables_of_datasets_and_evaluators_hold_their_own_rows_only(reports: Path) -> None:
    dataset = rows_of(reports / "web_classification_train_result.csv")
    evaluator = rows_of(reports / "summary_quality_result.csv")

    assert {row["dataset"] for row in dataset} == {"web_classification_train"}
    assert len(dataset) == 3 * 60
    assert {row["flow_name"] for row in evaluator} == {"summary_quality"}
    assert len({row["exp_run"] for row in evaluator}) == 6
    assert all(row["eval_run"] == f"{row['exp_run']}_summary_quality" for row in evaluator if row["eval_run"])


def test_scores_without_a_run_of_the_evaluator_are_still_listed(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(3, 4)}})

    write_reports(folder, tmp_path / "r", ["csv"])

    rows = rows_of(tmp_path / "r" / "quality_result.csv")
    assert [row["accuracy"] for row in rows] == ["1.0", "1.0", "1.0", "0.0"]


def test_html_tables_say_the_same(reports: Path) -> None:
    page = read_page(reports / "web_classification_metrics.html")
    table = rows_of(reports / "web_classification_metrics.csv")

    assert page.counts["th"] == len(table[0])
    assert page.counts["td"] == len(table[0]) * len(table)
    assert page.counts["script"] == 0


def test_html_cells_are_those_of_csv_as_plain_text(hostile: Path) -> None:
    with next(hostile.glob("summary_quality_result.csv")).open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)

    page = (hostile / "summary_quality_result.html").read_text(encoding="utf-8")

    cells = [unescape(cell) for cell in re.findall(r"<td>([^<]*)</td>", page)]
    assert cells == [plain(cell) for row in rows for cell in row]
    assert len(cells) == len(header) * len(rows)


def test_rows_that_are_too_many_to_be_held_give_the_same_tables(
    experiment: Path, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genaiops.reports._outcomes.HELD_BYTES", 0)

    written = write_reports(experiment, tmp_path, ["csv", "html"])

    assert len(written) == 20
    for file in written:
        assert file.read_bytes() == (reports / file.name).read_bytes(), file.name


@given(st.lists(st.tuples(st.text(), st.floats(), st.text(alphabet=',"\r\n <&')), max_size=5))
def test_lines_are_those_of_the_csv_module_and_cells_those_of_html(values: list[tuple[object, ...]]) -> None:
    columns = ["a", "b", "c"]
    expected = io.StringIO(newline="")
    csv.writer(expected).writerows([[safe_cell(value) for value in row] for row in values])

    block = Block([dict(zip(columns, map(safe_text, row), strict=True)) for row in values], columns)

    assert block.csv == expected.getvalue()
    cells = [f"<td>{escape(plain(str(safe_cell(value))))}</td>" for row in values for value in row]
    assert "".join(block.html).replace("<tr>", "").replace("</tr>\n", "") == "".join(cells)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1"])
def test_formulas_are_defused(text: str) -> None:
    assert str(safe_cell(text)).startswith("'")


@pytest.mark.parametrize("value", [-3.5, 12, "-3.5", "+49", "1e-5", "plain", "a=b", ""])
def test_numbers_and_plain_texts_stay_as_they_are(value: object) -> None:
    assert safe_cell(value) == value


@given(st.text())
def test_no_text_is_a_formula_and_every_text_can_be_written(text: str) -> None:
    cell = str(safe_cell(text))

    cell.encode("utf-8")
    first = cell.lstrip()[:1]
    assert first not in {"=", "@"}


@given(st.text(min_size=1))
def test_names_stay_in_their_folder(name: str) -> None:
    safe = safe_name(name)

    assert safe
    assert Path(safe).name == safe
    assert safe not in {".", ".."}


def test_names_that_collide_get_files_of_their_own(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=3, datasets=("Web_Classification",), evaluators=("summary_quality",)))

    written = write_reports(folder, tmp_path / "r", ["csv"])

    assert len({path.name.lower() for path in written}) == 6
    assert (tmp_path / "r" / "Web_Classification_dataset_result.csv").is_file()


def test_repeats_are_told_apart(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(3, 4)}}, repeats=2)

    write_reports(folder, tmp_path / "r", ["csv"])

    assert [row["repeat"] for row in rows_of(tmp_path / "r" / "quality_result.csv")] == ["0"] * 4 + ["1"] * 4


def test_long_tables_are_cut_in_html_and_whole_in_csv(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=2100, variants=("variant_0",), datasets=("big",), text_words=1))

    write_reports(folder, tmp_path / "r", ["csv", "html"])

    assert len(rows_of(tmp_path / "r" / "big_result.csv")) == 2100
    page = (tmp_path / "r" / "big_result.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 2001
    assert "big_result.csv has all of them" in page


def test_story_and_tables_read_the_same_rows(experiment: Path) -> None:
    assert read_story(experiment).total_rows == 120
