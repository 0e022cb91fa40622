"""Post-production evaluation from the command line: a log becomes a dataset, is scored, and somebody is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_run import environ
from tests.gates.test_webhook import Receiver

EXAMPLE = Path(__file__).parents[2] / "examples" / "named_entity_recognition"
NAME = "named_entity_recognition"


class Project:
    """A copy of the example in a project of its own; its champion is registered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(EXAMPLE, folder / NAME)
        (folder / ".git").mkdir()

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from genaiops.cli import main; sys.exit(main())", *words]
        env = {**environ(self.folder), **variables}
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=110, check=False
        )

    def evaluate(self, week: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        log, target = f"{NAME}/data/production_log/{week}", f"{NAME}/data/production.jsonl"
        made = self("dataset", "from-logs", log, target, "--feedback", "--failed")
        assert made.returncode == 0, made.stderr
        file = ("--file", "experiment-postprod.yaml", "--no-report", "--json")
        return self("run", NAME, *file, *words, **variables)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = Project(tmp_path_factory.mktemp("alerts"))
    assert found("run", NAME, "--variants", "defaults", "--no-report").returncode == 0
    assert found("gate", "latest", "--promote").returncode == 0
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver(200)
    yield found
    found.close()


def form(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_shipped_dataset_is_the_one_that_the_log_gives(project: Project) -> None:
    project("dataset", "from-logs", f"{NAME}/data/production_log/before", "made.jsonl", "--feedback", "--failed")

    assert (project.folder / "made.jsonl").read_bytes() == (EXAMPLE / "data/production.jsonl").read_bytes()


def test_good_answers_raise_no_alarm_and_tell_nobody(project: Project, receiver: Receiver) -> None:
    done = project.evaluate("before", "--env", "prod", ALERT_WEBHOOK=receiver.url)

    result = form(done)
    assert done.returncode == 0, done.stderr
    assert (result["alert"]["result"], result["alert"]["delivery"], result["model_calls"]) == ("passed", None, 0)
    assert receiver.requests == []


def test_quality_that_fell_is_exit_code_3_and_somebody_is_told(project: Project, receiver: Receiver) -> None:
    done = project.evaluate("after", "--env", "prod", ALERT_WEBHOOK=receiver.url)

    result = form(done)
    ((_, _, message),) = receiver.requests
    assert done.returncode == 3, done.stderr
    assert result["alert"]["result"] == "failed"
    assert result["alert"]["delivery"]["sent"] is True
    assert (message["result"], message["id"], message["reasons"]) == ("alert", result["id"], result["alert"]["reasons"])
    assert "very-secret-path" not in done.stdout + done.stderr
    records = (project.folder / "state").rglob("*.json*")
    assert not [file for file in records if "very-secret-path" in file.read_text(encoding="utf-8")]


def test_the_alert_is_shown_with_the_experiment(project: Project) -> None:
    project.evaluate("after", "--env", "prod", "--no-webhook")

    done = project("runs", "show", "latest")

    assert "\nalert: quality fell below the accepted level\n  exact_match_rate is 0 on" in done.stdout.replace(
        "  partial_match_rate is 0.083 (0.033 to 0.196) on 48 requests of production, below 0.5.\n", ""
    )


def test_a_receiver_that_refuses_does_not_hide_the_verdict(project: Project) -> None:
    broken = Receiver(404)
    try:
        done = project.evaluate("after", "--env", "prod", ALERT_WEBHOOK=broken.url)
    finally:
        broken.close()

    result = form(done)
    assert done.returncode == 3
    assert (result["alert"]["result"], result["alert"]["delivery"]["sent"]) == ("failed", False)
    assert "The alert did not reach 127.0.0.1, tried once: it answered 404" in done.stderr
    assert f"genaiops alert {result['id']} --send" in done.stderr


def test_an_alert_is_judged_and_sent_again_from_the_files(project: Project, receiver: Receiver) -> None:
    first = project.evaluate("after", "--env", "prod", "--no-webhook")
    shutil.move(project.folder / NAME / "data", project.folder / "away")
    try:
        quiet = project("alert", "latest", "--json")
        told = project("alert", "latest", "--send", ALERT_WEBHOOK=receiver.url)
    finally:
        shutil.move(project.folder / "away", project.folder / NAME / "data")

    assert (first.returncode, quiet.returncode, told.returncode) == (3, 3, 3)
    assert form(quiet)["reasons"] == form(first)["alert"]["reasons"]
    assert len(receiver.requests) == 1
    assert "Alert: quality fell below the accepted level" in told.stdout


def test_a_missing_variable_is_named_before_anything_is_scored(project: Project) -> None:
    done = project.evaluate("before", "--env", "prod")

    assert done.returncode == 2
    assert "ALERT_WEBHOOK" in done.stderr
    assert form(done)["runs"] == []


def test_the_level_may_be_that_of_the_experiment_approved_last(project: Project) -> None:
    before = form(project.evaluate("before"))
    given = project("approve", before["id"], "--by", "ada", "--reason", "the level of this autumn")
    project.evaluate("after")

    done = project("alert", "latest", "--accepted", "approved", "--json")

    assert given.returncode == 0, given.stderr
    assert (done.returncode, form(done)["baseline"]) == (3, before["id"])


def test_an_experiment_that_watches_nothing_says_so(project: Project) -> None:
    project("run", NAME, "--variants", "defaults", "--no-report", "--limit", "2")

    done = project("alert", "latest")

    assert done.returncode == 2
    assert "has no block `alert`" in done.stderr
