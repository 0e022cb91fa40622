"""Whole experiments on small use cases: real hosts, real files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import GenaiopsError, InputError
from genaiops.experiments import (
    ExperimentRequest,
    ExperimentResult,
    PlanRequest,
    evaluate_runs,
    find_experiment,
    load_result,
    resume_experiment,
    run_experiment,
)
from genaiops.runs import find_run
from genaiops.settings import Settings
from tests.experiments.usecase import BASE, make_use_case, settings_of, write, write_rows

FLOW = """
inputs:
  url: {type: string}
outputs:
  category: {type: string, reference: "${pick.output}"}
nodes:
- {name: read, type: python, source: {type: code, path: read.py}, inputs: {url: "${inputs.url}"}}
- {name: pick, use_variants: true}
node_variants:
  pick:
    default_variant_id: v0
    variants:
      v0: {node: {type: python, source: {type: code, path: pick.py}, inputs: {text: "${read.output}", wrong: "#"}}}
      v1: {node: {type: python, source: {type: code, path: pick.py}, inputs: {text: "${read.output}", wrong: "ab"}}}
"""
READ = "from promptflow.core import tool\n@tool\ndef read(url: str):\n    return url\n"
PICK = """
from promptflow.core import tool
@tool
def pick(text: str, wrong: str):
    if text == "broken":
        raise ValueError("no such page")
    return "?" if text in wrong else text.upper()
"""
COUNT = """
from promptflow.core import tool
@tool
def count(url: str):
    return 40 + ord(url[0])
"""
COUNT_NODE = """nodes:
- {name: count, type: python, source: {type: code, path: count.py}, inputs: {url: "${inputs.url}"}}
- {name: sum, type: python, aggregation: true, source: {type: code, path: total.py}, inputs: {found: "${count.output}"}}
"""
TOTAL = """
from promptflow.core import tool, log_metric
@tool
def total(found: list):
    log_metric("pages", len(found))
"""
GRADE_FLOW = """
inputs:
  groundtruth: {type: string}
  prediction: {type: string}
outputs:
  grade: {type: string, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {groundtruth: "${inputs.groundtruth}", prediction: "${inputs.prediction}"}
- name: sum_up
  type: python
  aggregation: true
  source: {type: code, path: sum_up.py}
  inputs: {grades: "${grade.output}"}
"""
GRADE = """
from promptflow.core import tool
@tool
def grade(groundtruth: str, prediction: str):
    return "Correct" if groundtruth == prediction else "Incorrect"
"""
SUM_UP = """
from promptflow.core import tool, log_metric
@tool
def sum_up(grades: list):
    log_metric("accuracy", round(grades.count("Correct") / len(grades), 2))
"""
EXPERIMENT = (
    BASE
    + """
- name: other
  source: data/other.jsonl
  mappings: {url: "${data.url}"}
evaluators:
- name: grade
  datasets:
  - name: train_eval
    reference: train
    source: data/train.jsonl
    mappings: {groundtruth: "${data.answer}", prediction: "${run.outputs.category}"}
- name: match
  flow: builtin:exact_match
  datasets:
  - name: other
    mappings: {truth: "${data.answer}", prediction: "${run.outputs.category}"}
"""
)
LETTERS = "abcdefgh"


def make(folder: Path, experiment: str = EXPERIMENT, *, letters: str = LETTERS, **files: str) -> Path:
    """A use case `web` in a project of its own."""
    (folder / ".git").mkdir(exist_ok=True)
    use_case = make_use_case(folder / "web", experiment)
    write(use_case / "flows/main/flow.dag.yaml", FLOW)
    write(use_case / "flows/main/read.py", READ)
    write(use_case / "flows/main/pick.py", PICK)
    write(use_case / "flows/grade/flow.dag.yaml", GRADE_FLOW)
    write(use_case / "flows/grade/grade.py", GRADE)
    write(use_case / "flows/grade/sum_up.py", SUM_UP)
    write_rows(use_case / "data/train.jsonl", [{"url": x, "answer": x.upper()} for x in letters])
    write_rows(use_case / "data/other.jsonl", [{"url": x, "answer": x.upper()} for x in "xyz"])
    for name, text in files.items():
        write(use_case / name, text)
    return use_case


def settings(folder: Path, **environ: str) -> Settings:
    return settings_of(folder, {**os.environ, "GENAIOPS_HOME": str(folder.parent / "state"), **environ})


def run(folder: Path, **options: Any) -> ExperimentResult:
    return run_experiment(ExperimentRequest(use_case=folder, **options), settings(folder))


def values(result: ExperimentResult) -> dict[tuple[str, str, str], float | None]:
    labels = {entry["id"]: entry["variant_label"] for entry in result.runs}
    return {
        (score["evaluator"], labels[score["run"]], name): figures["value"]
        for score in result.scores
        for name, figures in score["metrics"].items()
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExperimentResult]:
    """One experiment of 2 variants, 2 datasets and 2 evaluators that several tests look at."""
    folder = make(tmp_path_factory.mktemp("project"))
    return folder, run(folder)


def test_each_variant_runs_over_each_dataset_once(done: tuple[Path, ExperimentResult]) -> None:
    _, result = done

    cells = [(entry["variant_label"], entry["dataset"], entry["rows"]["completed"]) for entry in result.runs]

    assert sorted(cells) == sorted(
        [("defaults", "train", 8), ("pick.v1", "train", 8), ("defaults", "other", 3), ("pick.v1", "other", 3)]
    )
    assert result.status == "completed"
    assert len({entry["id"] for entry in result.runs}) == 4


def test_each_evaluator_sees_only_the_runs_of_its_dataset(done: tuple[Path, ExperimentResult]) -> None:
    _, result = done
    datasets = {entry["id"]: entry["dataset"] for entry in result.runs}

    seen = {(score["evaluator"], datasets[score["run"]], score["dataset"]) for score in result.scores}

    assert seen == {("grade", "train", "train_eval"), ("match", "other", "other")}


def test_metrics_stand_on_the_right_variant(done: tuple[Path, ExperimentResult]) -> None:
    _, result = done

    assert values(result) == {
        ("grade", "defaults", "accuracy"): 1.0,
        ("grade", "pick.v1", "accuracy"): 0.75,
        ("match", "defaults", "exact_match"): 1.0,
        ("match", "pick.v1", "exact_match"): 1.0,
    }


def test_variants_are_compared_on_the_same_rows(done: tuple[Path, ExperimentResult]) -> None:
    _, result = done

    (entry,) = [c for c in result.comparisons if c["metric"] == "accuracy"]

    assert (entry["difference"], entry["pairs"], entry["worsened"]) == (-0.25, 8, 2)
    assert entry["verdict"] in ("cannot tell", "worse")


def test_a_regression_is_traced_to_its_node(done: tuple[Path, ExperimentResult]) -> None:
    _, result = done

    (entry,) = result.data["regressions"]

    assert entry["by_node"] == [{"node": "pick", "rows": [0, 1], "count": 2}]


def test_the_files_hold_everything(done: tuple[Path, ExperimentResult]) -> None:
    folder, result = done

    loaded = load_result(result.path)
    rows = list(loaded.row_scores())

    assert loaded.to_json() == json.loads((result.path / "experiment.json").read_text())
    assert {"schema_version", "id", "experiment", "runs", "scores", "comparisons", "verdict"} <= set(loaded.data)
    assert len(rows) == 2 * 8 + 2 * 3
    assert rows[0].keys() >= {"evaluator", "run", "dataset", "row", "scores", "error"}
    assert find_experiment("latest", settings(folder)).id == result.id


def test_scores_can_be_made_again_without_running_the_application(done: tuple[Path, ExperimentResult]) -> None:
    folder, result = done
    around = settings(folder)
    records = [find_run(entry["id"], around) for entry in result.runs]
    before = {record.id: (record.path / "run.json").stat().st_mtime_ns for record in records}

    again = evaluate_runs(records, ExperimentRequest(use_case=folder), around, earlier=result, evaluators=("grade",))

    expected = {key: value for key, value in values(result).items() if key[0] == "grade"}
    assert values(again) == expected
    assert {r.id: (r.path / "run.json").stat().st_mtime_ns for r in records} == before


def test_failed_rows_and_rows_that_were_not_scored_are_counted_apart(tmp_path: Path) -> None:
    experiment = BASE + (
        "evaluators:\n- name: odd\n  flow: builtin:numeric_close\n  mappings:\n"
        '    prediction: "${run.outputs.category}"\n    truth: "${data.answer}"\n'
    )
    folder = make(tmp_path, experiment)
    rows = [
        {"url": "1", "answer": 1},
        {"url": "broken", "answer": 2},
        {"url": "3", "answer": "three"},
        {"url": "4", "answer": 5},
    ]
    write_rows(folder / "data/train.jsonl", rows)

    result = run(folder, plan=PlanRequest(variants="defaults"), max_failed=0.5)

    (score,) = result.scores
    assert (score["metrics"]["numeric_close"]["value"], score["metrics"]["numeric_close"]["rows"]) == (0.5, 2)
    assert score["rows"] == {"scored": 2, "failed": 1, "application_failed": 1, "unmatched": 0}
    assert result.status == "completed"


def test_more_failed_rows_than_allowed_fail_the_experiment(tmp_path: Path) -> None:
    folder = make(tmp_path, BASE)
    write_rows(folder / "data/train.jsonl", [{"url": "a"}, {"url": "broken"}])

    result = run(folder, plan=PlanRequest(variants="defaults"))

    assert (result.status, result.exit_code) == ("failed", 1)
    assert result.runs[0]["failures"][0]["kind"] == "ToolExecutionError"


def test_all_rows_failing_is_a_failure_and_nothing_is_scored(tmp_path: Path) -> None:
    folder = make(
        tmp_path,
        EXPERIMENT.replace('- name: other\n  source: data/other.jsonl\n  mappings: {url: "${data.url}"}\n', "").split(
            "- name: match"
        )[0],
    )
    write_rows(folder / "data/train.jsonl", [{"url": "broken", "answer": "x"}] * 3)

    result = run(folder, plan=PlanRequest(variants="defaults"), max_failed=1.0)

    assert result.exit_code == 1
    assert values(result) == {}
    assert result.data["evaluations"][0]["status"] == "failed"


def test_a_mistake_that_only_the_host_can_find_leaves_no_half_an_experiment(tmp_path: Path) -> None:
    folder = make(tmp_path, BASE, **{"flows/main/read.py": f"{READ}\nraise RuntimeError('no licence')\n"})

    with pytest.raises(GenaiopsError, match="no licence") as caught:
        run(folder)

    assert caught.value.exit_code == 2
    state = settings(folder).state
    assert [path for name in ("experiments", "runs") for path in (state / name).glob("*")] == []


PYTHON = """
def eval_length(prediction):
    return len(prediction)

async def eval_same(prediction, truth):
    if prediction == "C":
        raise RuntimeError("cannot judge C")
    return {"same": prediction == truth}

def eval_whole(run_name, data_path, column_mapping, output_path):
    import json, os
    rows = [json.loads(line) for line in open(data_path)]
    name = column_mapping["prediction"].removeprefix("${data.").removesuffix("}")
    open(os.path.join(output_path, run_name + ".txt"), "w").write("seen")
    return {"metrics": {"share_upper": sum(row[name].isupper() for row in rows) / len(rows)}}
"""


def evaluated_by(flow: str, mappings: str = 'prediction: "${run.outputs.category}", truth: "${data.answer}"') -> str:
    return (
        BASE
        + f"evaluators:\n- name: mine\n  flow: {flow}\n  datasets:\n  - name: train\n    mappings: {{{mappings}}}\n"
    )


def test_python_functions_are_called_by_row_or_once_in_a_process_of_their_own(tmp_path: Path) -> None:
    folder = make(tmp_path, evaluated_by("checks"), letters="abc", **{"flows/checks/eval_mine.py": PYTHON})

    result = run(folder, plan=PlanRequest(variants="defaults"))

    found = values(result)
    assert found["mine", "defaults", "length"] == 1
    assert found["mine", "defaults", "same"] == 1
    assert found["mine", "defaults", "share_upper"] == 1
    (score,) = result.scores
    assert (score["metrics"]["same"]["rows"], score["metrics"]["same"]["failed"]) == (2, 1)


def test_a_callable_is_an_evaluator_and_a_callable_is_a_flow(tmp_path: Path) -> None:
    experiment = (
        evaluated_by("judge:judge").replace("flow: flows/main", "entry: app:answer").replace("category", "output")
    )
    app = "def answer(url: str) -> str:\n    return url.upper()\n"
    judge = "def judge(prediction: str, truth: str) -> float:\n    return 1.0 if prediction == truth else 0.0\n"
    folder = make(tmp_path, experiment, letters="abc", **{"app.py": app, "judge.py": judge})

    assert values(run(folder)) == {("mine", "defaults", "mine"): 1.0}


def test_a_class_flow_with_aggregation_is_an_evaluator_and_gets_its_init(tmp_path: Path) -> None:
    code = (
        "class Judge:\n    def __init__(self, bonus: float):\n        self.bonus = bonus\n"
        "    def __call__(self, prediction: str, truth: str) -> dict:\n"
        '        return {"score": float(prediction == truth) + self.bonus}\n'
        '    def __aggregate__(self, results: list) -> dict:\n        return {"total": len(results)}\n'
    )
    files = {
        "flows/judge/flow.flex.yaml": "entry: judge:Judge\n",
        "flows/judge/judge.py": code,
        "flows/judge/init.json": '{"bonus": 0.5}',
    }
    folder = make(tmp_path, evaluated_by("judge"), letters="abc", **files)

    found = values(run(folder, plan=PlanRequest(variants="defaults")))

    assert found == {("mine", "defaults", "score"): 1.5, ("mine", "defaults", "total"): 3}


def test_rows_are_joined_by_a_key_column(tmp_path: Path) -> None:
    experiment = evaluated_by("grade", 'prediction: "${run.outputs.category}", groundtruth: "${data.answer}"').replace(
        "  - name: train\n    mappings",
        "  - name: test\n    source: test.jsonl\n    reference: train\n    key: url\n    mappings",
    )
    folder = make(tmp_path, experiment, letters="abc")
    write_rows(folder / "data/test.jsonl", [{"url": "c", "answer": "C"}, {"url": "a", "answer": "no"}])

    result = run(folder, plan=PlanRequest(variants="defaults"))

    rows = {line["row"]: line["scores"]["accuracy"] for line in result.row_scores()}
    assert rows == {0: 0.0, 2: 1.0}
    assert result.scores[0]["rows"]["unmatched"] == 1


def test_target_lookups_mean_the_runs_outputs(tmp_path: Path) -> None:
    folder = make(
        tmp_path, evaluated_by("builtin:exact_match", 'prediction: "${target.category}", truth: "${data.answer}"')
    )

    assert values(run(folder, plan=PlanRequest(variants="defaults"))) == {("mine", "defaults", "exact_match"): 1.0}


def test_an_evaluator_that_crashes_as_a_whole_fails_the_experiment_and_not_the_runs(tmp_path: Path) -> None:
    folder = make(
        tmp_path, evaluated_by("grade", 'prediction: "${run.outputs.category}", groundtruth: "${data.answer}"')
    )
    code = "raise ImportError('no such library')\nfrom promptflow.core import tool\n@tool\n"
    write(folder / "flows/grade/grade.py", code + "def grade(groundtruth: str, prediction: str):\n    pass\n")

    result = run(folder, plan=PlanRequest(variants="defaults"))

    (evaluation,) = result.data["evaluations"]
    assert result.runs[0]["status"] == "completed"
    assert (evaluation["status"], result.exit_code) == ("failed", 1)
    assert "no such library" in str(evaluation["error"])


def test_segments_and_clusters_reach_the_scores(tmp_path: Path) -> None:
    experiment = BASE + "  segments: kind\n  cluster: page\n" + evaluated_by("builtin:exact_match").removeprefix(BASE)
    folder = make(tmp_path, experiment)
    rows = [
        {"url": x, "answer": x.upper(), "kind": "vowel" if x in "ae" else "other", "page": i // 2}
        for i, x in enumerate(LETTERS)
    ]
    write_rows(folder / "data/train.jsonl", rows)

    result = run(folder)

    second = next(score for score in result.scores if score["variant_label"] == "pick.v1")
    assert second["segments"]["kind"]["vowel"]["exact_match"]["value"] == 0.5
    assert {line["cluster"] for line in result.row_scores()} == {"0", "1", "2", "3"}


def test_repeats_are_runs_of_their_own_and_give_a_noise_floor(tmp_path: Path) -> None:
    folder = make(tmp_path, evaluated_by("builtin:exact_match"))

    result = run(folder, repeats=2)

    assert sorted((entry["variant_label"], entry["repeat"]) for entry in result.runs) == [
        ("defaults", 0),
        ("defaults", 1),
        ("pick.v1", 0),
        ("pick.v1", 1),
    ]
    assert result.data["noise_floor"]["repeats"] == 2
    assert result.comparisons[0]["pairs"] == 8  # repeats are averaged, not counted as rows


def test_parameters_of_nodes_are_varied(tmp_path: Path) -> None:
    folder = make(tmp_path, evaluated_by("builtin:exact_match"))

    result = run(folder, plan=PlanRequest(variants="defaults", sets=("pick.wrong=abcd,h",)))

    assert values(result) == {
        ("mine", "defaults", "exact_match"): 1.0,
        ("mine", "pick.wrong=abcd", "exact_match"): 0.5,
        ("mine", "pick.wrong=h", "exact_match"): 0.875,
    }


def test_nothing_is_started_when_something_is_wrong(tmp_path: Path) -> None:
    folder = make(tmp_path, BASE.replace("${data.url}", "${data.ulr}"))

    with pytest.raises(InputError, match="ulr"):
        run(folder)

    assert not (tmp_path / "state/runs").exists()
    assert not (tmp_path / "state/experiments").exists()


def test_an_experiment_that_lost_its_last_steps_is_finished_by_resume(tmp_path: Path) -> None:
    import shutil

    folder = make(tmp_path)
    around = settings(folder)
    result = run(folder)
    lost = [result.runs[-1]["path"], *(e["path"] for e in result.data["evaluations"] if e["path"])]
    for path in lost:
        shutil.rmtree(path)
    kept = result.runs[0]
    before = (Path(kept["path"]) / "run.json").stat().st_mtime_ns

    again = resume_experiment(load_result(result.path), around)

    assert again.id == result.id
    assert values(again) == values(result)
    assert (Path(kept["path"]) / "run.json").stat().st_mtime_ns == before


def test_a_winner_is_confirmed_on_rows_that_did_not_choose_it(tmp_path: Path) -> None:
    """The candidate is better on the eight rows that choose it and worse on the held-out ones."""
    confirm = "baseline: pick.v1\nconfirm: {source: held_out.jsonl}\n"
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + confirm)
    write_rows(folder / "data/held_out.jsonl", [{"url": x, "answer": "?"} for x in "abababab"])

    result = run(folder)

    (chosen,) = result.comparisons
    (confirmed,) = result.data["confirmation"]
    assert (chosen["candidate"], chosen["difference"]) == ("defaults", 0.25)
    assert (confirmed["candidate"], confirmed["difference"], confirmed["verdict"]) == ("defaults", -1.0, "worse")


def test_an_evaluation_flow_over_a_log_is_an_experiment_with_metrics(tmp_path: Path) -> None:
    """As the template's post-production evaluation: the flow grades logged answers and logs its accuracy."""
    text = """
    name: web_postprod
    flow: grade
    datasets:
    - name: production
      source: data/log.jsonl
      mappings: {groundtruth: "${data.truth}", prediction: "${data.answer}"}
    gate:
      metrics: {accuracy: {min: 0.7, judge: mean}}
    """
    folder = make(tmp_path, **{"experiment-postprod.yaml": text})
    write_rows(folder / "data/log.jsonl", [{"truth": x, "answer": x if x != "c" else "?"} for x in "abcd"])

    result = run(folder, file="experiment-postprod.yaml")

    (score,) = result.scores
    assert score["evaluator"] == "grade"
    figures = score["metrics"]["accuracy"]
    assert (figures["value"], figures["rows"], figures["kind"]) == (0.75, 4, "rate")
    assert (round(figures["low"], 4), round(figures["high"], 4)) == (0.3006, 0.9544)  # Wilson, 3 of 4
    assert result.data["model_calls"] == 0


def test_numbers_that_an_application_answers_with_are_no_scores(tmp_path: Path) -> None:
    folder = make(tmp_path)
    write(folder / "flows/main/count.py", COUNT)
    write(folder / "flows/main/total.py", TOTAL)
    flow = FLOW.replace("nodes:", COUNT_NODE).replace(
        "outputs:", "outputs:\n  number: {type: int, reference: '${count.output}'}"
    )
    write(folder / "flows/main/flow.dag.yaml", flow)

    result = run(folder, plan=PlanRequest(variants="defaults"))

    own = [score for score in result.scores if score["evaluator"] == "main"]
    assert [set(score["metrics"]) for score in own] == [{"pages"}, {"pages"}]
    assert {score["metrics"]["pages"]["value"] for score in own} == {8.0, 3.0}
    assert {score["metrics"]["pages"]["low"] for score in own} == {None}


def test_an_evaluator_that_fails_on_every_row_says_why_and_where(tmp_path: Path) -> None:
    folder = make(tmp_path)
    write(folder / "flows/grade/grade.py", GRADE.replace("return", 'raise RuntimeError("no such judge")\n    return'))
    told: list[str] = []

    result = run_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(variants="defaults")),
        settings(folder),
        on_event=lambda event: told.append(event.message) if event.kind == "warning" else None,
    )

    (failed,) = [entry for entry in result.data["evaluations"] if entry["status"] == "failed"]
    assert failed["error"].startswith("all 8 rows failed, 8 of them so: ")
    assert "no such judge" in failed["error"]
    assert "grade.py:5)" in failed["error"]
    assert [message for message in told if "no such judge" in message]


def test_a_metric_is_a_mean_when_the_use_case_says_so(tmp_path: Path) -> None:
    folder = make(tmp_path, EXPERIMENT + "metrics: {accuracy: {kind: mean}}\n")

    result = run(folder, plan=PlanRequest(variants="pick.v1"))

    figures = next(score["metrics"]["accuracy"] for score in result.scores if score["evaluator"] == "grade")
    assert (figures["kind"], figures["value"]) == ("mean", 0.75)


@pytest.mark.parametrize(("gives", "unscored", "warned"), [('float("nan")', 8, False), ('"a nice answer"', 0, True)])
def test_an_evaluator_without_a_score_is_not_silent(tmp_path: Path, gives: str, unscored: int, warned: bool) -> None:
    folder = make(tmp_path)
    write(folder / "flows/grade/grade.py", GRADE[: GRADE.index("    return")] + f"    return {gives}\n")
    write(folder / "flows/grade/sum_up.py", SUM_UP[: SUM_UP.index("    log_metric")] + "    pass\n")
    told: list[str] = []

    result = run_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(variants="defaults")),
        settings(folder),
        on_event=lambda event: told.append(event.message) if event.kind == "warning" else None,
    )

    score = next(score for score in result.scores if score["evaluator"] == "grade")
    assert score["rows"]["failed"] == unscored
    assert [figures["value"] for figures in score["metrics"].values()] == [None] * (unscored > 0)
    assert ["'grade' gave no number" in message for message in told] == [True] * warned
