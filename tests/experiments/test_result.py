"""Which experiment a word names, whatever has happened to its files since."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import DataError
from genaiops.experiments import find_experiment, list_experiments, newest_experiments, write_experiment
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


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda when: when.isoformat() + "+00:00")


@given(
    times=st.lists(st.tuples(MOMENTS, st.none() | MOMENTS, st.booleans()), max_size=5),
    name=st.sampled_from(["demo", 'a", "created": "2099-01-01T00:00:00', '\n "resumed": "2099-01-01T00:00:00']),
)
def test_the_order_is_that_of_the_times_in_the_records(
    times: list[tuple[str, str | None, bool]], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = settings_of(folder := tmp_path_factory.mktemp("project"), {"GENAIOPS_HOME": str(folder / "state")})
    for number, (created, resumed, is_compact) in enumerate(times):
        data = {"id": f"e{number}", "experiment": name, "created": created, "resumed": resumed}
        place = write_experiment(folder / f"state/experiments/e{number}", data).path
        if is_compact:  # as another program may write it
            (place / "experiment.json").write_text(json.dumps(data, separators=(",", ":")))

    found = [result.id for result in newest_experiments(settings)]

    order = sorted(
        range(len(times)), key=lambda n: (datetime.fromisoformat(times[n][1] or times[n][0]), n), reverse=True
    )
    assert found == [f"e{number}" for number in order]


def test_of_a_long_history_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    days = {
        f"day_{day:02}": {"created": f"2026-01-{day:02}T10:00:00.000+00:00", "resumed": None} for day in range(1, 29)
    }
    settings = project(tmp_path, **days)
    history = newest_experiments(settings)

    first = next(history)
    for file in (tmp_path / "state/experiments").glob("*/experiment.json"):
        file.unlink()

    assert first.id == "day_28"
    assert list(history) == []


def test_a_record_without_a_time_is_older_than_all(tmp_path: Path) -> None:
    settings = project(tmp_path, a_strange={}, known={"created": "2026-01-01T10:00:00.000+00:00"})

    assert find_experiment("latest", settings).id == "known"


def test_the_beginning_of_several_ids_is_refused_with_all_of_them(tmp_path: Path) -> None:
    settings = project(tmp_path, demo_2={}, demo_1={})

    with pytest.raises(DataError, match="Several experiments begin with 'demo': demo_1, demo_2"):
        find_experiment("demo", settings)
