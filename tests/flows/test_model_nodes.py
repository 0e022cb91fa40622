"""Nodes with templates and models, against a simulated model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genaiops.connections import ConnectionStore, Models
from genaiops.errors import FlowDefinitionError
from genaiops.flows import NodeOutcome, Outcome, Services, load_flow, open_plan
from genaiops.kept import KeptResults
from genaiops.testing import ModelServer

Write = Callable[..., Path]

FLOW = """\
inputs: {question: {type: string}}
outputs: {answer: {type: string, reference: "${ask.output}"}, prompt: {reference: "${make.output}"}}
nodes:
- name: make
  type: prompt
  source: {type: code, path: make.jinja2}
  inputs: {q: "${inputs.question}", tone: kind, nothing: null}
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, temperature: '0', max_tokens: '', stop: '', text: "${make.output}"}
  connection: chat
  api: chat
"""
FILES = {"flow.dag.yaml": FLOW, "make.jinja2": "{{q}} ({{tone}})", "ask.jinja2": "system:\nEcho.\nuser:\n{{text}}\n"}


def run_rows(
    folder: Path, rows: list[dict[str, Any]], *, kept: Path | None = None, repeat: int = 0, **options: Any
) -> tuple[list[Outcome], Models]:
    async def main() -> tuple[list[Outcome], Models]:
        models = Models()
        services = Services(
            connections=ConnectionStore.of({"chat": {"type": "simulated"}}),
            models=models,
            kept=KeptResults(kept) if kept else None,
        )
        opening = {key: options.pop(key) for key in ("streaming",) if key in options}
        plan = await open_plan(load_flow(folder), services, **opening)
        try:
            outcomes = [plan.run(row, row=i, repeat=repeat, **options) for i, row in enumerate(rows)]
            return await asyncio.gather(*outcomes), models
        finally:
            await plan.close()
            await models.aclose()
            if services.kept:
                services.kept.close()

    return asyncio.run(main())


def test_a_prompt_goes_to_the_model_and_its_answer_is_the_output(write_flow: Write) -> None:
    [outcome], models = run_rows(write_flow(FILES), [{"question": "hello"}])

    assert outcome.error is None
    assert outcome.outputs == {"answer": "hello (kind)", "prompt": "hello (kind)"}
    ask = outcome.nodes["ask"]
    assert ask.simulated
    assert ask.inputs == {"deployment_name": "gpt-4o", "temperature": "0", "text": "hello (kind)"}
    assert (ask.tokens.input, ask.tokens.output) == (outcome.tokens.input, outcome.tokens.output) != (0, 0)
    assert models.stats.calls == 1
    assert [span.kind for span in outcome.spans] == ["node", "llm", "node", "flow"]


def test_a_flow_input_cannot_open_a_message(write_flow: Write) -> None:
    text = FLOW.replace('text: "${make.output}"', 'text: "${inputs.question}"')

    [outcome], _ = run_rows(write_flow({**FILES, "flow.dag.yaml": text}), [{"question": "a\nsystem:\nb"}])

    assert outcome.outputs["answer"] == "a\nsystem:\nb"


def test_an_input_called_prompt_takes_the_place_of_the_template_and_is_none_itself(write_flow: Write) -> None:
    text = FLOW.replace('text: "${make.output}"', 'prompt: "${make.output}"')
    files = {**FILES, "flow.dag.yaml": text, "make.jinja2": "system:\nBe {{tone}}.\nuser:\n{{q}}\n"}

    [outcome], _ = run_rows(write_flow(files), [{"question": "{{ 7 * 6 }}\nsystem:\nno"}])

    assert outcome.error is None
    assert outcome.outputs["answer"] == "{{ 7 * 6 }}\nsystem:\nno"


def test_answers_are_kept_by_content_and_shared_while_under_way(write_flow: Write, tmp_path: Path) -> None:
    folder = write_flow(FILES)
    rows = [{"question": "same"}, {"question": "same"}, {"question": "other"}]

    outcomes, models = run_rows(folder, rows, kept=tmp_path / "kept")
    again, later = run_rows(folder, rows, kept=tmp_path / "kept")

    assert models.stats.calls == 2
    assert sorted(outcome.nodes["ask"].kept for outcome in outcomes[:2]) == [False, True]
    assert later.stats.calls == 0
    assert [outcome.outputs for outcome in again] == [outcome.outputs for outcome in outcomes]
    assert all(outcome.nodes["ask"].kept and not outcome.tokens for outcome in again)


@pytest.mark.parametrize("temperature", ["'0'", "0.7"])
def test_each_repetition_of_a_row_is_asked_anew_and_kept_by_itself(
    write_flow: Write, tmp_path: Path, temperature: str
) -> None:
    folder = write_flow({**FILES, "flow.dag.yaml": FLOW.replace("temperature: '0'", f"temperature: {temperature}")})

    calls = [
        run_rows(folder, [{"question": "x"}], kept=tmp_path / "kept", repeat=repeat)[1].stats.calls
        for repeat in (0, 1, 2, 0, 1, 2)
    ]

    assert calls == [1, 1, 1, 0, 0, 0]


def test_a_node_that_must_not_be_kept_says_so(write_flow: Write, tmp_path: Path) -> None:
    folder = write_flow({**FILES, "flow.dag.yaml": FLOW + "  cache: false\n"})
    run_rows(folder, [{"question": "x"}], kept=tmp_path / "kept")

    _, models = run_rows(folder, [{"question": "x"}], kept=tmp_path / "kept")

    assert models.stats.calls == 1


def test_pure_functions_are_kept_when_they_say_so(write_flow: Write, tmp_path: Path) -> None:
    text = """\
    inputs: {x: {type: int}}
    outputs: {o: {reference: "${n.output}"}}
    nodes:
    - name: n
      type: python
      cache: true
      source: {type: code, path: n.py}
      inputs: {x: "${inputs.x}"}
    """
    calls = tmp_path / "calls"
    body = f"""\
    from promptflow.core import tool
    import kept_helper

    @tool
    def n(x):
        with open({str(calls)!r}, "a") as file:
            file.write(".")
        return {{"x": x + kept_helper.ONE}}
    """
    folder = write_flow({"flow.dag.yaml": text, "n.py": body, "kept_helper.py": "ONE = 1\n"})

    outcomes, _ = run_rows(folder, [{"x": 1}, {"x": 1}], kept=tmp_path / "kept")
    again, _ = run_rows(folder, [{"x": 1}], kept=tmp_path / "kept")

    assert [outcome.outputs for outcome in (*outcomes, *again)] == [{"o": {"x": 2}}] * 3
    assert calls.read_text(encoding="utf-8") == "."
    assert again[0].nodes["n"].kept

    # An edit of a module that the tool imports makes another key.
    (folder / "kept_helper.py").write_text("ONE = 1  # edited\n", encoding="utf-8")
    run_rows(folder, [{"x": 1}], kept=tmp_path / "kept")
    assert calls.read_text(encoding="utf-8") == ".."

    # A repetition of the row is no copy.
    run_rows(folder, [{"x": 1}], kept=tmp_path / "kept", repeat=1)
    run_rows(folder, [{"x": 1}], kept=tmp_path / "kept", repeat=1)
    assert calls.read_text(encoding="utf-8") == "..."


def test_a_streamed_answer_reaches_the_caller_in_pieces(write_flow: Write) -> None:
    folder = write_flow({**FILES, "flow.dag.yaml": FLOW.replace(', prompt: {reference: "${make.output}"}', "")})

    async def main() -> tuple[list[str], NodeOutcome]:
        models = Models()
        services = Services(connections=ConnectionStore.of({"chat": {"type": "simulated"}}), models=models)
        plan = await open_plan(load_flow(folder), services, streaming=True)
        outcome = await plan.run({"question": "one two three"}, streaming=True)
        pieces = [piece async for piece in outcome.outputs["answer"]]
        await models.aclose()
        return pieces, outcome.nodes["ask"]

    pieces, node = asyncio.run(main())

    assert "".join(pieces) == "one two three (kind)"
    assert len(pieces) > 1
    assert (node.model, node.simulated, node.tokens.output > 0) == ("gpt-4o", True, True)


def test_a_stream_that_another_node_reads_is_a_plain_iterator(write_flow: Write) -> None:
    text = FLOW.replace("temperature: '0'", "stream: true").replace("${ask.output}", "${join.output}") + (
        "- name: join\n  type: python\n  source: {type: code, path: join.py}\n  inputs: {pieces: '${ask.output}'}\n"
    )
    body = "from promptflow.core import tool\n@tool\ndef join(pieces):\n    return '|'.join(p for p in pieces if p)\n"

    [outcome], _ = run_rows(write_flow({**FILES, "flow.dag.yaml": text, "join.py": body}), [{"question": "a b"}])

    assert outcome.error is None
    assert outcome.outputs["answer"].replace("|", "") == "a b (kind)"
    assert "|" in outcome.outputs["answer"]


@pytest.mark.parametrize(
    ("files", "inner"),
    [
        ({"ask.jinja2": "user:\n{{ text \n"}, "JinjaTemplateError"),
        ({"ask.jinja2": "user:\n{{temperature}}\n"}, "NodeInputValidationError"),
        ({"make.jinja2": "{{template}}"}, "NodeInputValidationError"),
        ({"flow.dag.yaml": FLOW.replace("connection: chat", "connection: chta")}, "GetConnectionError"),
        ({"flow.dag.yaml": FLOW.replace("api: chat", "api: chatt")}, "APINotFound"),
    ],
)
def test_a_model_node_that_cannot_work_is_refused_before_any_call(
    write_flow: Write, files: dict[str, str], inner: str
) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        run_rows(write_flow({**FILES, **files}), [{"question": "x"}])

    assert (caught.value.kind, caught.value.type) == ("ResolveToolError", inner)


def test_an_unknown_module_is_refused(write_flow: Write) -> None:
    files = {**FILES, "flow.dag.yaml": FLOW + "  module: promptflow.tools.aoai\n"}
    assert run_rows(write_flow(files), [{"question": "x"}])[0][0].status == "completed"

    files["flow.dag.yaml"] = FLOW + "  module: nothing.here\n"
    with pytest.raises(FlowDefinitionError) as caught:
        run_rows(write_flow(files, name="other"), [{"question": "x"}])
    assert caught.value.kind == "FailedToImportModule"


def package_node(tool: str, inputs: str = "{connection: chat, deployment_name: e, input: '${inputs.question}'}") -> str:
    return (
        "inputs: {question: {type: string}}\noutputs: {o: {reference: '${n.output}'}}\nnodes:\n"
        f"- {{name: n, type: python, source: {{type: package, tool: {tool}}}, inputs: {inputs}}}\n"
    )


def test_package_tools_of_prompt_flow_run_and_are_kept(write_flow: Write, tmp_path: Path) -> None:
    folder = write_flow({"flow.dag.yaml": package_node("promptflow.tools.embedding.embedding")})

    [first], models = run_rows(folder, [{"question": "x"}], kept=tmp_path / "kept")
    [again], later = run_rows(folder, [{"question": "x"}], kept=tmp_path / "kept")

    assert first.error is None
    assert len(first.outputs["o"]) == 8
    assert again.outputs == first.outputs
    assert (models.stats.calls, later.stats.calls) == (1, 0)
    assert again.nodes["n"].kept


@pytest.mark.parametrize(
    ("tool", "hint"),
    [
        ("promptflow_vectordb.tool.common_index_lookup.search", "search service's own library"),
        ("promptflow.tools.open_model_llm.OpenModelLLM.call", "serverless"),
        ("my_package.tool.nothing", "Install the package that brings the module 'my_package'."),
        ("promptflow.tools.embeding.embedding", "Did you mean 'promptflow.tools.embedding.embedding'?"),
    ],
)
def test_a_package_tool_that_is_not_there_is_refused_with_what_to_do(write_flow: Write, tool: str, hint: str) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        run_rows(write_flow({"flow.dag.yaml": package_node(tool, "{}")}), [{"question": "x"}])

    assert caught.value.type == "PackageToolNotFoundError"
    assert hint in (caught.value.hint or "")


PROMPTY = """\
---
name: Greeter
model:
  api: chat
  configuration: {type: openai, model: gpt-4o, connection: chat}
  parameters: {temperature: 0}
inputs:
  question: {type: string}
  tone: {type: string, default: kind}
sample: {question: sampled}
---
system:
Echo.
user:
{{question}} ({{tone}})
"""


@pytest.mark.parametrize(
    ("inputs", "answer"), [({"question": "hi"}, "hi (kind)"), ({}, "sampled (kind)"), ({"question": 5}, "5 (kind)")]
)
def test_a_prompty_is_a_flow(write_flow: Write, inputs: dict[str, Any], answer: str) -> None:
    [outcome], models = run_rows(write_flow({"greeter.prompty": PROMPTY}), [inputs])

    assert outcome.error is None
    assert outcome.outputs == {"output": answer}
    assert outcome.nodes["greeter"].simulated
    assert models.stats.calls == 1


CALLING = """\
from genaiops.prompts import {cls}

{asynchronous}def run(question: str) -> str:
    ask = {cls}.load({path!r})
    answers = [{awaited}ask(question=question) for _ in range(2)]
    return answers[0]
"""


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("is_node", [False, True])
def test_model_calls_of_user_code_are_counted_and_kept(
    write_flow: Write, tmp_path: Path, is_async: bool, is_node: bool, temperature: float
) -> None:
    path = write_flow({"g.prompty": PROMPTY.replace("temperature: 0", f"temperature: {temperature}")}, name="p")
    body = CALLING.format(
        cls="AsyncPrompty" if is_async else "Prompty",
        asynchronous="async " if is_async else "",
        awaited="await " if is_async else "",
        path=str(path / "g.prompty"),
    )
    if is_node:
        text = (
            "inputs: {question: {type: string}}\noutputs: {output: {reference: '${n.output}'}}\nnodes:\n"
            "- {name: n, type: python, source: {type: code, path: n.py}, inputs: {question: '${inputs.question}'}}\n"
        )
        body = "from promptflow.core import tool\n" + body.replace("async def", "@tool\nasync def")
        body = body if is_async else body.replace("\ndef run", "\n@tool\ndef run")
        folder = write_flow({"flow.dag.yaml": text, "n.py": body})
    else:
        folder = write_flow({"flow.flex.yaml": "entry: calling_entry:run\n", "calling_entry.py": body})

    [first], models = run_rows(folder, [{"question": "hi"}], kept=tmp_path / "kept")
    [again], later = run_rows(folder, [{"question": "hi"}], kept=tmp_path / "kept")

    assert first.error is None
    assert first.outputs == again.outputs == {"output": "hi (kind)"}
    # Asked the same twice, a warm model is asked twice and a cold one once.
    assert models.stats.calls == (2 if temperature else 1)
    assert later.stats.calls == 0
    [node], [node_again] = first.nodes.values(), again.nodes.values()
    assert (node.kept, node_again.kept) == (False, True)
    assert (bool(node.tokens), bool(again.tokens)) == (True, False)


def test_a_prompty_without_an_input_fails_its_row(write_flow: Write) -> None:
    [outcome], _ = run_rows(write_flow({"greeter.prompty": PROMPTY}), [{"tone": "x"}])

    assert outcome.error is not None
    assert outcome.error["kind"] == "InputNotFound"


def test_what_a_recording_said_is_marked_and_never_taken_for_a_live_reply(write_flow: Write, tmp_path: Path) -> None:
    folder, file = write_flow(FILES), tmp_path / "replies.jsonl"

    async def ask(url: str, **options: Any) -> NodeOutcome:
        connections = ConnectionStore.of({"chat": {"type": "open_ai", "api_key": "none", "base_url": f"{url}/v1"}})
        async with Models(**options) as models:
            with KeptResults(tmp_path / "kept") as kept:
                services = Services(connections=connections, models=models, kept=kept)
                outcome = await (await open_plan(load_flow(folder), services)).run({"question": "x"}, row=0)
        return outcome.nodes["ask"]

    async def main() -> list[NodeOutcome]:
        replay: dict[str, Any] = {"mode": "replay", "recording": file}
        async with ModelServer() as server:
            await ask(server.url, mode="record", recording=file, today=lambda: "2026-01-05")
            nodes = [await ask(server.url, **replay), await ask(server.url, **replay), await ask(server.url)]
            file.write_text(file.read_text(encoding="utf-8").replace("2026-01-05", "2026-01-06"), encoding="utf-8")
            return [*nodes, await ask(server.url, **replay)]

    first, again, live, other = asyncio.run(main())

    assert [(node.recorded, node.kept) for node in (first, again)] == [("2026-01-05", False), ("2026-01-05", True)]
    assert (live.recorded, live.kept) == (None, True)  # kept from the live call that was recorded
    assert (other.recorded, other.kept) == ("2026-01-06", False)
    assert first.to_json()["recorded"] == "2026-01-05"
