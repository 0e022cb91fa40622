"""What a check of a use case finds without calling a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genaiops.experiments import PlanRequest, check_use_case
from tests.experiments.usecase import BASE, make_use_case, settings_of, write, write_rows

VARIANTS = """inputs:
  url: {type: string}
outputs:
  category: {type: string, reference: "${classify.output}"}
nodes:
- {name: classify, use_variants: true}
node_variants:
  classify:
    default_variant_id: v0
    variants:
      v0: {node: {type: python, source: {type: code, path: classify.py}, inputs: {url: "${inputs.url}"}}}
      v1: {node: {type: python, source: {type: code, path: classify.py}, inputs: {url: "x${inputs.url}"}}}
"""
EVALUATOR = """
evaluators:
- name: match
  flow: builtin:exact_match
  datasets:
  - name: train
    mappings:
      prediction: "${run.outputs.category}"
      truth: "${data.answer}"
"""


def codes(folder: Path, severity: str = "error", **options) -> list[str]:
    found = check_use_case(folder, settings_of(folder), **options)
    return [finding.code for finding in found.findings if finding.severity == severity]


def test_a_good_use_case_has_no_findings(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + EVALUATOR)

    assert check_use_case(tmp_path, settings_of(tmp_path)).findings == ()


@pytest.mark.parametrize(
    ("experiment", "code"),
    [
        (BASE.replace("${data.url}", "${data.ulr}"), "InputMappingError"),
        (BASE.replace("train.jsonl", "trian.jsonl"), "missing-data"),
        (BASE.replace("data/train.jsonl", "azureml:pages:1"), "remote-dataset"),
        (BASE + EVALUATOR.replace("outputs.category", "outputs.categroy"), "InputMappingError"),
        (BASE + EVALUATOR.replace("data.answer", "data.anwser"), "InputMappingError"),
        (BASE + EVALUATOR.replace("exact_match", "exact_mtach"), "UnknownEvaluator"),
        (BASE + EVALUATOR.replace("prediction:", "result:"), "MissingEvaluatorInput"),
        (BASE + "  segments: [lang]\n", "unknown-column"),
        (BASE + "search_space: {classify.size: [1]}\n", "UnknownParameter"),
        (BASE + "plan: everything\n", "UnknownPlan"),
        (BASE + "confirm: {dataset: other}\n", "unknown-dataset"),
        (BASE + "data_checks: {min_rows: 10}\n", "data-check"),
        (BASE + "data_checks: {required: [label]}\n", "data-check"),
        (BASE + "data_checks: {schema: {required: [label]}}\n", "data-check"),
        ("name: web\nflow: flows/main\n", "no-datasets"),
    ],
)
def test_each_mistake_is_found_before_anything_runs(tmp_path: Path, experiment: str, code: str) -> None:
    make_use_case(tmp_path, experiment)

    found = codes(tmp_path)

    assert code in found


def test_a_mapping_that_reaches_no_input_is_an_error_although_all_inputs_have_defaults(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("    url: ", "    lru: "))
    flow = tmp_path / "flows/main/flow.dag.yaml"
    flow.write_text(flow.read_text().replace("{type: string}", "{type: string, default: x}", 1))

    assert codes(tmp_path) == ["mapping-reaches-nothing"]


def test_an_empty_dataset_is_an_error_with_its_file(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "data/train.jsonl", "\n")

    (finding,) = check_use_case(tmp_path, settings_of(tmp_path)).errors

    assert finding.code == "EmptyInputsData"
    assert str(finding.file).endswith("train.jsonl")


def test_an_unknown_variant_on_the_command_line_is_found(tmp_path: Path) -> None:
    make_use_case(tmp_path)

    assert codes(tmp_path, request=PlanRequest(variants="nope")) == ["UnknownVariant"]


@pytest.mark.parametrize("block", ["{kind: list, variants: [nope]}", "{kind: list, cells: [{classify: nope}]}"])
def test_an_unknown_variant_of_the_plan_is_named_with_its_line(tmp_path: Path, block: str) -> None:
    make_use_case(tmp_path, BASE + f"plan: {block}\n")
    (tmp_path / "flows/main/flow.dag.yaml").write_text(VARIANTS, encoding="utf-8")

    (finding,) = check_use_case(tmp_path, settings_of(tmp_path)).findings

    assert (finding.code, finding.file) == ("UnknownVariant", str(tmp_path / "experiment.yaml"))
    assert finding.line == 1 + BASE.count("\n")


def test_an_unknown_variant_of_the_command_line_leads_to_the_line_where_the_flow_has_its_own(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    (tmp_path / "flows/main/flow.dag.yaml").write_text(VARIANTS, encoding="utf-8")

    request = PlanRequest(variants="nope")
    (finding,) = check_use_case(tmp_path, settings_of(tmp_path), request=request).findings

    assert finding.file == str(tmp_path / "flows/main/flow.dag.yaml")
    assert VARIANTS.splitlines()[(finding.line or 0) - 1] == "node_variants:"
    assert finding.hint == "Valid: classify.v0, classify.v1."


def test_evaluation_rows_that_cannot_be_joined_are_an_error_and_a_key_helps(tmp_path: Path) -> None:
    other = EVALUATOR.replace("- name: train\n", "- name: test\n    source: test.jsonl\n    reference: train\n")
    make_use_case(tmp_path, BASE + other)
    write_rows(tmp_path / "data/test.jsonl", [{"url": "a", "answer": "A"}])

    assert codes(tmp_path) == ["row-counts-differ"]
    make_use_case(tmp_path, BASE + other.replace("reference: train\n", "reference: train\n    key: url\n"))
    assert codes(tmp_path) == []


def test_a_python_evaluator_without_its_inputs_is_an_error_at_the_function(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + EVALUATOR.replace("builtin:exact_match", "checks"))
    write(tmp_path / "flows/checks/eval_it.py", "def eval_it(prediction, label):\n    return 1\n")

    (finding,) = check_use_case(tmp_path, settings_of(tmp_path)).errors

    assert finding.code == "missing-evaluator-input"
    assert (finding.line, Path(str(finding.file)).name) == (1, "eval_it.py")


def test_the_sample_request_is_held_against_the_inputs(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "sample-request.json", '{"ulr": "x"}')
    config = {"azure_managed_endpoint": [{"ENV_NAME": "dev", "TEST_FILE_PATH": "other.json"}]}
    write(tmp_path / "configs/deployment_config.json", json.dumps(config))

    assert sorted(codes(tmp_path)) == ["missing-request", "missing-request-input"]
    assert codes(tmp_path, "warning") == ["unknown-request-input"]


def test_a_callable_in_the_use_case_is_checked_like_a_flow(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("flow: flows/main", "entry: app:answer"))
    write(tmp_path / "app.py", "def answer(ulr: str) -> str:\n    return ulr\n")

    assert codes(tmp_path) == ["InputMappingError", "mapping-reaches-nothing"]


def test_a_class_flow_without_a_needed_init_parameter_is_an_error(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    (tmp_path / "flows/main/flow.dag.yaml").unlink()
    write(tmp_path / "flows/main/flow.flex.yaml", "entry: app:App\n")
    code = "class App:\n    def __init__(self, tone: str):\n        pass\n"
    code += "    def __call__(self, url: str) -> str:\n        return url\n"
    write(tmp_path / "flows/main/app.py", code)

    assert codes(tmp_path) == ["missing-init"]
    write(tmp_path / "flows/main/init.json", '{"tone": "kind"}')
    assert codes(tmp_path) == []


@pytest.mark.parametrize(
    ("named", "known"), [("champion", True), ("defaults", True), ("classify.v7", False), ("web_2", False)]
)
def test_a_baseline_that_nobody_knows_is_told(tmp_path: Path, named: str, known: bool) -> None:
    make_use_case(tmp_path, BASE + f"baseline: {named}\n")

    found = check_use_case(tmp_path, settings_of(tmp_path)).findings

    assert ("unknown-baseline" not in [finding.code for finding in found]) is known


def test_an_entry_that_is_not_there_is_told_where_the_use_case_names_it(tmp_path: Path) -> None:
    """And not in the small flow that we write for it."""
    entry = EVALUATOR.replace("flow: builtin:exact_match", "entry: score:rihgt")
    make_use_case(tmp_path, BASE + entry)
    write(tmp_path / "score.py", "def right(prediction, truth):\n    return prediction == truth\n")

    (finding,) = check_use_case(tmp_path, settings_of(tmp_path)).findings

    line = (tmp_path / "experiment.yaml").read_text().splitlines().index("- name: match") + 1
    assert (finding.file, finding.line) == (str(tmp_path / "experiment.yaml"), line)
    assert "rihgt" in finding.message
    assert finding.hint == "Did you mean 'right'?"
