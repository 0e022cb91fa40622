"""Flows as functions, also inside of other flows (do-better.md, prompt flow issue 3553)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genaiops.compat._flow_function import AsyncFlow, FlowContext, load_flow
from genaiops.compat._sub_flows import close_called_flows
from genaiops.errors import FlowDefinitionError
from genaiops.flows import UserErrorException
from genaiops.prompts import set_default_services


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / ".genaiops").mkdir()
    monkeypatch.chdir(tmp_path)
    set_default_services(None)
    yield
    close_called_flows()
    set_default_services(None)


def write_flow(folder: Path, tool: str, *, inputs: str = "text: {type: string}", name: str = "text") -> Path:
    folder.mkdir(parents=True)
    (folder / "flow.dag.yaml").write_text(
        f"""
inputs:
  {inputs}
outputs:
  answer: {{type: string, reference: "${{work.output}}"}}
nodes:
- name: work
  type: python
  source: {{type: code, path: work.py}}
  inputs: {{{name}: "${{inputs.{name}}}"}}
""",
        encoding="utf-8",
    )
    (folder / "work.py").write_text(f"from promptflow.core import tool\n{tool}", encoding="utf-8")
    return folder


SHOUT = "@tool\ndef work(text: str) -> str:\n    return text.upper()\n"


def test_a_flow_is_called_with_its_inputs(tmp_path: Path) -> None:
    flow = load_flow(write_flow(tmp_path / "shout", SHOUT))

    assert flow(text="hi") == {"answer": "HI"}
    assert flow.name == "shout"
    assert flow.inputs == {"text": {"type": "string"}}


def test_a_flow_is_awaited(tmp_path: Path) -> None:
    async def call() -> list[dict[str, str]]:
        flow = AsyncFlow.load(write_flow(tmp_path / "shout", SHOUT))
        return list(await asyncio.gather(*(flow(text=letter) for letter in "abc")))

    assert asyncio.run(call()) == [{"answer": "A"}, {"answer": "B"}, {"answer": "C"}]


def test_two_flows_with_equal_module_names_called_at_once_do_not_mix(tmp_path: Path) -> None:
    code = (
        "import utils, pathlib\n@tool\ndef work(text: str) -> str:\n"
        "    return utils.NAME + pathlib.Path('here').read_text() + text\n"
    )
    flows = {}
    for name in ("one", "two"):
        folder = write_flow(tmp_path / name, code)
        (folder / "utils.py").write_text(f"NAME = '{name}'\n", encoding="utf-8")
        (folder / "here").write_text(f"-{name}-", encoding="utf-8")
        flows[name] = load_flow(folder)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: flows[("one", "two")[i % 2]](text=str(i))["answer"], range(20)))

    assert answers == [f"{n}-{n}-{i}" for i in range(20) for n in [("one", "two")[i % 2]]]


def test_the_caller_keeps_its_working_directory(tmp_path: Path) -> None:
    load_flow(write_flow(tmp_path / "shout", SHOUT))(text="hi")

    assert Path.cwd() == tmp_path


def test_a_failing_row_raises_what_went_wrong(tmp_path: Path) -> None:
    flow = load_flow(write_flow(tmp_path / "bad", "@tool\ndef work(text: str):\n    raise ValueError('no ' + text)\n"))

    with pytest.raises(UserErrorException, match=r"Execution failure in 'work': \(ValueError\) no hi"):
        flow(text="hi")
    with pytest.raises(UserErrorException, match="text"):
        flow()


def test_the_context_changes_the_flow(tmp_path: Path) -> None:
    code = (
        "import os\n@tool\ndef work(text: str, mark: str = '!') -> str:\n"
        "    return text + mark + os.environ.get('X', '')\n"
    )
    flow = load_flow(write_flow(tmp_path / "marked", code))

    assert flow(text="a") == {"answer": "a!"}
    flow.context = FlowContext(overrides={"nodes.work.inputs.mark": "?"}, environment_variables={"X": "x"})
    assert flow(text="a") == {"answer": "a?x"}


def test_streaming_gives_iterators(tmp_path: Path) -> None:
    flow = load_flow(write_flow(tmp_path / "shout", SHOUT))
    flow.context = FlowContext(streaming=True)

    assert "".join(flow(text="hi")["answer"]) == "HI"


def test_connections_travel_with_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_API_KEY", "k1")
    monkeypatch.setenv("MINE_BASE_URL", "http://here")
    code = (
        "from promptflow.connections import OpenAIConnection\n"
        "@tool\ndef work(text: str, conn: OpenAIConnection) -> str:\n"
        "    assert isinstance(conn, OpenAIConnection)\n"
        "    return f'{conn.base_url} {conn.api_key} {text}'\n"
    )
    folder = write_flow(tmp_path / "conn", code)
    flow_file = folder / "flow.dag.yaml"
    flow_file.write_text(flow_file.read_text().replace('{text: "', '{conn: mine, text: "'), encoding="utf-8")
    from genaiops.connections import OpenAIConnection

    flow = load_flow(folder)
    assert flow(text="a") == {"answer": "http://here k1 a"}
    flow.context = FlowContext(connections={"work": {"conn": OpenAIConnection(api_key="k2", base_url="http://there")}})
    assert flow(text="a") == {"answer": "http://there k2 a"}


def test_what_is_no_flow_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(FlowDefinitionError):
        load_flow(tmp_path / "nowhere")
    with pytest.raises(FlowDefinitionError, match="path of a flow"):
        load_flow(print)
    with pytest.raises(UserErrorException, match="keyword"):
        load_flow(write_flow(tmp_path / "shout", SHOUT))("hi")


def test_an_object_that_cannot_travel_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="'text' of the flow 'shout' is a set"):
        load_flow(write_flow(tmp_path / "shout", SHOUT))(text={1})
