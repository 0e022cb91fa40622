"""`genaiops runs` on single runs: those that prompt flow made stand beside ours."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
inputs:
  text: {type: string}
outputs:
  out: {type: string, reference: "${shout.output}"}
nodes:
- {name: shout, type: python, source: {type: code, path: shout.py}, inputs: {text: "${inputs.text}"}}
"""
SHOUT = "from promptflow.core import tool\n\n@tool\ndef shout(text: str) -> str:\n    return text + '!'\n"
TEXTS = ["a", "=1+1", "<b>"]
RUN = ("flow", "run", "flow", "--data", "data.jsonl", "--map", "text=${data.t}", "--name")


def genaiops(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GENAIOPS_")}
    command = [sys.executable, "-m", "genaiops", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one run, `ours`."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow/flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (tmp_path / "flow/shout.py").write_text(SHOUT, encoding="utf-8")
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"t": t}) + "\n" for t in TEXTS), encoding="utf-8")
    done = genaiops(
        tmp_path, "flow", "run", "flow", "--data", "data.jsonl", "--map", "text=${data.t}", "--name", "ours"
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_run_in_prompt_flows_layout_is_imported_and_compared_row_by_row(project: Path) -> None:
    assert genaiops(project, "runs", "export", "ours", "theirs", "--format", "promptflow").returncode == 0
    imported = genaiops(project, "runs", "import", "theirs", "--name", "theirs", "--json")
    compared = genaiops(project, "runs", "compare", "theirs", "ours", "--json")

    assert json.loads(imported.stdout)["id"] == "theirs"
    found = json.loads(compared.stdout)
    assert (found["baseline"], found["candidate"]) == ("theirs", "ours")
    assert (found["compared"], found["differing"], found["comparisons"]) == (len(TEXTS), 0, [])


def test_a_row_that_differs_is_shown_on_both_sides(project: Path) -> None:
    (project / "flow/shout.py").write_text(SHOUT.replace("'!'", "('?' if text == 'a' else '!')"), encoding="utf-8")
    genaiops(project, *RUN, "edited")

    compared = genaiops(project, "runs", "compare", "ours", "edited")

    assert compared.returncode == 0
    assert '- {"out": "a!"}' in compared.stdout
    assert '+ {"out": "a?"}' in compared.stdout


def test_a_spreadsheet_runs_nothing_of_exported_rows(project: Path) -> None:
    genaiops(project, "runs", "export", "ours", "rows.csv")

    with (project / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outputs.out"] for row in rows] == ["a!", "'=1+1!", "<b>!"]


def test_names_that_nobody_has_are_refused_with_those_that_there_are(project: Path) -> None:
    for arguments in (("show", "our5"), ("compare", "our5", "ours"), ("export", "our5", "x.zip")):
        done = genaiops(project, "runs", *arguments)

        assert done.returncode == 2, arguments
        assert "our5" in done.stderr


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil\r\x9b31m"


def test_nothing_that_a_model_says_steers_the_terminal(project: Path) -> None:
    """Escape sequences, bells, carriage returns, C1 controls and marks that turn the direction round."""
    code = "from promptflow.core import tool\n\n@tool\ndef shout(text: str) -> str:\n"
    hostile = ascii(HOSTILE)
    (project / "flow/shout.py").write_text(
        f"{code}    if text == 'a':\n        raise ValueError({hostile})\n    return {hostile} + text\n",
        encoding="utf-8",
    )
    commands = [
        ("flow", "run", "flow", "--input", "text=b"),
        ("flow", "run", "flow", "--input", "text=a"),
        ("flow", "run", "flow", "--input", "text=b", "--json"),
        (*RUN, "hostile"),
        ("runs", "show", "hostile"),
        ("runs", "show", "hostile", "--json"),
        ("runs", "compare", "ours", "hostile"),
    ]
    for command in commands:
        done = genaiops(project, *command)

        printed = done.stdout + done.stderr
        assert "evil" in printed or command[:2] == ("runs", "show"), command
        assert not set(printed) & {"\x1b", "\x07", "\u202e", "\r", "\x9b"}, command
        if "--json" in command:
            assert json.loads(done.stdout)


def test_json_of_a_hostile_row_holds_it_unchanged(project: Path) -> None:
    code = f"from promptflow.core import tool\n\n@tool\ndef shout(text: str) -> str:\n    return {HOSTILE!a}\n"
    (project / "flow/shout.py").write_text(code, encoding="utf-8")

    done = genaiops(project, "flow", "run", "flow", "--input", "text=b", "--json")

    assert json.loads(done.stdout)["outputs"]["out"] == HOSTILE
