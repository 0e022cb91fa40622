"""What bad input gets: exit code 2 before anything runs, with the place, what was found, and the nearest valid name.

Every mistake is made in a flow that is sound otherwise; `check` and `flow run` both have to say it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from genaiops.cli import main

TOOL = "from promptflow.core import tool\n\n\n@tool\ndef run(text: str, times: int = 1) -> str:\n    return text\n"
GRAPH = """\
inputs:
  text: {type: string, default: hi}
outputs:
  out: {type: string, reference: "${second.output}"}
nodes:
- name: first
  type: python
  source: {type: code, path: tool.py}
  inputs: {text: "${inputs.text}"}
- name: second
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: sim
  api: chat
  inputs: {deployment_name: m, text: "${first.output}"}
"""
VARIANTS = """\
inputs:
  text: {type: string, default: hi}
outputs:
  out: {type: string, reference: "${second.output}"}
nodes:
- {name: second, use_variants: true}
node_variants:
  second:
    default_variant_id: plain
    variants:
      plain: {node: {type: python, source: {type: code, path: tool.py}, inputs: {text: "${inputs.text}"}}}
      kind: {node: {type: python, source: {type: code, path: tool.py}, inputs: {text: "${inputs.text}"}}}
"""
ASK = "system:\nBe brief.\nuser:\n{{text}}\n"
PROMPTY = """\
---
name: ask
model:
  api: chat
  configuration:
    type: azure_openai
    azure_deployment: m
    connection: sim
  parameters: {}
inputs:
  text: {type: string, default: hi}
---
system:
Be brief.
user:
{{text}}
"""


class Mistake(NamedTuple):
    """One mistake.

    Args:
        file: The file that is changed.
        old: The text that is wrong after the change; empty puts `new` in place of the whole file, and `new` of None
            removes it.
        line: The line that has to be named.
        said: What both commands have to say.
    """

    file: str
    old: str
    new: str | None
    line: int
    said: str
    where: str = ""


MISTAKES = {
    "a missing node": Mistake("flow.dag.yaml", "${first.output}", "${frist.output}", 15, "Did you mean 'first'?"),
    "a missing input": Mistake("flow.dag.yaml", "${inputs.text}", "${inputs.txt}", 9, "Did you mean 'text'?"),
    "a missing node of an output": Mistake(
        "flow.dag.yaml", "${second.output}", "${secnd.output}", 4, "Did you mean 'second'?"
    ),
    "a cycle": Mistake("flow.dag.yaml", "${inputs.text}", "${second.output}", 6, "first, second"),
    "a duplicate key": Mistake("flow.dag.yaml", "  api: chat\n", "  api: chat\n  api: chat\n", 15, "'api'"),
    "broken YAML": Mistake("flow.dag.yaml", "- name: second", "- name: [second", 11, "not valid YAML"),
    "two flow files": Mistake("flow.flex.yaml", "", "entry: tool:run\n", 1, "flow.dag.yaml, flow.flex.yaml"),
    "broken Jinja": Mistake("ask.jinja2", "{{text}}", "{{text}", 4, "The template is broken"),
    "an unknown filter": Mistake("ask.jinja2", "{{text}}", "{{text|uper}}", 4, "uper"),
    "a missing template": Mistake(
        "flow.dag.yaml", "ask.jinja2", "aks.jinja2", 12, "Did you mean 'ask.jinja2'?", where="flow.dag.yaml"
    ),
    "a missing tool file": Mistake("flow.dag.yaml", "tool.py", "tol.py", 8, "Did you mean 'tool.py'?"),
    "a module of the flow that is misspelt": Mistake("tool.py", TOOL, f"import hepler\n{TOOL}", 1, "hepler"),
    "a module that is not there": Mistake("tool.py", TOOL, f"import no_such_module\n{TOOL}", 1, "no_such_module"),
    "no tool": Mistake("tool.py", "@tool\n", "", 4, "decorated with @tool"),
    "two tools": Mistake("tool.py", TOOL, f"{TOOL}\n\n@tool\ndef other(): ...\n", 10, "run, other"),
    "a syntax error": Mistake("tool.py", "return text", "return text)", 6, "not valid Python"),
    "an unknown connection": Mistake("flow.dag.yaml", "connection: sim", "connection: smi", 13, "Did you mean 'sim'?"),
    "an unknown api": Mistake("flow.dag.yaml", "api: chat", "api: caht", 14, "Did you mean 'chat'?"),
    "an unknown node type": Mistake("flow.dag.yaml", "type: llm", "type: lmm", 11, "Did you mean 'llm'?"),
    "an unknown input type": Mistake("flow.dag.yaml", "type: string, def", "type: strng, def", 2, "'string'?"),
    "a default that cannot be converted": Mistake(
        "flow.dag.yaml", "{type: string, default: hi}", "{type: int, default: three}", 2, "'three'"
    ),
    "a literal that cannot be converted": Mistake(
        "flow.dag.yaml", 'inputs: {text: "${inputs.text}"}', 'inputs: {text: "${inputs.text}", times: two}', 9, "'two'"
    ),
    "two nodes of one name": Mistake("flow.dag.yaml", "- name: second", "- name: first", 10, "line 6"),
    "a misspelt package tool": Mistake(
        "flow.dag.yaml",
        "type: python\n  source: {type: code, path: tool.py}",
        "type: python\n  source: {type: package, tool: promptflow.tools.embeding.embedding}",
        8,
        "Did you mean 'promptflow.tools.embedding.embedding'?",
    ),
    "a connection of a type that reaches no model": Mistake(
        "flow.dag.yaml", "connection: sim", "connection: search", 13, "CustomConnection"
    ),
    "a missing include": Mistake(
        "flow.dag.yaml", "nodes:", "additional_includes: [./hlper.py]\nnodes:", 5, "Did you mean 'helper.py'?"
    ),
}
PROMPTY_MISTAKES = {
    "an unknown connection": Mistake("ask.prompty", "sim", "smi", 8, "Did you mean 'sim'?"),
    "broken Jinja": Mistake("ask.prompty", "{{text}}", "{{text}", 16, "The template is broken"),
    "an unknown api": Mistake("ask.prompty", "api: chat", "api: caht", 4, "Did you mean 'chat'?"),
    "an unknown type": Mistake(
        "ask.prompty", "azure_openai\n    azure_deployment: m\n    connection: sim", "azure_opnai\n    api_key: k", 6,
        "Did you mean 'azure_openai'?",
    ),
    "a variable that is not set": Mistake(
        "ask.prompty", "connection: sim", "azure_endpoint: ${env:NO_SUCH_ENDPOINT}", 8, "NO_SUCH_ENDPOINT"
    ),
    "no front matter": Mistake("ask.prompty", "", "system:\nhi\n", 1, "front matter"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a graph, a prompty and the connection that both use; nothing is wrong yet."""
    (tmp_path / ".genaiops").mkdir()
    for folder, files in {
        "f": {"flow.dag.yaml": GRAPH, "tool.py": TOOL, "ask.jinja2": ASK, "helper.py": ""},
        "v": {"flow.dag.yaml": VARIANTS, "tool.py": TOOL},
        "p": {"ask.prompty": PROMPTY},
    }.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("SIM_CONNECTION_TYPE", "simulated")
    monkeypatch.setenv("SEARCH_CONNECTION_TYPE", "custom")
    monkeypatch.setenv("SEARCH_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(mistake: Mistake, folder: Path) -> None:
    """Change one file, and make sure that the change is one."""
    path = folder / mistake.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert mistake.old in text
    path.write_text(text.replace(mistake.old, mistake.new or "", 1) if mistake.old else mistake.new or "")


@pytest.mark.parametrize("flow", ["f", "v", "p/ask.prompty"])
def test_the_flows_are_sound_before_a_mistake_is_made(
    project: Path, flow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", flow]) == 0
    assert main(["flow", "run", flow, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["status"] == "completed"


@pytest.mark.parametrize("command", [["check"], ["flow", "run"]], ids=" ".join)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_a_graph_with_a_mistake_is_refused_with_its_place(
    project: Path, mistake: Mistake, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make(mistake, project / "f")

    assert main([*command, "f"]) == 2

    said = "".join(capsys.readouterr())
    assert f"{mistake.file}:{mistake.line}: " in said
    assert mistake.said in said


@pytest.mark.parametrize("command", [["check"], ["flow", "run"]], ids=" ".join)
@pytest.mark.parametrize("mistake", PROMPTY_MISTAKES.values(), ids=list(PROMPTY_MISTAKES))
def test_a_prompty_with_a_mistake_is_refused_with_its_place(
    project: Path, mistake: Mistake, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make(mistake, project / "p")

    assert main([*command, "p/ask.prompty"]) == 2

    said = "".join(capsys.readouterr())
    assert f"ask.prompty:{mistake.line}: " in said
    assert mistake.said in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flow", "run", "vv"], "Did you mean 'v'?"),
        (["flow", "check", "vv"], "Did you mean 'v'?"),
        (["check", "vv"], "Did you mean 'v'?"),
        (["flow", "run", "v", "--variant", "second.kindd"], "Did you mean 'kind'?"),
        (["flow", "run", "v", "--variant", "secnd.kind"], "Did you mean 'second'?"),
        (["flow", "run", "v", "--variant", "kindd"], "Did you mean 'second.kind'?"),
        (["flow", "run", "f", "--variant", "first.kind"], "does not use variants"),
        (["flow", "run", "f", "--node", "frist"], "Did you mean 'first'?"),
        (["flow", "run", "f", "--node", "second", "--input", "txt=1"], "Give it as text=VALUE, not txt."),
        (["flow", "run", "f", "--connections", "second.connection=smi"], "Did you mean 'sim'?"),
        (["flow", "run", "f", "--connections", "secnd.connection=sim"], "Did you mean 'second'?"),
        (["flow", "run", "f", "--connections", "second.conection=sim"], "Did you mean 'connection'?"),
        (["flow", "run", "f", "--modl-calls", "replay"], "--model-calls"),
        (["connection", "check", "smi"], "Did you mean 'sim'?"),
        (["flow", "run", "f", "--inputs", "f/tol.py"], "Did you mean 'f/tool.py'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_misspelt_name_on_the_command_line_is_told_the_nearest(
    project: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    assert said in "".join(capsys.readouterr())


def test_every_variable_that_is_missing_is_told_at_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIM_CONNECTION_TYPE", "azure_open_ai")

    for command in (["check", "f"], ["flow", "run", "f"]):
        assert main(command) == 2
        said = "".join(capsys.readouterr())
        assert "flow.dag.yaml:13: " in said
        assert "SIM_API_KEY" in said
        assert "SIM_API_BASE" in said


def test_an_unknown_connection_type_names_the_nearest(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIM_CONNECTION_TYPE", "azure_opn_ai")
    monkeypatch.setenv("SIM_API_KEY", "k")

    for command in (["check", "f"], ["flow", "run", "f"]):
        assert main(command) == 2
        assert "azure_open_ai" in "".join(capsys.readouterr())


def test_a_row_with_a_value_of_the_wrong_type_is_an_outcome_and_the_others_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "v" / "flow.dag.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("type: string, default: hi", "type: int"))
    Path("rows.jsonl").write_text('{"text": 1}\n{"text": "two"}\n{"text": 3}\n', encoding="utf-8")

    assert main(["flow", "run", "v", "--data", "rows.jsonl", "--map", "text=${data.text}"]) == 1

    said = capsys.readouterr().out
    assert "1 × InputTypeError" in said
    assert "2 completed, 1 failed" in said
    # On the command line the same value is a mistake, and no node runs.
    assert main(["flow", "run", "v", "--input", "text=two"]) == 2


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("text=${data.txt}", "Did you mean 'text'?"),
        ("txt=${data.text}", "Did you mean 'text'?"),
        ("text=$data.text", "Did you mean '${data.text}'?"),
    ],
)
def test_a_mapping_that_leads_nowhere_starts_nothing(
    project: Path, mapping: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")

    assert main(["flow", "run", "f", "--data", "rows.jsonl", "--map", mapping]) == 2

    assert said in "".join(capsys.readouterr())
    assert not any((project / ".genaiops").glob("runs/*"))


def test_a_bad_line_of_a_data_file_has_its_number_and_the_others_are_not_lost(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.jsonl").write_text('{"text": "a"}\n{"text": "b"\n{"text": "c"}\n', encoding="utf-8")
    words = ["flow", "run", "f", "--data", "rows.jsonl", "--map", "text=${data.text}"]

    assert main(words) == 2
    said = "".join(capsys.readouterr())
    assert "rows.jsonl:2: " in said
    assert "at column 13." in said

    assert main([*words, "--on-bad-row", "skip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"total": 3, "completed": 2, "failed": 0, "skipped": 1}


def test_all_that_connections_lack_is_told_whichever_is_met_first(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIM_CONNECTION_TYPE", "azure_open_ai")
    with (project / "f" / "flow.dag.yaml").open("a", encoding="utf-8") as file:
        file.write("environment_variables: {KEY: '${another.api_key}'}\n")
    Path("rows.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")

    for words in ([], ["--data", "rows.jsonl", "--map", "text=${data.text}"]):
        assert main(["flow", "run", "f", *words]) == 2
        said = capsys.readouterr().err
        assert all(name in said for name in ("SIM_API_KEY", "SIM_API_BASE", "ANOTHER_API_KEY"))
        assert "flow.dag.yaml:16: " in said


def test_a_second_mistake_of_the_same_kind_is_told_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "f" / "flow.dag.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("${first.output}", "${frist.output}").replace("${inputs.text}", "${one.output}"))

    assert main(["flow", "run", "f"]) == 2

    said = capsys.readouterr().err
    assert "flow.dag.yaml:9: " in said
    assert "flow.dag.yaml:15: " in said
