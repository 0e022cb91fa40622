"""A budget ends an experiment; resuming it scores every row, also those of runs that were scored in part before."""

from __future__ import annotations

import shutil
from pathlib import Path

from genaiops.experiments import resume_experiment, run_experiment
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
