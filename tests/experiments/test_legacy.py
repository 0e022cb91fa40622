"""The older family of files: `llmops_config.json`, `data_config.json`, `mapping_config.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genaiops.errors import SettingsError
from genaiops.experiments import load_experiment
from tests.experiments.usecase import make_use_case, settings_of, write

CONFIG = {
    "envs": [
        {
            "ENV_NAME": "pr",
            "RUNTIME_NAME": "",
            "STANDARD_FLOW_PATH": "flows/main",
            "EVALUATION_FLOW_PATH": "flows/main",
        },
        {
            "ENV_NAME": "dev",
            "RUNTIME_NAME": "rt",
            "STANDARD_FLOW_PATH": "flows/main",
            "EVALUATION_FLOW_PATH": "flows/main, flows/adv",
        },
    ]
}
DATA = {
    "datasets": [
        {"ENV_NAME": "pr", "DATA_PURPOSE": "pr_data", "DATA_PATH": "data/train.jsonl", "DATASET_NAME": "small"},
        {"ENV_NAME": "dev", "DATA_PURPOSE": "training_data", "DATA_PATH": "data/train.jsonl", "DATASET_NAME": "train"},
        {
            "ENV_NAME": "dev",
            "DATA_PURPOSE": "test_data",
            "DATA_PATH": "data/train.jsonl",
            "DATASET_NAME": "test",
            "RELATED_EXP_DATASET": "train",
        },
    ]
}
MAPPING = {
    "experiment": {"url": "${data.url}"},
    "evaluation": {"main": {"url": "${run.outputs.category}"}, "adv": {"url": "${data.answer}"}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_use_case(tmp_path)
    (tmp_path / "experiment.yaml").unlink()
    write(tmp_path / "flows/adv/flow.dag.yaml", "inputs: {}\n")
    for name, data in (("llmops_config", CONFIG), ("configs/data_config", DATA), ("configs/mapping_config", MAPPING)):
        write(tmp_path / f"{name}.json", json.dumps(data, indent=2))
    return tmp_path


def test_the_older_family_means_the_same_as_an_experiment_file(folder: Path) -> None:
    spec = load_experiment(folder, settings_of(folder), env="dev")

    assert (spec.name, spec.runtime, [d.name for d in spec.datasets]) == (folder.name, "rt", ["train"])
    assert [(e.name, e.datasets[0].name, e.datasets[0].reference) for e in spec.evaluators] == [
        ("main", "test", "train"),
        ("adv", "test", "train"),
    ]
    assert spec.evaluators[1].datasets[0].mappings == {"url": "${data.answer}"}


def test_an_environment_without_test_data_has_no_evaluators(folder: Path) -> None:
    spec = load_experiment(folder, settings_of(folder), env="pr")

    assert ([d.name for d in spec.datasets], spec.evaluators) == (["small"], ())


def test_an_unknown_environment_is_an_error_that_lists_them(folder: Path) -> None:
    with pytest.raises(SettingsError, match="no environment was named") as caught:
        load_experiment(folder, settings_of(folder))

    assert "pr, dev" in str(caught.value.hint)


def test_places_lead_into_the_older_files(folder: Path) -> None:
    spec = load_experiment(folder, settings_of(folder), env="dev")

    assert spec.datasets[0].place.file.name == "data_config.json"
    assert spec.datasets[0].place.line is not None
