"""Experiments that ended early: by a budget, or because their process was killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genaiops.errors import SettingsError
from genaiops.experiments import find_experiment, resume_experiment, run_experiment
from genaiops.settings import load_settings

MATH = Path(__file__).parents[2] / "examples" / "math_coding"


def test_a_resumed_experiment_scores_the_rows_that_a_budget_had_left_out(tmp_path: Path) -> None:
    use_case = tmp_path / "math_coding"
    shutil.copytree(MATH, use_case)
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state"), "CI": "true"})

    part = run_experiment(use_case, settings, max_calls=20)
    whole = resume_experiment(part, settings, changes={"max_calls": None})

    assert {score["rows"]["scored"] for score in part.scores} <= set(range(1, 20))
    assert {score["rows"]["scored"] for score in whole.scores} == {44}


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_an_experiment_belongs_to_one_process_and_is_interrupted_when_that_is_killed(tmp_path: Path) -> None:
    use_case = tmp_path / "case"
    (use_case / "flow").mkdir(parents=True)
    (use_case / "flow" / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: int}\noutputs:\n  y: {type: int, reference: '${work.output}'}\nnodes:\n"
        "- {name: work, type: python, source: {type: code, path: work.py}, inputs: {x: '${inputs.x}'}}\n"
    )
    (use_case / "flow" / "work.py").write_text(
        "import time\nfrom pathlib import Path\nfrom promptflow.core import tool\n\n@tool\ndef work(x: int) -> int:\n"
        f"    while x == 3 and not Path({str(tmp_path / 'go')!r}).exists():\n        time.sleep(0.02)\n    return x\n"
    )
    (use_case / "rows.jsonl").write_text("".join(f'{{"x": {number}}}\n' for number in range(4)))
    (use_case / "experiment.yaml").write_text(
        "name: slow\nflow: flow\ndatasets:\n- {name: d, source: rows.jsonl, mappings: {x: '${data.x}'}}\n"
    )
    settings = load_settings(cwd=tmp_path, environ={**os.environ, "GENAIOPS_HOME": str(tmp_path / "state")})
    command = [sys.executable, "-m", "genaiops", "run", str(use_case), "--no-report"]

    with subprocess.Popen(command, cwd=tmp_path, env=dict(settings.environ), stdout=subprocess.DEVNULL) as process:
        outcomes = (tmp_path / "state" / "runs").glob
        wait_until(lambda: any(file.read_bytes().count(b"\n") == 3 for file in outcomes("*/outcomes.jsonl")))
        began = time.monotonic()
        under_way = find_experiment("latest", settings)
        with pytest.raises(SettingsError, match="in use by another process"):
            resume_experiment(under_way, settings)
        still = find_experiment("latest", settings)
        os.kill(process.pid, signal.SIGKILL)
    killed = find_experiment("latest", settings)
    (tmp_path / "go").touch()
    whole = resume_experiment(killed, settings)
    again = resume_experiment(whole, settings)

    assert under_way.status == still.status == "running"
    assert killed.status == "interrupted"
    assert (whole.status, whole.runs[0]["rows"]["completed"]) == ("completed", 4)
    assert whole.data["duration_s"] <= again.data["duration_s"] < time.monotonic() - began + 60
