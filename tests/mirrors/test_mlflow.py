"""Experiments in an MLflow server: the mapping without one, the copy in a real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops.errors import MissingExtraError, SettingsError
from genaiops.experiments import ExperimentRequest, ExperimentResult, run_experiment
from genaiops.mirrors import check_mirror, mirror_experiment, plan_mirror
from tests.experiments.usecase import BASE, make_use_case, settings_of

GRADED = (
    BASE
    + """
evaluators:
- name: grade
  flow: builtin:exact_match
  datasets:
  - name: train
    mappings: {prediction: "${run.outputs.category}", truth: "${data.answer}"}
"""
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ExperimentResult:
    folder = make_use_case(tmp_path_factory.mktemp("web") / "web", GRADED)
    return run_experiment(ExperimentRequest(use_case=folder, build_id="build-7"), settings_of(folder))


def test_each_run_stands_below_its_experiment_with_metrics_and_their_intervals(result: ExperimentResult) -> None:
    plan = plan_mirror(result)

    (child,) = plan.children
    assert plan.experiment == "web"
    assert plan.parent.key == result.id
    assert child.key == result.runs[0]["id"]
    assert child.status == "FINISHED"
    assert child.metrics["grade.exact_match"] == 1.0
    assert child.metrics["grade.exact_match.low"] <= 1.0 <= child.metrics["grade.exact_match.high"]
    assert child.metrics["rows.completed"] == 3.0
    assert child.parameters["dataset"] == "train"
    assert child.tags["genaiops.build"] == "build-7"
    assert {file.name for file in child.files} >= {"run.json", "outcomes.jsonl"}
    assert "cost_usd" not in child.metrics or child.metrics["cost_usd"] >= 0


def test_an_unchanged_experiment_has_the_same_digest(result: ExperimentResult) -> None:
    assert plan_mirror(result).parent.digest == plan_mirror(result).parent.digest


def test_a_server_that_is_not_there_is_told_and_raises_nothing(result: ExperimentResult) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    mirrored = mirror_experiment(result, {"MLFLOW_TRACKING_URI": f"http://ada:s3cret@127.0.0.1:{port}"})

    assert mirrored.runs == 0
    assert str(mirrored.error).startswith(f"http://127.0.0.1:{port}: ")
    assert "refused" in str(mirrored.error)
    assert "s3cret" not in str(mirrored.error)


def test_an_unknown_mirror_and_a_missing_address_are_named() -> None:
    with pytest.raises(SettingsError, match="mlfow"):
        check_mirror("mlfow", {})
    with pytest.raises(SettingsError, match="address"):
        check_mirror("mlflow", {})


def test_without_mlflow_the_extra_is_named() -> None:
    try:
        import mlflow  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="mlflow"):
            check_mirror("mlflow", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    else:
        pytest.skip("the extra is installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'store.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    # Background jobs are no part of what is tested, and take longest to start.
    environ = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *store], cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            yield _answering(f"http://127.0.0.1:{port}", process, folder / "server.log")
        finally:
            process.terminate()
            process.wait(timeout=60)


def _answering(address: str, process: subprocess.Popen[bytes], log: Path) -> str:
    """The address once the server answers: half a minute of processor time, on a busy machine many of the clock."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=30):
                return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"The server ended: {log.read_text(errors='replace')[-2000:]}")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")
def test_an_experiment_mirrored_twice_is_one_set_of_runs(
    result: ExperimentResult, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    first = mirror_experiment(result, {"MLFLOW_TRACKING_URI": server})
    printed = capfd.readouterr().out
    again = mirror_experiment(result, {"MLFLOW_TRACKING_URI": server})

    assert first.error is None
    assert printed == ""  # with --json our one object stands there
    assert (first.runs, first.unchanged, first.traces) == (2, 0, 3)
    assert (again.runs, again.unchanged, again.traces) == (0, 2, 0)
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("web")
    assert experiment is not None
    runs = {run.data.tags["genaiops.id"]: run for run in client.search_runs([experiment.experiment_id])}
    child = runs[result.runs[0]["id"]]
    assert child.data.metrics["grade.exact_match"] == 1.0
    assert child.data.tags["mlflow.parentRunId"] == runs[result.id].info.run_id
    assert child.info.status == "FINISHED"
    assert "outcomes.jsonl" in {file.path for file in client.list_artifacts(child.info.run_id)}
    assert str(first.address).endswith(f"/runs/{runs[result.id].info.run_id}")
    traces = client.search_traces(locations=[experiment.experiment_id], include_spans=False)
    linked = client.search_traces(locations=[experiment.experiment_id], run_id=child.info.run_id, include_spans=False)
    assert len(traces) == 3
    assert {trace.info.trace_id for trace in linked} == {trace.info.trace_id for trace in traces}


def test_artifacts_are_plain_files(result: ExperimentResult) -> None:
    for run in (plan_mirror(result).parent, *plan_mirror(result).children):
        assert all(isinstance(file, Path) and file.is_file() for file in run.files)
