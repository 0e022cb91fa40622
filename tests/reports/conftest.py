"""Sample experiments, each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.gates import judge_experiment, read_policy, record_verdict
from genaiops.reports import write_reports
from tests.reports.sample import Sample, write_sample


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three variants on two datasets of 60 rows, judged."""
    folder = write_sample(tmp_path_factory.mktemp("sample"), Sample(rows=60))
    demands = {"accuracy": {"min": 0.75, "max_drop": 0.03}, "quality": {"min": 0.7, "max_drop": 0.03}}
    record_verdict(folder, judge_experiment(folder, read_policy({"metrics": demands})))
    return folder


@pytest.fixture(scope="session")
def reports(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every form of its report."""
    folder = tmp_path_factory.mktemp("reports")
    write_reports(experiment, folder)
    return folder


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of an experiment whose model, data and names attack the reader."""
    folder = tmp_path_factory.mktemp("hostile")
    evil = ("variant_0", '"><script>alert(2)</script>', "=cmd|' /C calc'!A0")
    sample = Sample(rows=30, hostile=True, variants=evil, datasets=("<img src=x onerror=alert(3)>",))
    write_reports(write_sample(folder / "state", sample), folder / "reports")
    return folder / "reports"
