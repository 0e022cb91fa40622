from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from genaiops.errors import SettingsError
from genaiops.runs import FlowRequest, run_row
from genaiops.runs._environments import (
    build_environment,
    read_requirements,
    requirements_file,
    runtime_requirements,
    unmet,
)
from genaiops.runs._setup import flow_source
from genaiops.settings import Settings
from tests.runs.conftest import DOUBLE, FlowMaker


def test_requirements_leave_out_what_this_package_stands_in_for(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("click\n-r requirements.txt\n")
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# a comment\npromptflow>=1.0\npromptflow-tools\npromptflow[azure]==1.18\npromptflow_core\n"
        "--index-url https://example.org\nopenai>=1  # why\n-r more.txt\njinja2 \\\n  >=3\n\n"
    )

    assert read_requirements(file) == ["openai>=1", "click", "jinja2 >=3"]


def test_what_this_interpreter_lacks_is_told() -> None:
    wanted = ["click>=1", "click>=999", "no-such-package-at-all", "no-such; python_version < '3'", "jinja2"]

    assert unmet(wanted) == ["click>=999", "no-such-package-at-all"]


def test_the_flow_file_may_name_its_requirements(make_flow: FlowMaker) -> None:
    flow = make_flow(DOUBLE)
    assert requirements_file(flow_source(flow)) is None

    (flow / "requirements.txt").write_text("click\n")
    beside = requirements_file(flow_source(flow))
    (flow / "needs.txt").write_text("click\n")
    text = (flow / "flow.dag.yaml").read_text()
    (flow / "flow.dag.yaml").write_text(text + "environment:\n  python_requirements_txt: needs.txt\n")

    assert beside == flow / "requirements.txt"
    assert requirements_file(flow_source(flow)) == flow / "needs.txt"


def test_an_environment_that_cannot_be_built_shows_the_installers_last_words(
    tmp_path: Path, settings: Settings
) -> None:
    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        fails = "install" in command
        return subprocess.CompletedProcess(command, int(fails), "", "no matching distribution" if fails else "")

    with pytest.raises(SettingsError, match="no matching distribution") as caught:
        build_environment(["no-such-package"], settings, tmp_path / "requirements.txt", run=run)

    assert (caught.value.file, caught.value.exit_code) == (str(tmp_path / "requirements.txt"), 2)


def test_a_flow_runs_in_the_interpreter_that_is_named(make_flow: FlowMaker, settings: Settings) -> None:
    flow = make_flow("import sys\n@tool\ndef work(x: int) -> str:\n    return sys.executable\n")

    outcome = run_row(FlowRequest(flow=flow, environment=sys.executable), {"x": 1}, settings)

    assert outcome["outputs"] == {"y": sys.executable}


def test_what_is_no_environment_is_refused(make_flow: FlowMaker, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no Python interpreter"):
        run_row(FlowRequest(flow=make_flow(DOUBLE), environment=tmp_path), {"x": 1}, settings)


def test_a_package_that_the_flow_pins_itself_is_not_pinned_by_us() -> None:
    names = [line.partition("==")[0] for line in runtime_requirements(["OpenAI==1.50", "ruamel_yaml"])]

    assert "openai" not in names
    assert "ruamel.yaml" not in names
    assert "jinja2" in names
    assert not any(re.match(r"[\w.-]+==", line) for line in runtime_requirements([], pinned=False))
