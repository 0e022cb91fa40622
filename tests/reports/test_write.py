"""All forms of a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genaiops.errors import InputError
from genaiops.reports import write_reports


def test_page_is_named_first_and_all_files_exist(experiment: Path, tmp_path: Path) -> None:
    written = write_reports(experiment, tmp_path / "deep" / "reports")

    assert written[0].name == "report.html"
    assert all(path.is_file() for path in written)
    assert len(written) == len(set(written))


def test_only_what_is_wanted_is_written_and_other_files_stay(experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")

    written = write_reports(experiment, tmp_path, ["junit", "json"])

    assert [path.name for path in written] == ["junit.xml", "report.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "mine.txt", "report.json"]


def test_machine_form_has_the_whole_verdict(reports: Path) -> None:
    form = json.loads((reports / "report.json").read_text(encoding="utf-8"))

    assert form["verdict"]["result"] == "failed"
    assert form["verdict"]["checks"]
    assert len(form["runs"]) == 6


def test_unknown_format_names_the_nearest(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'markdown'"):
        write_reports(experiment, tmp_path, ["markdwn"])
