"""`configs/dataops_config.json`: read, checked, its assets registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.experiments import Problems, check_use_case, read_data_assets
from genaiops.experiments._dataops import is_cron
from tests.experiments.usecase import make_use_case, settings_of, write

CONFIG: dict[str, Any] = {
    "DATA_STORE_NAME": "store",
    "COMPUTE_NAME": "compute",
    "DATA_STORE_DESCRIPTION": "",
    "DATA_PREP_COMPONENT": {"COMPONENT_NAME": "c", "COMPONENT_DISPLAY_NAME": "C", "COMPONENT_DESCRIPTION": ""},
    "STORAGE": {"STORAGE_ACCOUNT": "a", "SOURCE_CONTAINER": "s", "SOURCE_BLOB": "b.csv", "TARGET_CONTAINER": "t"},
    "PATH": {"DATA_PIPELINE_CODE_DIR": "web/data_pipelines/aml"},
    "SCHEDULE": {"NAME": "weekly", "CRON_EXPRESSION": "10 14 * * 1", "TIMEZONE": "UTC"},
    "DATA_ASSETS": [
        {"NAME": "web_train", "PATH": "train.jsonl", "DESCRIPTION": "rows"},
        {"NAME": "later", "PATH": "x"},
    ],
}


def findings(folder: Path, config: dict[str, Any]) -> list[tuple[str, str | None]]:
    make_use_case(folder)
    write(folder / "configs/dataops_config.json", json.dumps(config, indent=2))
    found = check_use_case(folder, settings_of(folder)).findings
    return [(finding.code, finding.hint) for finding in found]


def test_the_templates_file_is_read_without_a_doubt(tmp_path: Path) -> None:
    assert findings(tmp_path, CONFIG) == []

    assets = read_data_assets(tmp_path, Problems())
    assert [(asset.name, asset.source, asset.description) for asset in assets] == [
        ("web_train", "train.jsonl", "rows"),
        ("later", "x", None),
    ]
    assert assets[0].path == tmp_path / "data/train.jsonl"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SCHEDULE": {"CRON_EXPRESSION": "10 24 * * 1"}}, "bad-schedule"),
        ({"DATA_ASSETS": [{"NAME": "a"}]}, "missing-key"),
        ({"DATA_ASSETS": [{"NAME": "a", "PATH": "x"}, {"NAME": "a", "PATH": "y"}]}, "duplicate-name"),
        ({"STORAGE": {"STORAGE_ACOUNT": "x"}}, "unknown-key"),
    ],
)
def test_mistakes_are_found(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    assert code in [found for found, _ in findings(tmp_path, {**CONFIG, **change})]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("10 14 * * 1", True),
        (
            "*/5 0-6,22 1,15 jan-mar sun",
            True,
        ),
        ("*/5 0-6,22 1,15 jan sun", True),
        ("60 * * * *", False),
        ("* * 0 * *", False),
        ("* * * *", False),
        ("5-1 * * * *", False),
        ("*/0 * * * *", False),
    ],
)
def test_a_schedule_has_five_fields_in_their_ranges(text: str, good: bool) -> None:
    assert is_cron(text) is good
