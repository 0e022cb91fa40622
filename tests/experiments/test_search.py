"""Adaptive search; needs the extra `search`."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import MissingExtraError
from genaiops.experiments import ExperimentRequest, PlanRequest, run_experiment
from tests.experiments.test_execute import evaluated_by, make, settings
from tests.experiments.usecase import write_rows

SPACE = "search_space:\n  pick.wrong: ['#', a, ab, abc, abcd, abcdefgh]\n"


def test_a_search_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE)
        with pytest.raises(MissingExtraError, match="optuna"):
            run_experiment(ExperimentRequest(use_case=folder, plan=PlanRequest(search=4)), settings(folder))
    else:
        pytest.skip("the extra is installed")


def test_a_search_tries_the_defaults_first_and_finds_the_best(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE)
    rows = [{"url": x, "answer": "?" if x in "abcd" else x.upper()} for x in "abcdefgh"]
    write_rows(folder / "data/train.jsonl", rows)

    result = run_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(search=14, seed=1, variants="defaults")), settings(folder)
    )

    found = result.data["search"]
    assert found["trials"][0]["label"] == "defaults"
    assert len(found["trials"]) == 14
    assert found["best"] == "pick.wrong=abcd"
    labels = {run["variant_label"] for run in result.runs}
    assert {"defaults", "pick.wrong=abcd"} <= labels
    assert result.comparisons


def test_a_trial_that_is_worse_on_the_same_rows_is_stopped_early(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = "search_space:\n  pick.wrong: ['#', abcdefghijklmnopqrstuvwxyz]\n"
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + space)
    letters = "abcdefghijklmnopqrstuvwxyz"
    write_rows(folder / "data/train.jsonl", [{"url": x, "answer": x.upper()} for x in letters * 4])

    result = run_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(search=4, variants="defaults")), settings(folder)
    )

    states = {
        trial["label"]: trial["state"] for trial in result.data["search"]["trials"] if trial["state"] != "repeated"
    }
    assert states.get(f"pick.wrong={letters}") == "stopped early"
    assert [run["variant_label"] for run in result.runs] == ["defaults"]


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    block = "plan: {kind: search, trials: 8, objectives: [exact_match, latency_s]}\n"
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE + block)

    result = run_experiment(ExperimentRequest(use_case=folder), settings(folder))

    found = result.data["search"]
    assert found["objectives"] == ["exact_match", "latency_s"]
    assert found["higher_is_better"] == [True, False]
    assert found["front"]
    assert found["best"] is None
