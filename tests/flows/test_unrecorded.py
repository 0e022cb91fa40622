"""A row that nobody records gives what the same row gives when everything is recorded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from genaiops.flows import Outcome, Services, load_flow, open_plan
from tests.flows.conftest import WriteFlow

GRAPH = {
    "flow.dag.yaml": """\
        inputs:
          text: {type: string}
          loud: {type: bool, default: false}
        outputs:
          said: {type: string, reference: "${join.output}"}
          words: {type: list, reference: "${split.output.words}"}
          letters: {type: string, reference: "${spell.output}"}
        nodes:
        - {name: split, type: python, source: {type: code, path: tools.py, tool: split},
           inputs: {text: "${inputs.text}"}}
        - {name: shout, type: python, source: {type: code, path: shout.py}, inputs: {words: "${split.output.words}"},
           activate: {when: "${inputs.loud}", is: true}}
        - {name: spell, type: python, source: {type: code, path: spell.py}, inputs: {words: "${split.output.words}"}}
        - {name: join, type: python, source: {type: code, path: join.py},
           inputs: {words: "${split.output.words}", loud: "${shout.output}"}}
        """,
    "tools.py": """\
        from promptflow.core import tool
        @tool
        def split(text):
            return {"words": text.split(), "pair": tuple(text.split()[:2])}
        """,
    "shout.py": """\
        from promptflow.core import tool
        @tool
        def shout(words):
            return [word.upper() for word in words]
        """,
    "spell.py": """\
        from promptflow.core import tool
        @tool
        def spell(words):
            yield from words[0]
        """,
    "join.py": """\
        from promptflow.core import tool
        @tool
        def join(words, loud):
            return "-".join(loud or [*words, "!"])
        """,
}
ASYNC_GRAPH = GRAPH | {
    "spell.py": """\
        import asyncio
        from promptflow.core import tool
        @tool
        async def spell(words):
            await asyncio.sleep(0)
            return words[0]
        """,
}
FUNCTION = {
    "flow.flex.yaml": "entry: entry:answer\n",
    "entry.py": """\
        def answer(text: str, loud: bool = False):
            first = text.split()[0]
            return {"said": first.upper() if loud else first, "length": len(text)}
        """,
}
ROWS = [
    {"text": "one two three"},
    {"text": "one", "loud": True},
    {"text": "one", "loud": "true"},
    {"text": "one", "loud": "perhaps"},
    {"text": ""},
    {"loud": True},
    {},
]


async def both(folder: Path, row: Mapping[str, Any]) -> tuple[Outcome, Outcome]:
    """The row as it is recorded, and as it is not."""
    plan = await open_plan(load_flow(folder), Services())
    try:
        recorded = await plan.run(row)
        if not plan.is_sync:
            return recorded, await plan.run(row, is_recorded=False)
        return recorded, plan.run_now(row, is_recorded=False)
    finally:
        await plan.close()


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("files", [GRAPH, ASYNC_GRAPH, FUNCTION], ids=["graph", "async", "function"])
def test_an_unrecorded_row_gives_the_same_answer(
    files: dict[str, str], row: dict[str, Any], write_flow: WriteFlow
) -> None:
    recorded, unrecorded = asyncio.run(both(write_flow(files), row))

    assert (unrecorded.status, unrecorded.outputs) == (recorded.status, recorded.outputs)
    for outcome in (recorded, unrecorded):
        if outcome.error is not None:
            outcome.error.pop("traceback", None)
    assert unrecorded.error == recorded.error


def test_an_unrecorded_row_counts_the_tokens_that_its_code_notes(write_flow: WriteFlow) -> None:
    folder = write_flow(
        {
            "flow.dag.yaml": """\
                inputs: {text: {type: string}}
                outputs: {said: {type: string, reference: "${ask.output}"}}
                nodes:
                - {name: ask, type: python, source: {type: code, path: ask.py}, inputs: {text: "${inputs.text}"}}
                """,
            "ask.py": """\
                from promptflow.core import tool
                from genaiops.tracing import TokenUsage, start_span
                @tool
                def ask(text):
                    with start_span("call", "llm") as span:
                        span.add_usage(TokenUsage(3, 4))
                    return text
                """,
        }
    )

    recorded, unrecorded = asyncio.run(both(folder, {"text": "one"}))

    assert unrecorded.tokens.total == recorded.tokens.total == 7


GARBAGE = """
import asyncio, gc, sys
from genaiops.compat import install_import_layer
from genaiops.flows import Services, load_flow, open_plan

install_import_layer("own")

async def main(folder, is_recorded):
    plan = await open_plan(load_flow(folder), Services())

    async def run_one():
        if plan.is_sync:
            plan.run_now({"text": "one two"}, is_recorded=is_recorded)
        else:
            await plan.run({"text": "one two"}, is_recorded=is_recorded)

    await run_one()  # what the first row imports leaves something
    gc.collect()
    gc.disable()
    for _ in range(20):
        await run_one()
    print(gc.collect())
    await plan.close()

asyncio.run(main(sys.argv[1], sys.argv[2] == "True"))
"""


@pytest.mark.parametrize("files", [GRAPH, ASYNC_GRAPH, FUNCTION], ids=["graph", "async", "function"])
@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_row_that_is_over_leaves_nothing_to_the_garbage_collector(
    is_recorded: bool, files: dict[str, str], write_flow: WriteFlow
) -> None:
    """A collection holds up every request of a server. In a process of its own: threads of other tests leave some."""
    command = [sys.executable, "-c", GARBAGE, str(write_flow(files)), str(is_recorded)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 20
