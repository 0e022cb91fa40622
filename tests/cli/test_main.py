"""The way in: help, errors, exit codes, what is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from genaiops.cli import main
from genaiops.cli._app import app
from genaiops.errors import SettingsError

HEAVY = (
    "rich", "jinja2", "openai", "numpy", "scipy", "aiohttp", "starlette", "uvicorn", "jsonschema", "ruamel.yaml",
    "asyncio", "genaiops.flows", "genaiops.runs", "genaiops.connections", "genaiops.audits",
)  # fmt: skip


def run(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "genaiops", *words],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from genaiops.cli import main; main(['--help']);"
        f"sys.stderr.write(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, text=True)

    assert done.stderr == ""
    assert "Usage: genaiops" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="children's times are not told there")
def test_help_takes_at_most_200_ms_of_cpu(tmp_path: Path) -> None:
    # The least of a few: what others on the machine do can only add to it.
    assert min(children_cpu_s(lambda: run("--help", cwd=tmp_path)) for _ in range(6)) <= 0.2


def children_cpu_s(work: Callable[[], object]) -> float:
    """Processor time of the processes that `work` waits for."""
    before = os.times()
    work()
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_help_groups_the_commands_by_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    text = capsys.readouterr().out
    assert text.index("Check and migrate:") < text.index("Try:")
    assert "audit" in text


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from all_commands(below, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(all_commands(app)))
def test_every_command_has_help_with_an_example(path: str, command: click.Command) -> None:
    example = (command.help or "").partition("Example:")[2]

    assert f"genaiops {path}".strip() in example


@pytest.mark.parametrize("words", [[], ["flow"]])
def test_no_command_shows_the_help_and_is_not_a_success(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2

    assert capsys.readouterr().err.startswith("Usage: genaiops")


def test_an_unknown_command_names_the_nearest_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aduit"]) == 2

    assert "Did you mean 'audit'?" in capsys.readouterr().err


def test_an_unknown_subcommand_names_the_nearest_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "rnu"]) == 2

    assert "Did you mean 'run'?" in capsys.readouterr().err


def test_an_unknown_option_names_the_nearest_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--markdwn", "x"]) == 2

    assert "--markdown" in capsys.readouterr().err


def test_an_error_of_ours_has_place_hint_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SettingsError("Found 1, expected 2.", file="a.yaml", line=3, hint="Write 2.")

    monkeypatch.setattr("genaiops.cli._main.app.main", fail)

    assert main(["audit"]) == 2
    assert capsys.readouterr().err == "error: a.yaml:3: Found 1, expected 2.\n  hint: Write 2.\n"


def test_an_unexpected_error_is_one_line_without_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("genaiops.cli._main.app.main", fail)

    assert main(["audit"]) == 1
    assert (
        capsys.readouterr().err == "error: ZeroDivisionError: division by zero (run again with --debug to see where)\n"
    )
    assert main(["audit", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_exits_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genaiops.cli._main.app.main", interrupt)

    assert main(["audit"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_output_is_utf8_on_an_odd_locale(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text("nodes:\n- name: größe\n", encoding="utf-8")

    done = run("check", ".", "--json", cwd=tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert done.returncode == 2
    assert "größe" in json.loads(done.stdout.decode("utf-8"))["findings"][0]["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes there")
def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "genaiops", "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=30) in (0, 1)
    assert said == b""


def test_a_missing_path_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path / "nowhere")]) == 2

    assert "nowhere" in capsys.readouterr().err


def test_a_command_starts_fast_enough_to_be_tried(tmp_path: Path) -> None:
    started = time.monotonic()

    run("flow", "--help", cwd=tmp_path)

    assert time.monotonic() - started < 5
