"""The shipped use cases run offline from their recordings, with all rows, and their own tests pass."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
USE_CASES = sorted(path.parent.name for path in EXAMPLES.glob("*/experiment.yaml"))


def genaiops(*words: str | Path, cwd: Path, ok: tuple[int, ...] = (0,), **variables: str) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SMALL_MODEL")}
    result = subprocess.run(
        [sys.executable, "-m", "genaiops", *map(str, words), "--json"],
        cwd=cwd,
        env={**environment, "GENAIOPS_HOME": str(cwd / "state"), "CI": "true", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode in ok, result.stderr[-3000:]
    return json.loads(result.stdout)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns(".genaiops", "reports", "__pycache__"))
    return copy


@pytest.mark.parametrize("name", USE_CASES)
def test_a_use_case_runs_offline_with_every_row_scored(examples: Path, name: str) -> None:
    result = genaiops("run", examples / name, "--report-dir", "reports", cwd=examples.parent)

    assert sum(run["rows"]["total"] for run in result["runs"]) >= 40
    assert all(run["rows"]["failed"] == 0 for run in result["runs"])
    assert all(metric["failed"] == 0 for score in result["scores"] for metric in score["metrics"].values())
    assert result["verdict"]["result"] == "passed"
    assert (examples.parent / "reports" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", USE_CASES)
@pytest.mark.parametrize("env", ["pr", "dev", "prod"])
def test_every_environment_of_a_use_case_is_judged(examples: Path, name: str, env: str) -> None:
    words = ("run", examples / name, "--env", env, "--report-dir", "reports")

    result = genaiops(*words, cwd=examples.parent, ok=(0, 3))

    assert result["env"] == env
    assert result["verdict"]["result"] == ("failed" if (name, env) == ("web_classification", "prod") else "passed")


def test_an_unchanged_experiment_calls_no_model(examples: Path) -> None:
    words = ("run", examples / "named_entity_recognition", "--report-dir", "reports")
    first = genaiops(*words, cwd=examples.parent)

    again = genaiops(*words, cwd=examples.parent)

    assert (first["model_calls"], again["model_calls"], again["kept"]) == (96, 0, 96)
    assert [score["metrics"] for score in again["scores"]] == [score["metrics"] for score in first["scores"]]


def test_a_changed_prompt_is_not_answered_from_the_recording(examples: Path) -> None:
    prompt = examples / "named_entity_recognition/flows/standard/asked.jinja2"
    prompt.write_text(prompt.read_text(encoding="utf-8").replace("Find all", "Find now all"), encoding="utf-8")

    result = genaiops(
        "run", examples / "named_entity_recognition", "--variants", "asked", "--report-dir", "reports",
        cwd=examples.parent, ok=(1, 3),
    )  # fmt: skip

    assert result["runs"][0]["rows"]["completed"] == 0


@pytest.mark.parametrize("name", USE_CASES)
def test_the_use_cases_own_tests_pass(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=EXAMPLES / name,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["chat_application", "code_generation"])
def test_a_live_run_says_first_which_value_a_connection_of_a_prompty_lacks(examples: Path, name: str) -> None:
    """What a class or a function asks stands in its code: the prompty files beside it tell what it will need."""
    words = ["run", examples / name, "--model-calls", "live", "--limit", "1", "--no-report"]
    result = subprocess.run(
        [sys.executable, "-m", "genaiops", *map(str, words)],
        cwd=examples.parent,
        env={key: value for key, value in os.environ.items() if not key.startswith("SMALL_MODEL")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )

    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert "asks the connection 'small_model': api_key is not set: set SMALL_MODEL_API_KEY." in warnings[0]
    assert "__file__" not in result.stderr
    assert result.returncode == 1
