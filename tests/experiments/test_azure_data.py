"""Datasets of an Azure ML workspace, read from their copies on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from genaiops.experiments import DatasetSpec, check_use_case, examine_experiment
from genaiops.flows import Finding
from genaiops.registry import FileRegistry, tree_digest
from tests.experiments.usecase import BASE, make_use_case, settings_of

CONFIG = {"DATA_ASSETS": [{"NAME": "pages", "PATH": "data/made.jsonl", "DESCRIPTION": "of the pipeline"}]}


def use_case(folder: Path, source: str, copy: str | None = None) -> Path:
    """A use case whose only dataset is in a workspace; its rows lie in `copy`."""
    make_use_case(folder, BASE.replace("data/train.jsonl", source))
    rows = folder / "data/train.jsonl"
    if copy is None:
        rows.unlink()
    else:
        (folder / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(rows, folder / copy)
    return folder


def read(folder: Path) -> tuple[DatasetSpec, tuple[Finding, ...]]:
    found = examine_experiment(folder, settings_of(folder))
    assert found.spec is not None
    return found.spec.datasets[0], found.findings


def register(folder: Path, file: Path, source: str) -> None:
    registry = FileRegistry(settings_of(folder).state / "registry")
    registry.register("dataset", "pages", tree_digest(file), source=source)


@pytest.mark.parametrize("source", ["azureml:pages:1", "azureml:pages", "azureml:pages:latest", "azureml:pages@1"])
def test_a_registered_file_stands_for_the_data_asset_of_its_name(tmp_path: Path, source: str) -> None:
    folder = use_case(tmp_path, source, "data/our_pages.jsonl")
    register(folder, folder / "data/our_pages.jsonl", "data/our_pages.jsonl")

    dataset, findings = read(folder)

    assert dataset.path == folder / "data/our_pages.jsonl"
    assert findings == ()
    assert check_use_case(folder, settings_of(folder)).findings == ()


def test_a_file_that_was_registered_from_the_project_is_found(tmp_path: Path) -> None:
    folder = use_case(tmp_path / "web", "azureml:pages", "data/unused.jsonl")
    file = settings_of(folder).project / "elsewhere.jsonl"
    shutil.move(folder / "data/unused.jsonl", file)
    register(folder, file, "elsewhere.jsonl")

    assert read(folder)[0].path == file


def test_a_version_whose_file_has_changed_is_an_error_with_its_line(tmp_path: Path) -> None:
    folder = use_case(tmp_path, "azureml:pages:1", "data/pages.jsonl")
    register(folder, folder / "data/pages.jsonl", "data/pages.jsonl")
    with (folder / "data/pages.jsonl").open("a") as stream:
        stream.write(json.dumps({"url": "https://new.example", "answer": "App"}) + "\n")

    (finding,) = (each for each in read(folder)[1] if each.code == "changed-dataset")

    lines = (folder / "experiment.yaml").read_text().splitlines()
    assert (finding.severity, finding.file) == ("error", str(folder / "experiment.yaml"))
    assert finding.line is not None
    assert "name: train" in lines[finding.line - 1]
    assert "registered as version 1 of 'pages'" in finding.message
    assert "genaiops dataset register" in str(finding.hint)


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ("azureml:pages:7", "data/pages.jsonl"),
        ("azureml:pages", "data/pages.jsonl"),
        ("azureml://datastores/store/paths/raw/pages.jsonl", "data/pages.jsonl"),
        ("azureml://datastores/store/paths/raw/pages.jsonl", "data/raw/pages.jsonl"),
    ],
)
def test_a_copy_that_nobody_registered_is_used_and_said_to_be_unchecked(tmp_path: Path, source: str, copy: str) -> None:
    folder = use_case(tmp_path, source, copy)

    dataset, findings = read(folder)

    assert dataset.path == folder / copy
    assert [(each.severity, each.code) for each in findings] == [("warning", "local-copy")]


def test_the_asset_of_a_data_pipeline_is_found_by_its_name(tmp_path: Path) -> None:
    folder = use_case(tmp_path, "azureml:pages:3", "data/made.jsonl")
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs/dataops_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")

    assert read(folder)[0].path == folder / "data/made.jsonl"


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (
            "azureml:pages:3",
            (
                "Download it to data/pages.jsonl, or register a file under its name: "
                "genaiops dataset register FILE --name pages"
            ),
        ),
        ("azureml://datastores/store/paths/raw/pages.jsonl", "Download it to data/pages.jsonl."),
    ],
)
def test_without_a_copy_the_message_says_where_to_put_one(tmp_path: Path, source: str, advice: str) -> None:
    folder = use_case(tmp_path, source)

    (finding,) = (f for f in check_use_case(folder, settings_of(folder)).findings if f.code == "remote-dataset")

    assert (finding.severity, finding.file, finding.hint) == ("error", str(folder / "experiment.yaml"), advice)
    assert finding.line is not None
