"""What commands print and write is what the published JSON Schemas say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from genaiops.gates import alert_message, judge_alert, load_evidence, read_alert
from genaiops.schemas import load_schema, schema_names
from tests.cli.test_run import environ

EXAMPLE = Path(__file__).parents[2] / "examples" / "named_entity_recognition"
NAME = "named_entity_recognition"
FLOW = f"{NAME}/flows/standard"


def validate(form: Any, name: str) -> None:
    schema = load_schema(name)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(form)


class Project:
    """A copy of an example in a project of its own, in which some commands were run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(EXAMPLE, folder / NAME)
        (folder / ".git").mkdir()

    def __call__(self, *words: str) -> Any:
        command = [sys.executable, "-m", "genaiops", *words, "--json"]
        done = subprocess.run(
            command, cwd=self.folder, env=environ(self.folder), capture_output=True, text=True, timeout=110, check=False
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.folder / "state").glob(pattern))

    def lines(self, pattern: str) -> list[Any]:
        texts = [file.read_text(encoding="utf-8") for file in self.files(pattern)]
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = Project(tmp_path_factory.mktemp("schemas"))
    found("run", NAME, "--env", "pr", "--repeats", "2", "--no-report")
    found("gate", "latest", "--promote")
    return found


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_valid_itself_and_needs_no_other_file(name: str) -> None:
    schema = load_schema(name)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{name}.schema.json")
    assert schema["title"]


@pytest.mark.parametrize(
    "words", [("--input", "text=Ada went to Rome."), ("--input", "txt=1"), ("--variant", "find_entities.aked")]
)
def test_one_row_has_the_published_form_also_when_it_failed(project: Project, words: tuple[str, ...]) -> None:
    validate(project("flow", "run", FLOW, *words), "flow-run")


def test_a_dataset_its_record_and_its_outcomes_have_the_published_forms(project: Project) -> None:
    data = (
        "--data",
        f"{NAME}/data/data_pr.jsonl",
        "--map",
        "text=${data.text}",
        "--map",
        "entity_type=${data.entity_type}",
    )

    done = project("flow", "run", FLOW, *data, "--name", "rows")
    refused = project("flow", "run", FLOW, "--data", "nowhere.jsonl")

    validate(done, "batch-run")
    validate(refused, "batch-run")
    assert (done["rows"]["total"], refused["run"]) == (12, None)


def test_every_record_and_outcome_on_disk_has_the_published_form(project: Project) -> None:
    records = [json.loads(file.read_text(encoding="utf-8")) for file in project.files("runs/*/run.json")]
    outcomes = project.lines("runs/*/outcomes.jsonl")

    assert len(records) >= 8
    assert len(outcomes) >= 96
    for record in records:
        validate(record, "run")
    for outcome in outcomes[::5]:
        validate(outcome, "outcome")


def test_an_experiment_has_the_published_form_printed_and_on_disk(project: Project) -> None:
    printed = project("run", NAME, "--env", "pr", "--variants", "asked", "--no-report")

    validate(printed, "experiment")
    for file in project.files("experiments/*/experiment.json"):
        validate(json.loads(file.read_text(encoding="utf-8")), "experiment")
    for line in project.lines("experiments/*/row_scores.jsonl")[::5]:
        validate(line, "row-score")


@pytest.mark.parametrize("words", [("--dry-run",), ("--variants", "aked"), ("--plan", "grid", "--dry-run")])
def test_an_experiment_that_was_not_started_has_the_published_form(project: Project, words: tuple[str, ...]) -> None:
    validate(project("run", NAME, *words), "experiment")


def test_verdicts_decisions_and_alerts_have_the_published_forms(project: Project) -> None:
    postprod = project("run", NAME, "--file", "experiment-postprod.yaml", "--no-report")
    alert = project("alert", postprod["id"])
    judged = project("gate", "latest", "--policy", f"{NAME}/experiment.yaml")
    decided = project("approve", postprod["id"], "--by", "ada", "--reason", "read the rows")
    evidence = load_evidence(project.folder / "state/experiments" / postprod["id"])
    policy = read_alert({"metrics": {"exact_match_rate": {"margin": 0.1}}})

    validate(postprod, "experiment")
    validate(alert, "verdict")
    validate(judged, "verdict")
    validate(decided, "approval")
    validate(alert_message(judge_alert(evidence, policy), policy, evidence), "alert-message")
    for file in [*project.files("experiments/*/verdict.json"), *project.files("experiments/*/alert.json")]:
        validate(json.loads(file.read_text(encoding="utf-8")), "verdict")


def test_findings_and_audits_have_the_published_forms(project: Project) -> None:
    broken = project.folder / "broken"
    shutil.copytree(project.folder / NAME, broken)
    text = (broken / "experiment.yaml").read_text(encoding="utf-8")
    (broken / "experiment.yaml").write_text(text.replace("data.text", "data.txt"), encoding="utf-8")

    validate(project("check", NAME, "--explain"), "check")
    found = project("check", "broken")
    validate(found, "check")
    audited = project("audit", NAME)
    validate(audited, "audit")
    assert [finding for finding in found["findings"] if finding["severity"] == "error"]
    assert audited["flows"]


def test_every_shipped_experiment_file_is_valid() -> None:
    from ruamel.yaml import YAML

    files = sorted(EXAMPLE.parent.glob("*/experiment*.yaml"))

    assert len(files) >= 24
    for file in files:
        validate(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")), "experiment-yaml")


def test_a_schema_is_printed_for_an_editor(project: Project) -> None:
    assert project("schema", "experiment-yaml") == load_schema("experiment-yaml")
    assert [entry["name"] for entry in project("schema")["schemas"]] == schema_names()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("flow-run", {"schema_version": 1, "flow": "f", "status": "done", "outputs": {}, "nodes": {}, "metrics": {}}),
        ("outcome", {"row": 0, "status": "failed", "inputs": {}, "outputs": {}, "error": None, "nodes": {}}),
        ("verdict", {"schema_version": 1, "result": "maybe", "reasons": [], "checks": []}),
        ("check", {"schema_version": 1, "findings": [{"severity": "doubt"}]}),
    ],
)
def test_other_forms_are_refused(name: str, form: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate(form, name)
