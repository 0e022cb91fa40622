"""`genaiops check`, `audit`, `connection` and `cache` as a person and a machine meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from genaiops.cli import main
from tests.experiments.usecase import BASE, make_use_case

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOW = """\
inputs: {q: {type: string}}
outputs: {a: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  api: chat
  connection: aoai
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, q: "${inputs.q}"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one flow whose connection nobody has set up."""
    (tmp_path / ".genaiops").mkdir()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (tmp_path / "f" / "ask.jinja2").write_text("user:\n{{q}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("AOAI_API_KEY", "AOAI_API_BASE", "AOAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOAI_API_KEY", "9f8e7d6c5b4a39281706f5e4d3c2b1a0")
    monkeypatch.setenv("AOAI_API_BASE", "https://somewhere.openai.azure.com")
    monkeypatch.setenv("AOAI_API_VERSION", "2024-06-01")


def test_a_connection_that_nobody_set_up_is_a_mistake(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "f", "--json"]) == 2

    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert set(found) >= {"severity", "code", "file", "line", "message", "hint"}
    assert (found["code"], found["line"]) == ("ConnectionNotFoundError", 7)
    assert "AOAI_API_KEY" in found["hint"]


def test_variables_make_the_connection(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)

    assert main(["check", "f"]) == 0

    assert "no mistakes found" in capsys.readouterr().out


def test_all_missing_values_of_a_connection_come_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "name: aoai\ntype: azure_open_ai\napi_key: ${SOME_KEY}\napi_base: ${SOME_BASE}\n"
    (project / "f" / "aoai.yaml").write_text(text, encoding="utf-8")

    assert main(["check", "f"]) == 2

    said = capsys.readouterr().out
    assert "SOME_KEY" in said
    assert "SOME_BASE" in said


def test_a_check_without_connections_says_nothing_about_them(project: Path) -> None:
    assert main(["check", ".", "--no-connections"]) == 0


def test_explain_shows_values_and_their_sources_but_no_secret(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)

    assert main(["check", "f", "--explain"]) == 0

    said = capsys.readouterr().out
    assert "somewhere.openai.azure.com" in said
    assert "AOAI_API_BASE" in said
    assert "9f8e7d6c5b4a39281706f5e4d3c2b1a0" not in said


def test_two_flow_files_are_a_mistake_in_a_whole_repository_too(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "f" / "flow.flex.yaml").write_text("entry: a:b\n", encoding="utf-8")

    assert main(["check", ".", "--no-connections"]) == 2

    assert "several flow files" in capsys.readouterr().out


def test_a_folder_without_flows_is_an_input_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "empty").mkdir()

    assert main(["check", "empty"]) == 2

    assert "neither a flow nor a use case" in capsys.readouterr().err


def test_connection_list_shows_sources_and_no_secret(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)

    assert main(["connection", "list", "--json"]) == 0

    said = capsys.readouterr().out
    (found,) = [c for c in json.loads(said)["connections"] if c["name"] == "aoai"]
    assert found["fields"]["api_base"]["source"].startswith("AOAI_API_BASE")
    assert "9f8e7d6c5b4a39281706f5e4d3c2b1a0" not in said


def test_connection_check_exits_2_when_something_is_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AOAI_API_KEY", "9f8e7d6c5b4a39281706f5e4d3c2b1a0")
    monkeypatch.setenv("AOAI_API_VERSION", "2024-06-01")

    assert main(["connection", "check", "aoai"]) == 2
    assert "api_base" in capsys.readouterr().out
    assert main(["connection", "check", "aoia"]) == 2
    assert "'aoai'" in capsys.readouterr().err


def test_a_connection_file_that_cannot_be_read_does_not_hide_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)
    (project / "bad.yaml").write_text("name: bad\ntype: azure_open_a\napi_key: x\n", encoding="utf-8")

    assert main(["connection", "check"]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["aoai (azure_open_ai)", "bad"]
    assert main(["connection", "list"]) == 0
    told = capsys.readouterr()
    assert "Did you mean 'azure_open_ai'?" in told.err
    assert max(map(len, told.out.splitlines())) < 120


def test_connection_check_live_calls_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "sim.yaml").write_text("name: sim\ntype: simulated\nreply: Yes.\n", encoding="utf-8")

    assert main(["connection", "check", "sim", "--live", "--model", "any"]) == 0

    assert "answered in" in capsys.readouterr().out


def test_audit_prints_a_table_and_writes_a_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", ".", "--markdown", "out/audit.md"]) == 0

    assert "f/flow.dag.yaml" in capsys.readouterr().out
    assert "# Audit of" in (project / "out" / "audit.md").read_text(encoding="utf-8")


def test_audit_as_json_has_the_published_form(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", ".", "--json"]) == 0

    form = json.loads(capsys.readouterr().out)
    (flow,) = form["flows"]
    keys = {"path", "kind", "verdict", "reasons", "nodes", "tools", "connections", "variables", "imports"}
    assert set(flow) >= keys
    assert (flow["kind"], flow["verdict"]) == ("graph", "runs")
    assert (form["secrets"], form["use_cases"]) == ([], [])


def test_the_cache_can_be_cleared_when_nobody_can_be_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = project / ".genaiops" / "cache"
    kept.mkdir()
    (kept / "x").write_text("1234", encoding="utf-8")

    assert main(["cache", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == 4
    assert main(["cache", "clear"]) == 2
    assert main(["cache", "clear", "--yes"]) == 0
    assert not kept.exists()


USE_CASE = """\
name: quiz
flow: f
datasets:
- {name: d, source: d.jsonl, mappings: {q: "${data.q}"}}
gate:
  metrics:
    accuracy: {min: 0.8}
  max_faild: 0.1
"""


def test_a_gate_that_cannot_judge_is_a_mistake_of_the_use_case(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)
    Path("d.jsonl").write_text('{"q": "1+1"}\n', encoding="utf-8")
    Path("experiment.yaml").write_text(USE_CASE, encoding="utf-8")

    assert main(["check", "."]) == 2

    said = capsys.readouterr().out
    assert "experiment.yaml:8: error: Unknown key 'max_faild' in gate." in said
    assert "Did you mean 'max_failed'?" in said


@pytest.mark.parametrize(
    "command", [["check", "quizz"], ["run", "quizz"], ["flow", "register", "quizz"], ["build", "quizz"]]
)
def test_a_misspelt_use_case_is_told_the_nearest(
    project: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "quiz").mkdir()
    (project / "quiz" / "experiment.yaml").write_text(USE_CASE, encoding="utf-8")

    assert main(command) == 2

    assert "Did you mean 'quiz'?" in "".join(capsys.readouterr())


def test_an_environment_with_changed_letters_is_told_the_nearest_overlay(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch)
    Path("d.jsonl").write_text('{"q": "1+1"}\n', encoding="utf-8")
    Path("experiment.yaml").write_text(USE_CASE.partition("gate:")[0], encoding="utf-8")
    Path("experiment.dev.yaml").write_text("name: quiz\nflow: f\n", encoding="utf-8")

    assert main(["check", ".", "--env", "dve"]) == 0

    assert "Did you mean 'dev'?" in capsys.readouterr().out


def test_mistakes_in_an_alert_are_found_with_their_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_use_case(tmp_path, BASE + "alert:\n  webhook: ${NO_SUCH_HOOK}\n  metrics:\n    accuracy: {margn: 0.1}\n")

    code = main(["check", str(tmp_path), "--json"])

    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (code, finding["line"], finding["hint"]) == (2, 12, "Did you mean 'margin'?")


def test_a_value_of_a_connection_is_explained_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two prompty files that name one connection, which the use case declares."""
    shutil.copytree(EXAMPLES / "chat_application", tmp_path / "chat_application")

    main(["check", str(tmp_path / "chat_application"), "--explain"])

    keys = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("connections.")]
    assert sorted(keys) == [f"connections.small_model.{field}" for field in ("api_key", "base_url", "connection_type")]


def test_a_folder_without_a_use_case_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    empty, said_empty = main(["run"]), capsys.readouterr().err
    make_use_case(tmp_path / "web", BASE)
    above, said_above = main(["run"]), capsys.readouterr().err

    assert (empty, above) == (2, 2)
    assert "Name the folder of a use case: it holds an experiment.yaml." in said_empty
    assert "Use cases below this folder: web. Name one of them." in said_above
    assert [path.name for path in tmp_path.iterdir()] == ["web"]
