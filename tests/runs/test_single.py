from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from genaiops.errors import GenaiopsError, HostError
from genaiops.runs import FlowRequest, FlowSession, run_row
from genaiops.settings import Settings
from tests.runs.conftest import DOUBLE, FlowMaker

COUNT = """\
- {name: count, type: python, aggregation: true, source: {type: code, path: count.py}, inputs: {ys: '${work.output}'}}
"""


def test_one_row_gives_its_outcome_and_nodes(make_flow: FlowMaker, settings: Settings) -> None:
    outcome = run_row(FlowRequest(flow=make_flow(DOUBLE)), {"x": "21"}, settings)

    assert (outcome["status"], outcome["outputs"], outcome["inputs"]) == ("completed", {"y": 42}, {"x": 21})
    assert outcome["nodes"]["work"]["output"] == 42


def test_a_session_answers_row_after_row_and_passes_on_what_is_printed(
    make_flow: FlowMaker, settings: Settings
) -> None:
    flow = make_flow(
        "seen = []\n@tool\ndef work(x: int) -> list:\n    print('got', x)\n    seen.append(x)\n    return seen\n"
    )
    lines: list[str] = []

    with FlowSession(FlowRequest(flow=flow), settings, on_log=lines.append) as session:
        inputs = session.about["inputs"]
        session.run({"x": 1})
        second = session.run({"x": 2})

    assert inputs["x"] == {"type": "int", "has_default": False, "default": None}
    assert second["outputs"] == {"y": [1, 2]}
    assert lines == ["got 1", "got 2"]


def test_a_failing_row_is_an_outcome(make_flow: FlowMaker, settings: Settings) -> None:
    outcome = run_row(FlowRequest(flow=make_flow("@tool\ndef work(x: int):\n    return 1 / x\n")), {"x": 0}, settings)

    assert (outcome["status"], outcome["error"]["type"]) == ("failed", "ZeroDivisionError")


def test_an_aggregation_that_fails_fails_the_run_of_one_row_and_keeps_its_outputs(
    make_flow: FlowMaker, settings: Settings
) -> None:
    code = "from promptflow.core import tool\n@tool\ndef count(ys: list):\n    1 / 0\n"

    outcome = run_row(FlowRequest(flow=make_flow(DOUBLE, more=COUNT, count=code)), {"x": 21}, settings)

    assert (outcome["status"], outcome["outputs"]) == ("failed", {"y": 42})
    assert (outcome["error"]["node"], outcome["error"]["type"]) == ("count", "ZeroDivisionError")


def test_a_node_can_run_alone_and_must_exist(make_flow: FlowMaker, settings: Settings) -> None:
    request = FlowRequest(flow=make_flow(DOUBLE))

    assert run_row(request, {"x": 3}, settings, node="work")["nodes"]["work"]["output"] == 6
    with pytest.raises(GenaiopsError, match="Did you mean 'work'") as caught:
        run_row(request, {"x": 3}, settings, node="wrk")
    assert (caught.value.kind, caught.value.exit_code) == ("SingleNodeValidationError", 2)


def test_a_row_whose_process_dies_says_so(make_flow: FlowMaker, settings: Settings) -> None:
    flow = make_flow("import os\n@tool\ndef work(x: int):\n    os.write(2, b'so long')\n    os._exit(7)\n")

    with pytest.raises(HostError, match=r"exit code 7.*(?s:.*)so long"):
        run_row(FlowRequest(flow=flow), {"x": 3}, settings)


def test_a_row_has_its_time(make_flow: FlowMaker, settings: Settings) -> None:
    flow = make_flow("import time\n@tool\ndef work(x: int):\n    time.sleep(30)\n")

    outcome = run_row(FlowRequest(flow=flow), {"x": 3}, settings, timeout_s=0.3)

    assert outcome["error"]["kind"] == "LineExecutionTimeoutError"


def test_two_flows_with_modules_of_one_name_do_not_meet(make_flow: FlowMaker, settings: Settings) -> None:
    code = "from helper import NAME\n@tool\ndef work(x: int) -> str:\n    return NAME\n"
    flows = [make_flow(code, name=name, helper=f"NAME = {name!r}\n") for name in ("one", "two")]

    assert [run_row(FlowRequest(flow=flow), {"x": 1}, settings)["outputs"]["y"] for flow in flows] == ["one", "two"]


def test_a_function_is_a_flow(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    monkeypatch.chdir(tmp_path)

    outcome = run_row(FlowRequest(flow="mine:shout"), {"text": "hi"}, dataclasses.replace(settings))

    assert outcome["outputs"] == {"output": "HI"}
