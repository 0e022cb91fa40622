"""`genaiops flow`: one row, a dataset, a conversation, a drawing. Real processes, a simulated model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops.cli import main
from genaiops.testing import ModelServer, ModelServerOptions

GRAPH = """\
inputs:
  text: {type: string, default: hi}
  times: {type: int, default: 1}
outputs:
  loud: {type: string, reference: "${shout.output}"}
nodes:
- name: repeat
  type: python
  source: {type: code, path: repeat.py}
  inputs: {text: "${inputs.text}", times: "${inputs.times}"}
- name: shout
  type: python
  source: {type: code, path: shout.py}
  inputs: {text: "${repeat.output}"}
- name: count
  type: python
  aggregation: true
  source: {type: code, path: count.py}
  inputs: {texts: "${shout.output}"}
"""
REPEAT = """\
from promptflow.core import tool

@tool
def repeat(text: str, times: int) -> str:
    print("printed by the flow")
    if text == "boom":
        raise ValueError("bad text")
    return text * times
"""
SHOUT = "from promptflow.core import tool\n\n@tool\ndef shout(text: str) -> str:\n    return text.upper()\n"
COUNT = (
    "from promptflow.core import log_metric, tool\n\n@tool\ndef count(texts: list) -> int:\n"
    "    log_metric('rows', len(texts))\n    return len(texts)\n"
)
CHAT = """\
inputs:
  question: {type: string, is_chat_input: true}
  chat_history: {type: list, is_chat_history: true}
outputs:
  answer: {type: string, reference: "${ask.output}", is_chat_output: true}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, question: "${inputs.question}", chat_history: "${inputs.chat_history}"}
  connection: sim
  api: chat
"""


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A graph flow in a project of its own; the current folder is the project."""
    (tmp_path / ".genaiops").mkdir()
    folder = tmp_path / "f"
    folder.mkdir()
    for name, text in {"flow.dag.yaml": GRAPH, "repeat.py": REPEAT, "shout.py": SHOUT, "count.py": COUNT}.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


def write_rows(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"t": text}) + "\n" for text in texts), encoding="utf-8")


def test_one_row_as_json_has_the_published_form(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "run", "f", "--input", "text=ab", "times=2", "--json"]) == 0

    form = json.loads(capsys.readouterr().out)
    assert (form["schema_version"], form["flow"], form["status"], form["error"]) == (1, "f", "completed", None)
    assert form["outputs"] == {"loud": "ABAB"}
    assert form["metrics"] == {"rows": 1}
    node = form["nodes"]["repeat"]
    assert (node["status"], node["output"], node["kept"]) == ("completed", "abab", False)
    assert node["tokens"] == {"input": 0, "output": 0}
    assert isinstance(node["duration_s"], float)


def test_one_row_for_a_person_shows_nodes_then_outputs(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "run", "f", "--input", "text=ab"]) == 0

    said = capsys.readouterr()
    assert "text ← ab" in said.out
    assert said.out.index("repeat") < said.out.index("loud: AB")
    assert "printed by the flow" in said.err
    assert "printed by the flow" not in said.out


def test_inputs_come_from_files_and_the_command_line_wins(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("row.json").write_text('{"text": "file", "times": 2}', encoding="utf-8")
    Path("rows.jsonl").write_text('{"text": "first"}\n{"text": "second"}\n', encoding="utf-8")

    main(["flow", "run", "f", "--inputs", "row.json", "--input", "text=line", "--json"])
    assert json.loads(capsys.readouterr().out)["outputs"] == {"loud": "LINELINE"}
    main(["flow", "run", "f", "--inputs", "rows.jsonl", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out)["outputs"] == {"loud": "FIRST"}
    assert "rows.jsonl holds 2 rows; only the first is used" in said.err


def test_a_failing_row_exits_1_with_node_file_and_line(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "run", "f", "--input", "text=boom", "--json"]) == 1

    form = json.loads(capsys.readouterr().out)
    error = form["error"]
    assert (form["status"], error["kind"], error["type"]) == ("failed", "ToolExecutionError", "ValueError")
    assert (error["node"], Path(error["file"]).name, error["line"]) == ("repeat", "repeat.py", 7)


def test_a_flow_that_cannot_be_loaded_exits_2_with_every_mistake(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GRAPH.replace("${repeat.output}", "${repaet.output}").replace("path: count.py", "path: coutn.py")
    (flow / "flow.dag.yaml").write_text(text, encoding="utf-8")

    assert main(["flow", "run", "f", "--json"]) == 2

    said = capsys.readouterr()
    form = json.loads(said.out)
    assert (form["status"], form["outputs"], form["nodes"]) == ("failed", {}, {})
    assert form["error"]["line"] is not None
    assert "repaet" in said.err
    assert "coutn.py" in said.err


def test_a_missing_input_exits_2_before_anything_runs(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (flow / "flow.dag.yaml").write_text(GRAPH.replace(", default: hi", ""), encoding="utf-8")

    assert main(["flow", "run", "f", "--input", "txt=x", "--json"]) == 2

    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["kind"] == "InputNotFound"
    assert "Did you mean 'txt'?" in said.err


def test_one_node_runs_alone(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "run", "f", "--node", "shout", "--input", "text=x", "--json"]) == 0

    assert list(json.loads(capsys.readouterr().out)["nodes"]) == ["shout"]


def test_a_dataset_as_json_has_the_published_form(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(Path("rows.jsonl"), ["a", "b", "c"])

    code = main(["flow", "run", "f", "--data", "rows.jsonl", "--map", "text=${data.t}", "times=2", "--json"])

    form = json.loads(capsys.readouterr().out)
    assert (code, form["status"]) == (0, "completed")
    assert form["rows"] == {"total": 3, "completed": 3, "failed": 0, "skipped": 0}
    assert form["metrics"] == {"rows": 3}
    outcomes = [json.loads(line) for line in (Path(form["path"]) / "outcomes.jsonl").read_text().splitlines()]
    assert [(o["row"], o["outputs"]["loud"]) for o in outcomes] == [(0, "AA"), (1, "BB"), (2, "CC")]


def test_failed_rows_are_summed_up_not_listed(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(Path("rows.jsonl"), ["a", *["boom"] * 50, "b"])

    assert main(["flow", "run", "f", "--data", "rows.jsonl", "--map", "text=${data.t}", "--max-failed", "0.5"]) == 1

    said = capsys.readouterr().out
    assert "50 of 52 rows failed" in said
    assert "50 × ToolExecutionError in node repeat" in said
    assert len(said.splitlines()) < 40


def test_a_mapping_to_a_missing_column_exits_2_and_starts_nothing(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(Path("rows.jsonl"), ["a"])

    assert main(["flow", "run", "f", "--data", "rows.jsonl", "--map", "text=${data.tt}", "--json"]) == 2

    said = capsys.readouterr()
    assert json.loads(said.out)["run"] is None
    assert "Did you mean 't'?" in said.err
    assert not list(Path(".genaiops").glob("runs/*"))


def test_a_run_that_failed_can_be_resumed(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(Path("rows.jsonl"), ["a", "boom", "b"])
    assert main(["flow", "run", "f", "--data", "rows.jsonl", "--map", "text=${data.t}", "--name", "one"]) == 1
    (flow / "repeat.py").write_text(REPEAT.replace('"boom"', '"never"'), encoding="utf-8")
    capsys.readouterr()

    assert main(["flow", "run", "--resume", "one", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["rows"]["completed"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "3"], "--limit is for a dataset"),
        (["--data", "rows.jsonl", "--node", "a"], "--node is for one row"),
        (["--input", "text"], "--input expects NAME=VALUE"),
        (["--model-calls", "replay"], "--model-calls replay needs --recording"),
        (["--variant", "a.b", "--variant", "c"], "--variant expects NODE.VARIANT"),
    ],
)
def test_options_that_make_no_sense_exit_2(
    flow: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(Path("rows.jsonl"), ["a"])

    assert main(["flow", "run", "f", *words]) == 2

    assert said in capsys.readouterr().err


@pytest.fixture
def chat_flow(flow: Path) -> Path:
    (flow / "flow.dag.yaml").write_text(CHAT, encoding="utf-8")
    (flow / "ask.jinja2").write_text(
        "# user:\n{% for turn in chat_history %}{{turn.outputs.answer}} {% endfor %}{{question}}\n", encoding="utf-8"
    )
    (flow / "sim.yaml").write_text("name: sim\ntype: simulated\nreply: Well.\n", encoding="utf-8")
    return flow


def test_piped_lines_make_a_conversation_with_history(chat_flow: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genaiops", "flow", "chat", "f", "--verbose"],
        input="hello\nand you?\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )

    first, second = done.stdout.split("completed,")[:2]
    assert "chat_history ← []" in first
    assert '[{"inputs": {"question": "hello"}, "outputs": {"answer": "Well."}}]' in second


def test_simulated_replies_say_so(chat_flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "run", "f", "--input", "question=hi", "chat_history=[]"]) == 0

    assert "SIMULATED" in capsys.readouterr().out


def test_an_unknown_connection_exits_2_with_the_nearest(chat_flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["flow", "run", "f", "--input", "question=hi", "--connections", "ask.connection=simm"]

    assert main(words) == 2

    assert "'sim'" in capsys.readouterr().err


STREAM = """\
from promptflow.core import tool

@tool
def shout(text: str):
    for letter in text:
        if letter == "!":
            raise ValueError("too loud")
        yield letter.upper()
"""


def test_a_stream_is_told_as_it_comes_and_joined_in_the_record(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (flow / "flow.dag.yaml").write_text(GRAPH[: GRAPH.index("- name: count")], encoding="utf-8")
    (flow / "shout.py").write_text(STREAM, encoding="utf-8")

    assert main(["flow", "run", "f", "--input", "text=abc", "--stream", "--json"]) == 0

    said = capsys.readouterr()
    assert "ABC" in said.err
    assert json.loads(said.out)["outputs"] == {"loud": "ABC"}


def test_a_stream_that_breaks_is_a_failed_row(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (flow / "flow.dag.yaml").write_text(GRAPH[: GRAPH.index("- name: count")], encoding="utf-8")
    (flow / "shout.py").write_text(STREAM, encoding="utf-8")

    assert main(["flow", "run", "f", "--input", "text=ab!c", "--stream", "--json"]) == 1

    form = json.loads(capsys.readouterr().out)
    assert form["outputs"] == {"loud": "AB"}
    assert (form["error"]["type"], "too loud" in form["error"]["message"]) == ("ValueError", True)


@pytest.fixture
def model_url() -> Iterator[str]:
    """A model server on loopback, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ModelServer(ModelServerOptions(reply="Well."))
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield server.url
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_a_use_case_with_a_recording_needs_no_model(
    chat_flow: Path, model_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["flow", "run", "f", "--input", "question=hi", "chat_history=[]", "--no-cache", "--json"]
    file = chat_flow / "sim.yaml"
    file.write_text(f"name: sim\ntype: open_ai\napi_key: a1b2c3d4e5\nbase_url: {model_url}\n", encoding="utf-8")
    assert main([*asked, "--model-calls", "record", "--recording", "calls.jsonl"]) == 0
    file.unlink()
    capsys.readouterr()
    connection = "connections:\n- {name: sim, connection_type: OpenAI, api_key: '${NOBODY_SETS_THIS}'}\n"
    Path("experiment.yaml").write_text(
        f"name: x\nflow: f\n{connection}model_calls: {{mode: replay, recording: calls.jsonl}}\n", encoding="utf-8"
    )

    assert main(asked) == 0

    said = capsys.readouterr()
    assert json.loads(said.out)["outputs"] == {"answer": "Well."}
    assert "model calls: replay" in said.err


def test_a_drawing_shows_every_node_and_where_its_inputs_come_from(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flow", "show", "f"]) == 0

    text = capsys.readouterr().out
    assert "shout (python)" in text
    assert "text ← repeat.output" in text
    assert "count (python, once after all rows)" in text
    assert "loud ← shout.output" in text


def test_mermaid_has_an_edge_for_every_reference(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "show", "f", "--mermaid"]) == 0

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "flowchart TD"
    assert 'inputs -->|"times"| n0' in lines
    assert 'n0 -->|"text"| n1' in lines
    assert 'n1 -->|"loud"| outputs' in lines


def test_a_drawing_as_json_lists_nodes_and_edges(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "show", "f", "--json"]) == 0

    form = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in form["nodes"]] == ["repeat", "shout", "count"]
    assert ["repeat", "shout"] in form["edges"]


def test_a_check_of_the_mapping_names_the_nearest_column(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text('{"textt": "a"}\n', encoding="utf-8")

    assert main(["flow", "check", "f", "--data", "rows.jsonl", "--map", "text=${data.text}", "--json"]) == 2

    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert found["severity"] == "error"
    assert "'textt'" in found["hint"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_an_interrupted_run_exits_130_within_two_seconds_and_can_be_resumed(flow: Path) -> None:
    slow = REPEAT.replace("    return text * times", "    import time\n    time.sleep(0.05)\n    return text * times")
    (flow / "repeat.py").write_text(slow, encoding="utf-8")
    write_rows(Path("rows.jsonl"), [str(number) for number in range(300)])
    words = [
        "flow",
        "run",
        "f",
        "--data",
        "rows.jsonl",
        "--map",
        "text=${data.t}",
        "--name",
        "cut",
        "--concurrency",
        "2",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "genaiops", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    outcomes = Path(".genaiops/runs/cut/outcomes.jsonl")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (outcomes.exists() and outcomes.stat().st_size):
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, _ = process.communicate(timeout=30)

    assert time.monotonic() - started < 2
    assert process.returncode == 130
    assert b"resume: genaiops flow run --resume cut" in out
    (flow / "repeat.py").write_text(REPEAT, encoding="utf-8")
    assert main(["flow", "run", "--resume", "cut"]) == 0
