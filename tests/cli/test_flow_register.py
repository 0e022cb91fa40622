"""`genaiops flow register`: a version only for a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genaiops.cli._flow_register import register
from tests.experiments.usecase import make_use_case


@pytest.fixture
def use_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENAIOPS_HOME", str(tmp_path / "state"))
    return make_use_case(tmp_path / "web")


def call(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(register, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_a_use_case_is_registered_under_name_and_environment(use_case: Path) -> None:
    first = call("web", "--env", "dev")

    assert (first["name"], first["version"], first["is_new"]) == ("web_dev", 1, True)
    assert call("web", "--env", "dev")["is_new"] is False


def test_a_renamed_file_is_a_new_version_and_a_cache_is_none(use_case: Path) -> None:
    flow = use_case / "flows/main"
    call("web/flows/main")
    (flow / "__pycache__").mkdir()
    (flow / "__pycache__/x.pyc").write_bytes(b"x")
    cached = call("web/flows/main")
    (flow / "classify.py").rename(flow / "classify2.py")

    assert (cached["version"], call("web/flows/main")["version"]) == (1, 2)


def test_the_version_is_written_for_later_steps(use_case: Path, tmp_path: Path) -> None:
    call("web", "--output-file", "model_version.txt", "--alias", "champion")

    assert (tmp_path / "model_version.txt").read_text() == "1"
