"""Adaptive search; needs the extra `search`."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import InputError, MissingExtraError
from genaiops.experiments import (
    ExperimentRequest,
    PlanRequest,
    prepare_experiment,
    resume_experiment,
    run_experiment,
)
from tests.experiments.test_execute import evaluated_by, make, settings
from tests.experiments.usecase import BASE, make_use_case, write, write_rows

WORDS = ("a", "ab", "abc", "abcd", "abcdefgh")
SPACE = "search_space:\n  pick.wrong: ['#', a, ab, abc, abcd, abcdefgh]\n"
ASKING = """
connections:
- {name: sim, type: simulated}
evaluators:
- name: grade
  flow: builtin:exact_match
  datasets:
  - name: train
    mappings: {prediction: "${run.outputs.category}", truth: "${data.answer}"}
search_space:
  ask.tone: [calm, loud, kind, dry]
"""
ASKING_FLOW = """
inputs:
  url: {type: string}
outputs:
  category: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: any, text: "${inputs.url}", tone: calm}
  connection: sim
  api: chat
"""


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
    assert {trial["label"] for trial in found["trials"]} == {"defaults", *(f"pick.wrong={w}" for w in WORDS)}
    assert found["ended"] == "everything was tried"
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


def test_trials_that_cannot_be_told_apart_are_tied(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = "search_space:\n  pick.wrong: ['#', '!', '%']\n"
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + space)

    request = ExperimentRequest(use_case=folder, plan=PlanRequest(search=5, variants="defaults"))
    result = run_experiment(request, settings(folder))

    found = result.data["search"]
    assert sorted(found["tied"]["exact_match"]) == ["defaults", "pick.wrong=!", "pick.wrong=%"]
    assert found["ended"] == "everything was tried"


def test_a_search_that_is_resumed_makes_the_same_trials_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = "search_space:\n  pick.wrong: ['#', a, ab, abc, abcd, abcdefgh, x, y, z]\n"
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + space)
    first = run_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(search=4, seed=3, variants="defaults")), settings(folder)
    )
    ids = [run["id"] for run in first.runs]

    plan = PlanRequest(search=6, seed=3, variants="defaults")
    again = resume_experiment(first, settings(folder), changes={"plan": plan})

    before, after = first.data["search"]["trials"], again.data["search"]["trials"]
    assert [trial["label"] for trial in after[:4]] == [trial["label"] for trial in before]
    assert len(after) == 6
    assert [run["id"] for run in again.runs][: len(ids)] == ids


def test_the_trials_stand_in_a_journal_that_optuna_reads(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE)

    plan = PlanRequest(search=4, variants="defaults", objectives=("exact_match", "latency"))
    result = run_experiment(ExperimentRequest(use_case=folder, plan=plan), settings(folder))

    backend = optuna.storages.journal.JournalFileBackend(str(result.path / result.data["search"]["journal"]))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    trials = result.data["search"]["trials"]
    assert result.data["search"]["objectives"] == ["exact_match", "latency_s"]
    assert [trial.user_attrs["label"] for trial in study.trials] == [trial["label"] for trial in trials]
    assert [trial.values for trial in study.trials] == [trial["values"] for trial in trials]


def test_the_estimate_of_a_search_is_that_of_all_its_trials(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE)
    once = prepare_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(variants="defaults")), settings(folder)
    )

    searched = prepare_experiment(
        ExperimentRequest(use_case=folder, plan=PlanRequest(search=5, variants="defaults")), settings(folder)
    )

    assert searched.plan.of == 5
    assert searched.estimate.runs == 5 * len([t for t in once.tasks if t.cell.label == "defaults"])


def test_an_objective_that_nobody_measures_is_named(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    folder = make(tmp_path, evaluated_by("builtin:exact_match") + SPACE)

    plan = PlanRequest(search=4, objectives=("exact_mach",))
    with pytest.raises(InputError, match="exact_mach") as caught:
        run_experiment(ExperimentRequest(use_case=folder, plan=plan), settings(folder))

    assert "exact_match" in str(caught.value.hint)


def test_a_budget_is_shared_out_among_the_trials(tmp_path: Path) -> None:
    """Each trial calls once a row: 30 calls are not all spent on the defaults."""
    pytest.importorskip("optuna")
    folder = make_use_case(tmp_path / "web", BASE + ASKING)
    write(folder / "connections/sim.yaml", "name: sim\ntype: simulated\n")
    write(folder / "flows/main/flow.dag.yaml", ASKING_FLOW)
    write(folder / "flows/main/ask.jinja2", "user:\n{{text}} {{tone}}\n")
    write_rows(folder / "data/train.jsonl", [{"url": f"u{i}", "answer": f"u{i} calm"} for i in range(20)])

    request = ExperimentRequest(use_case=folder, plan=PlanRequest(search=4, objectives=("exact_match",)), max_calls=30)
    result = run_experiment(request, settings(folder))

    assert len(result.data["search"]["trials"]) >= 2
    assert result.data["partial"]
    assert 0 < result.data["model_calls"] <= 40
    assert result.status == "completed"
