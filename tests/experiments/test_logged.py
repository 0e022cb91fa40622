"""`outputs: logged`: answers of production are scored as they stand in the data, and nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import InputError
from genaiops.experiments import ExperimentRequest, PlanRequest, check_use_case, evaluate_runs, resume_experiment
from genaiops.runs import find_run
from tests.experiments.test_execute import make, run, settings, values
from tests.experiments.usecase import write_rows

POSTPROD = """
name: web
flow: main
outputs: logged
datasets:
- name: production
  source: data/production.jsonl
  segments: [lang]
evaluators:
- name: grade
  datasets:
  - name: production
    mappings: {groundtruth: "${data.feedback.category}", prediction: "${run.outputs.category}"}
- name: match
  flow: builtin:exact_match
  datasets:
  - name: production
    mappings: {truth: "${run.inputs.url}", prediction: "${target.category}"}
"""
REQUESTS: list[dict[str, Any]] = [
    {"url": "a", "lang": "en", "output.category": "A", "request.duration_s": 0.25, "feedback.category": "A"},
    {"url": "B", "lang": "en", "output.category": "B", "request.duration_s": 0.75, "feedback.category": "C"},
    {"url": "c", "lang": "de", "request.id": "3", "request.error": "RateLimitError"},
    {"url": "d", "lang": "de", "output.category": "D", "request.id": "4", "feedback.category": "D"},
]  # fmt: skip


def postprod(folder: Path, rows: list[dict[str, Any]] = REQUESTS, text: str = POSTPROD) -> Path:
    use_case = make(folder, **{"experiment-postprod.yaml": text})
    write_rows(use_case / "data/production.jsonl", rows)
    return use_case


def test_answers_are_scored_as_they_were_given(tmp_path: Path) -> None:
    folder = postprod(tmp_path)

    result = run(folder, file="experiment-postprod.yaml", max_failed=1.0)

    (entry,) = result.runs
    assert (entry["variant_label"], entry["is_baseline"]) == ("logged", True)
    assert entry["rows"] == {"total": 4, "completed": 3, "failed": 1, "skipped": 0}
    assert [failure["kind"] for failure in entry["failures"]] == ["RateLimitError"]
    assert (entry["latency_s"]["p50"], entry["latency_s"]["p95"]) == (0.25, 0.75)
    found = values(result)
    assert found["grade", "logged", "accuracy"] == pytest.approx(2 / 3, abs=0.005)
    assert found["match", "logged", "exact_match"] == pytest.approx(1 / 3)
    assert (result.status, result.data["model_calls"]) == ("completed", 0)


def test_the_record_of_production_reads_like_that_of_a_run(tmp_path: Path) -> None:
    folder = postprod(tmp_path)
    result = run(folder, file="experiment-postprod.yaml", max_failed=1.0)

    record = find_run(result.runs[0]["id"], settings(folder))
    outcomes = list(record.outcomes())

    assert record.flow["source"] == "logged"
    assert outcomes[0]["inputs"] == {"url": "a", "lang": "en"}
    assert outcomes[0]["outputs"] == {"category": "A"}
    assert (outcomes[2]["status"], outcomes[2]["error"]["kind"], outcomes[2]["outputs"]) == (
        "failed",
        "RateLimitError",
        {},
    )
    assert result.scores[0]["segments"]["lang"]["de"]["accuracy"]["rows"] == 1


def test_it_can_be_scored_again_and_resumed(tmp_path: Path) -> None:
    folder = postprod(tmp_path)
    request = ExperimentRequest(use_case=folder, file="experiment-postprod.yaml", max_failed=1.0)
    result = run(folder, file="experiment-postprod.yaml", max_failed=1.0)
    record = find_run(result.runs[0]["id"], settings(folder))

    resumed = resume_experiment(result, settings(folder))
    again = evaluate_runs([record], request, settings(folder), earlier=result, evaluators=("match",))

    assert values(resumed) == values(result)
    assert resumed.id == result.id
    assert (resumed.data["created"], bool(resumed.data["resumed"])) == (result.data["created"], True)
    assert values(again) == {("match", "logged", "exact_match"): pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    "plan",
    [
        PlanRequest(variants="pick.v1"),
        PlanRequest(plan="grid"),
        PlanRequest(sets=("pick.wrong=x",)),
        PlanRequest(search=3),
    ],
)
def test_nothing_can_be_varied(tmp_path: Path, plan: PlanRequest) -> None:
    folder = postprod(tmp_path)

    with pytest.raises(InputError, match="which `outputs: logged` does not run"):
        run(folder, file="experiment-postprod.yaml", plan=plan)


def findings(folder: Path) -> dict[str, str]:
    checked = check_use_case(folder, settings(folder), file="experiment-postprod.yaml")
    return {finding.code: finding.message for finding in checked.findings}


def test_data_without_answers_is_found_before_anything_is_scored(tmp_path: Path) -> None:
    folder = postprod(tmp_path, [{"url": "a", "lang": "en", "feedback.category": "A"}])

    assert "has no column output.NAME" in findings(folder)["no-logged-outputs"]
    with pytest.raises(InputError, match="no answers of production"):
        run(folder, file="experiment-postprod.yaml")


def test_an_output_that_the_log_lacks_is_named(tmp_path: Path) -> None:
    rows = [{**row, "output.kategory": row.get("output.category")} for row in REQUESTS]
    for row in rows:
        row.pop("output.category", None)

    found = findings(postprod(tmp_path, rows))

    assert "has no column output.category" in found["no-logged-output"]
    assert any("category" in message for code, message in found.items() if code != "no-logged-output")


def test_an_unknown_word_names_the_two_that_are_known(tmp_path: Path) -> None:
    folder = postprod(tmp_path, text=POSTPROD.replace("outputs: logged", "outputs: loged"))

    assert findings(folder)["unknown-value"] == "outputs is run or logged, found 'loged'."


def test_an_address_of_an_alert_stands_in_no_record(tmp_path: Path) -> None:
    text = (
        POSTPROD
        + "alert:\n  metrics: {accuracy: {margin: 1}}\n  token: tok-secret\n"
        + "  webhook: https://hooks.example.org/T0/very-secret\n"
    )
    folder = postprod(tmp_path, text=text)

    result = run(folder, file="experiment-postprod.yaml", max_failed=1.0)
    explained = check_use_case(folder, settings(folder), file="experiment-postprod.yaml").settings

    assert result.data["alert_policy"] == {"metrics": {"accuracy": {"margin": 1}}}
    written = "".join(file.read_text() for file in (tmp_path.parent / "state").rglob("*.json*"))
    assert "secret" not in written
    assert "secret" not in json.dumps([setting.to_json() for setting in explained])
