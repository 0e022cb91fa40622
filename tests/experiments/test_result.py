"""Which experiment a word names, whatever has happened to its files since."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import DataError
from genaiops.experiments import find_experiment, list_experiments, write_experiment
from genaiops.settings import Settings
from tests.experiments.usecase import settings_of


def project(folder: Path, **created: dict[str, Any]) -> Settings:
    """A project with experiments of these names; what each says about its times."""
    found = settings_of(folder, {"GENAIOPS_HOME": str(folder / "state")})
    for name, times in created.items():
        write_experiment(folder / "state/experiments" / name, {"id": name, "experiment": "demo", **times})
    return found


def test_latest_is_the_one_started_last_however_young_the_file_of_another_is(tmp_path: Path) -> None:
    settings = project(
        tmp_path, old={"created": "2026-01-01T10:00:00.000+00:00"}, young={"created": "2026-01-02T10:00:00.000+00:00"}
    )
    os.utime(tmp_path / "state/experiments/young/experiment.json", (1, 1))

    assert find_experiment("latest", settings).id == "young"
    assert [found.id for found in list_experiments(settings)] == ["young", "old"]


def test_times_of_different_zones_are_compared_as_moments(tmp_path: Path) -> None:
    settings = project(
        tmp_path, east={"created": "2026-01-02T09:00:00.000+09:00"}, west={"created": "2026-01-01T22:00:00.000-05:00"}
    )

    assert find_experiment("latest", settings).id == "west"  # 03:00 UTC, three hours after the other


def test_an_experiment_that_was_resumed_is_the_latest_again(tmp_path: Path) -> None:
    settings = project(
        tmp_path,
        first={"created": "2026-01-01T10:00:00.000+00:00", "resumed": "2026-01-03T10:00:00.000+00:00"},
        second={"created": "2026-01-02T10:00:00.000+00:00", "resumed": None},
    )

    assert find_experiment("latest", settings).id == "first"


def test_a_record_without_a_time_is_older_than_all(tmp_path: Path) -> None:
    settings = project(tmp_path, a_strange={}, known={"created": "2026-01-01T10:00:00.000+00:00"})

    assert find_experiment("latest", settings).id == "known"


def test_the_beginning_of_several_ids_is_refused_with_all_of_them(tmp_path: Path) -> None:
    settings = project(tmp_path, demo_2={}, demo_1={})

    with pytest.raises(DataError, match="Several experiments begin with 'demo': demo_1, demo_2"):
        find_experiment("demo", settings)
