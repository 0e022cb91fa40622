"""`PFClient` over this project's runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops.compat import PFClient, load_run
from genaiops.compat._exceptions import ConnectionNotFoundError, InvalidRunStatusError, RunNotFoundError
from genaiops.compat._runs import Run
from genaiops.connections import CustomConnection, OpenAIConnection
from genaiops.errors import InputError
from genaiops.flows import UserErrorException, ValidationException

FLOW = """
inputs:
  n: {type: int}
outputs:
  half: {type: double, reference: "${halve.output}"}
nodes:
- name: halve
  type: python
  source: {type: code, path: halve.py}
  inputs: {n: "${inputs.n}"}
- name: total
  type: python
  aggregation: true
  source: {type: code, path: total.py}
  inputs: {halves: "${halve.output}"}
"""
HALVE = """
from promptflow.core import tool
@tool
def halve(n: int) -> float:
    print("halving", n)
    if n == 3:
        raise ValueError("three")
    return n / 2
"""
TOTAL = """
from promptflow import tool, log_metric
@tool
def total(halves: list):
    log_metric("total", sum(halves))
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / ".genaiops").mkdir()
    (tmp_path / "flow").mkdir()
    for name, text in {"flow.dag.yaml": FLOW, "halve.py": HALVE, "total.py": TOTAL}.items():
        (tmp_path / "flow" / name).write_text(text, encoding="utf-8")
    (tmp_path / "data.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in (1, 2, 3, 4)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_goes_to_its_end_and_is_found_again(project: Path) -> None:
    pf = PFClient()

    run = pf.run(flow="flow", data="data.jsonl", column_mapping={"n": "${data.n}"}, name="first", tags={"a": "b"})

    assert (run.name, run.status, run.tags) == ("first", "Completed", {"a": "b"})
    assert pf.get_metrics("first") == {"total": 3.5}
    assert [found.name for found in pf.runs.list()] == ["first"]
    form = pf.runs.get("first")._to_dict()
    assert form["error"]["message"].startswith("Failed to run 1/4 lines. First error message is: Execution failure in")
    outputs = Path(form["output"]) / "output.jsonl"
    assert [json.loads(line)["line_number"] for line in outputs.read_text().splitlines()] == [0, 1, 3]


def test_a_run_in_which_every_row_fails_has_failed(project: Path) -> None:
    (project / "bad.jsonl").write_text('{"n": 3}\n{"n": 3}\n', encoding="utf-8")
    pf = PFClient()

    run = pf.run(flow="flow", data="bad.jsonl", name="bad")

    assert run.status == "Failed"
    with pytest.raises(InvalidRunStatusError, match="three"):
        pf.stream(run)


def test_details_are_a_table_with_failed_rows(project: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pf = PFClient()
    pf.run(flow="flow", data="data.jsonl", name="first")

    details = pf.get_details("first")

    assert isinstance(details, pandas.DataFrame)
    assert list(details["outputs.half"]) == [0.5, 1.0, "(Failed)", 2.0]


def test_an_evaluation_reads_the_outputs_of_a_run(project: Path) -> None:
    pf = PFClient()
    base = pf.run(flow="flow", data="data.jsonl", name="base")

    judged = pf.run(
        flow="flow", run=base, data="data.jsonl", column_mapping={"n": "${run.outputs.half}"}, name="judged"
    )

    assert judged.status == "Completed"
    assert judged.record is not None
    assert [outcome["row"] for outcome in judged.record.outcomes()] == [0, 1, 3]


def test_a_run_file_is_read_and_started(project: Path) -> None:
    (project / "run.yaml").write_text(
        "$schema: x\nflow: flow\ndata: data.jsonl\ncolumn_mapping: {n: '${data.n}'}\nname: filed\n"
        "display_name: 'trial ${variant_id}'\nruntime: cloud\n",
        encoding="utf-8",
    )
    run = PFClient().runs.create_or_update(load_run(project / "run.yaml"))

    assert (run.name, run.status, run.display_name) == ("filed", "Completed", "trial variant_0")


def test_what_a_run_left_is_run_as_a_new_run(project: Path) -> None:
    pf = PFClient()
    pf.run(flow="flow", data="data.jsonl", name="first")
    halve = project / "flow" / "halve.py"
    halve.write_text(halve.read_text().replace("n == 3", "False"), encoding="utf-8")

    run = pf.run(resume_from="first", name="second")

    assert run.record is not None
    assert (run.record.rows.completed, run.record.rows.failed) == (4, 0)
    assert pf.get_metrics(run) == {"total": 5.0}
    assert pf.get_metrics("first") == {"total": 3.5}


def test_runs_are_labelled_archived_and_deleted(project: Path) -> None:
    pf = PFClient()
    pf.run(flow="flow", data="data.jsonl", name="first")

    assert pf.runs.update("first", display_name="one", tags={"x": "y"}).display_name == "one"
    pf.runs.archive("first")
    assert pf.runs.list() == []
    assert [run.name for run in pf.runs.list(list_view_type="ArchivedOnly")] == ["first"]
    assert pf.runs.restore("first").display_name == "one"
    pf.runs.delete("first")
    with pytest.raises(RunNotFoundError):
        pf.runs.get("first")


def test_mistakes_are_found_before_anything_runs(project: Path) -> None:
    with pytest.raises(InputError):
        PFClient().run(flow="flow", data="data.jsonl", column_mapping={"n": "${data.m}"})
    with pytest.raises(InputError, match="needs a flow"):
        PFClient().run(data="data.jsonl")


def test_one_row_is_tested_and_its_files_written(project: Path) -> None:
    pf = PFClient()

    assert pf.test("flow", inputs={"n": "4"}) == {"half": 2.0}
    detail = json.loads((project / "flow" / ".promptflow" / "flow.detail.json").read_text())
    assert [run["node"] for run in detail["node_runs"]] == ["halve", "total"]
    assert detail["flow_runs"][0]["status"] == "Completed"
    assert detail["flow_runs"][0]["metrics"] == {"total": 2.0}
    assert pf.test("flow", node="halve", inputs={"n": 8}) == 4.0
    with pytest.raises(UserErrorException, match="ValueError: Execution failure in 'halve'"):
        pf.test("flow", inputs={"n": 3})
    with pytest.raises(InputError, match="'n'"):
        pf.test("flow")


def test_a_class_and_an_object_of_it_are_flows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "greeting_bot.py").write_text(
        "class Bot:\n"
        "    def __init__(self, greeting: str = 'hi'):\n        self.greeting = greeting\n"
        "    def __call__(self, name: str) -> str:\n        return f'{self.greeting} {name}'\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(project))
    import greeting_bot  # type: ignore[import-not-found]

    pf = PFClient()
    (project / "names.jsonl").write_text('{"name": "you"}\n', encoding="utf-8")

    assert pf.test(greeting_bot.Bot, inputs={"name": "you"}, init={"greeting": "hey"}) == "hey you"
    run = pf.run(flow=greeting_bot.Bot("hello"), data="names.jsonl")
    assert run.record is not None
    assert [outcome["outputs"] for outcome in run.record.outcomes()] == [{"output": "hello you"}]


def test_a_key_in_init_never_reaches_a_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "keyed_bot.py").write_text(
        "from promptflow.core import OpenAIModelConfiguration\n"
        "class Bot:\n"
        "    def __init__(self, model_config: OpenAIModelConfiguration):\n        self.config = model_config\n"
        "    def __call__(self, n: int) -> str:\n        return str(len(self.config.api_key))\n",
        encoding="utf-8",
    )
    from genaiops.prompts import OpenAIModelConfiguration

    run = PFClient().run(
        flow="keyed_bot:Bot",
        data="data.jsonl",
        init={"model_config": OpenAIModelConfiguration(model="m", api_key="planted-secret-4711")},
    )

    assert run.record is not None
    assert [outcome["outputs"] for outcome in run.record.outcomes()] == [{"output": "19"}] * 4
    written = [path for path in run.record.path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"planted-secret-4711" in path.read_bytes()]


def test_flows_are_validated(project: Path) -> None:
    pf = PFClient()
    assert pf.flows.validate("flow")._to_dict() == {"result": "Succeeded"}

    (project / "flow" / "halve.py").unlink()
    assert pf.flows.validate("flow")._to_dict()["result"] == "Failed"
    with pytest.raises(ValidationException, match=r"halve\.py"):
        pf.flows.validate("flow", raise_error=True)


def test_connections_are_kept_and_found(project: Path) -> None:
    pf = PFClient()

    pf.connections.create_or_update(OpenAIConnection(api_key="k", base_url="http://x", name="mine"))
    pf.connections.create_or_update(CustomConnection(secrets={"s": "t"}, configs={"u": "v"}, name="own"))

    assert pf.connections.get("mine").api_key == "k"
    assert dict(pf.connections.get("own")) == {"u": "v", "s": "t"}
    assert [connection.name for connection in pf.connections.list()] == ["mine", "own"]
    pf.connections.delete("own")
    with pytest.raises(ConnectionNotFoundError):
        pf.connections.get("own")


def test_a_page_shows_runs_and_escapes_what_is_in_them(project: Path) -> None:
    pf = PFClient()
    (project / "text.jsonl").write_text('{"n": 1, "t": "<script>"}\n', encoding="utf-8")
    pf.run(flow="flow", data="text.jsonl", column_mapping={"n": "${data.n}", "t": "${data.t}"}, name="r")

    page = pf.visualize(["r"], html_path=project / "page.html").read_text()

    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_a_flex_flow_is_saved_with_its_signature(project: Path) -> None:
    (project / "app.py").write_text("def ask(question: str, k: float = 0.5) -> str:\n    return question\n", "utf-8")

    file = PFClient().flows.save("app:ask", code=project)

    assert file.read_text() == (
        "inputs:\n  question:\n    type: string\n  k:\n    type: double\n    default: 0.5\nentry: app:ask\n"
    )


def test_a_run_that_was_only_described_has_not_started() -> None:
    assert Run(flow="x").status == "NotStarted"


PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)
IMAGE_FLOW = """
inputs:
  picture: {type: image}
outputs:
  same: {type: image, reference: "${look.output}"}
nodes:
- name: look
  type: python
  source: {type: code, path: look.py}
  inputs: {picture: "${inputs.picture}"}
"""
LOOK = """
from promptflow.contracts.multimedia import Image
from promptflow.core import tool
@tool
def look(picture: Image) -> list:
    assert isinstance(picture, Image)
    return [picture, {"data:image/png;path": "/etc/passwd"}]
"""


def test_images_of_a_test_become_files_and_paths_that_a_flow_names_are_not_opened(project: Path) -> None:
    folder = project / "looking"
    folder.mkdir()
    for name, text in {"flow.dag.yaml": IMAGE_FLOW, "look.py": LOOK}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "dot.png").write_bytes(PNG)

    [picture, other] = PFClient().test(folder, inputs={"picture": "dot.png"})["same"]

    [path] = picture.values()
    assert list(picture) == ["data:image/png;path"]
    assert Path(path).parent == folder / ".promptflow" / "output"
    assert Path(path).read_bytes() == PNG
    assert other == {"data:image/png;path": "/etc/passwd"}
