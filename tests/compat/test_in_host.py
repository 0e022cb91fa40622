"""The import layer where it belongs: in a flow host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops.runs import FlowRequest, RunSpec, run_batch, run_row
from genaiops.settings import Settings, load_settings
from genaiops.testing._model_server import ModelServer


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    (tmp_path / ".genaiops").mkdir()
    monkeypatch.chdir(tmp_path)
    return load_settings(cwd=tmp_path)


def write_flow(folder: Path, tool: str) -> Path:
    folder.mkdir()
    (folder / "flow.dag.yaml").write_text(
        """
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${work.output}"}
nodes:
- name: work
  type: python
  source: {type: code, path: work.py}
  inputs: {text: "${inputs.text}"}
""",
        encoding="utf-8",
    )
    (folder / "work.py").write_text(tool, encoding="utf-8")
    return folder


OPENAI = """
from openai import OpenAI
from promptflow.core import tool
from promptflow.tracing import start_trace

start_trace(collection="mine")

@tool
def work(text: str) -> str:
    with OpenAI(api_key="k", base_url="{url}/v1") as client:
        reply = client.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": text}}])
    return reply.choices[0].message.content
"""


def test_tokens_of_the_openai_sdk_count_for_the_row(
    tmp_path: Path, settings: Settings, model_server: ModelServer
) -> None:
    flow = write_flow(tmp_path / "sdk", OPENAI.format(url=model_server.url))

    outcome = run_row(FlowRequest(flow=flow), {"text": "hi"}, settings)

    assert outcome["outputs"] == {"answer": "Paris"}
    assert outcome["tokens"]["input"] > 0
    assert outcome["nodes"]["work"]["tokens"] == {key: outcome["tokens"][key] for key in ("input", "output")}


INNER = """
import mark
from promptflow.core import tool

@tool
def work(text: str) -> str:
    return f"{mark.MARK}({text})"
"""
OUTER = """
import mark
from pathlib import Path
from promptflow.client import load_flow
from promptflow.core import tool

@tool
def work(text: str) -> str:
    inner = load_flow(Path(__file__).parent.parent / "inner")
    return f"{mark.MARK}({inner(text=text)['answer']})"
"""


def test_flows_called_from_nodes_of_many_rows_stay_apart(tmp_path: Path, settings: Settings) -> None:
    """Both flows own a module `mark`; prompt flow's issue 3553: the working directory of one reached the other."""
    for name, code in (("inner", INNER), ("outer", OUTER)):
        folder = write_flow(tmp_path / name, code)
        (folder / "mark.py").write_text(f"MARK = {name!r}\n", encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": str(n)}) + "\n" for n in range(40)), encoding="utf-8")

    record = run_batch(RunSpec(flow=tmp_path / "outer", data=rows, concurrency=8), settings)

    assert record.rows.completed == 40
    assert [outcome["outputs"]["answer"] for outcome in record.outcomes()] == [f"outer(inner({n}))" for n in range(40)]


def test_an_import_that_is_not_served_names_what_to_use(tmp_path: Path, settings: Settings) -> None:
    from genaiops.errors import FlowDefinitionError

    code = "from promptflow.azure import PFClient\nfrom promptflow.core import tool\n@tool\ndef work(text: str): ...\n"

    with pytest.raises(FlowDefinitionError, match="genaiops run"):
        run_row(FlowRequest(flow=write_flow(tmp_path / "cloud", code)), {"text": "hi"}, settings)
