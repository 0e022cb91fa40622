"""Rows through graphs: order, bypass, failure, time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genaiops.flows import Outcome, load_flow, open_plan

Write = Callable[..., Path]
Run = Callable[..., Outcome]

HEAD = "from promptflow.core import tool\n"


def tool(body: str) -> str:
    return f"{HEAD}\n@tool\n{body}\n"


ECHO = tool("def run(value=None):\n    return value")


def node(name: str, inputs: str = "{}", extra: str = "", path: str = "echo.py") -> str:
    return f"- name: {name}\n  type: python\n  source: {{type: code, path: {path}}}\n  inputs: {inputs}\n{extra}"


def test_literals_are_converted_and_empty_ones_are_left_out(write_flow: Write, run: Run) -> None:
    folder = write_flow(
        {
            "flow.dag.yaml": "outputs: {o: {reference: '${n.output}'}}\nnodes:\n"
            + node(
                "n", "{count: '3', ratio: 2, flag: 'true', text: 4, any: '[1]', none: '', null_: null}", path="t.py"
            ),
            "t.py": tool(
                "def run(count: int, ratio: float, flag: bool, text: str, any, none='d', null_='e'):\n"
                "    return [count, ratio, flag, text, any, none, null_]"
            ),
        }
    )

    outcome = run(folder)

    assert outcome.outputs == {"o": [3, 2.0, True, "4", [1], "d", "e"]}
    assert outcome.nodes["n"].inputs == {"count": 3, "ratio": 2.0, "flag": True, "text": "4", "any": [1]}


def test_values_pass_between_nodes_by_identity(write_flow: Write, run: Run) -> None:
    folder = write_flow(
        {
            "flow.dag.yaml": "outputs: {same: {reference: '${b.output}'}, name: {reference: '${a.output.name}'}}\n"
            "nodes:\n" + node("a", path="a.py") + node("b", "{value: '${a.output}'}", path="b.py"),
            "a.py": HEAD + "class Thing:\n    name = 'n'\nthing = Thing()\n@tool\ndef run():\n    return thing\n",
            "b.py": tool("def run(value):\n    return type(value).__name__ + str(value is not None)"),
        }
    )

    outcome = run(folder)

    assert outcome.outputs == {"same": "ThingTrue", "name": "n"}
    assert outcome.nodes["a"].output.startswith("<__pf_main__.Thing object")


BYPASS = [  # activate, a, b, the node (format reference, C.3)
    (None, "ok", "bypassed", ["ran", "a", "d"]),
    (None, "bypassed", "ok", ["ran", None, "b"]),
    (None, "bypassed", "bypassed", None),
    ("met", "bypassed", "bypassed", ["ran", None, "d"]),
    ("not met", "ok", "ok", None),
    ("on bypassed", "ok", "ok", None),
]


@pytest.mark.parametrize(("activate", "a", "b", "expected"), BYPASS)
def test_a_node_is_bypassed_by_the_truth_table(
    write_flow: Write, run: Run, activate: str | None, a: str, b: str, expected: Any
) -> None:
    def state(how: str) -> str:
        return "" if how == "ok" else "  activate: {when: '${inputs.go}', is: never}\n"

    when = {
        None: "",
        "met": "  activate: {when: '${inputs.go}', is: 'yes'}\n",
        "not met": "  activate: {when: '${inputs.go}', is: 'no'}\n",
        "on bypassed": "  activate: {when: '${gone.output}', is: null}\n",
    }[activate]
    text = (
        "inputs: {go: {type: string}}\noutputs: {o: {reference: '${n.output}'}}\nnodes:\n"
        + node("gone", extra="  activate: {when: 1, is: 2}\n")
        + node("A", "{value: a}", state(a))
        + node("B", "{value: b}", state(b))
        + node("n", "{a: '${A.output}', b: '${B.output}'}", when, path="n.py")
    )
    folder = write_flow(
        {"flow.dag.yaml": text, "echo.py": ECHO, "n.py": tool("def run(a, b='d'):\n    return ['ran', a, b]")}
    )

    outcome = run(folder, {"go": "yes"})

    assert outcome.status == "completed"
    assert outcome.outputs == {"o": expected}
    assert outcome.nodes["n"].status == ("bypassed" if expected is None else "completed")


def test_nodes_without_references_are_never_bypassed_and_bypass_cascades(write_flow: Write, run: Run) -> None:
    text = (
        "inputs: {x: {type: int}}\nnodes:\n"
        + node("literal", "{value: 1}")
        + node("input", "{value: '${inputs.x}'}")
        + node("off", "{value: 1}", "  activate: {when: '${inputs.x}', is: '1'}\n")
        + node("next", "{value: '${off.output}'}")
        + node("last", "{value: '${next.output}'}")
    )

    outcome = run(write_flow({"flow.dag.yaml": text, "echo.py": ECHO}), {"x": 1})

    # `is: '1'` is text and x is a number: nothing is coerced.
    assert {name: item.status for name, item in outcome.nodes.items()} == {
        "literal": "completed", "input": "completed", "off": "bypassed", "next": "bypassed", "last": "bypassed",
    }  # fmt: skip


def test_an_output_of_the_flow_is_read_whatever_its_section_is_called(write_flow: Write, run: Run) -> None:
    folder = write_flow(
        {
            "flow.dag.yaml": "outputs: {a: {reference: '${b.outputs.x}'}, all: {reference: '${b.result}'}}\nnodes:\n"
            + node("b", path="b.py"),
            "b.py": tool("def run():\n    return {'x': 1}"),
        }
    )

    assert run(folder).outputs == {"a": 1, "all": {"x": 1}}


def test_true_equals_one_in_a_condition(write_flow: Write, run: Run) -> None:
    text = "inputs: {x: {type: bool}}\nnodes:\n" + node("n", extra="  activate: {when: '${inputs.x}', is: 1}\n")

    assert run(write_flow({"flow.dag.yaml": text, "echo.py": ECHO}), {"x": True}).nodes["n"].status == "completed"


def test_a_property_of_a_bypassed_node_fails_the_row(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${n.output.x}'}}\nnodes:\n" + node("n", extra="  activate: {when: 1, is: 2}\n")

    outcome = run(write_flow({"flow.dag.yaml": text, "echo.py": ECHO}))

    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["kind"] == "InvalidReferenceProperty"


@pytest.mark.parametrize(("go", "expected"), [("stop", "stop"), ("run", "ran")])
def test_a_skipped_node_gives_its_return_value_to_those_behind_it(
    write_flow: Write, run: Run, go: str, expected: str
) -> None:
    text = (
        "inputs: {go: {type: string}}\noutputs: {o: {reference: '${after.output}'}}\nnodes:\n"
        + node("n", "{value: ran}", "  skip: {when: '${flow.go}', is: stop, return: '${flow.go}'}\n")
        + node("after", "{value: '${n.output}'}")
    )

    outcome = run(write_flow({"flow.dag.yaml": text, "echo.py": ECHO}), {"go": go})

    assert outcome.outputs == {"o": expected}
    assert outcome.nodes["n"].status == ("bypassed" if go == "stop" else "completed")


# Failure


def test_a_failing_node_fails_the_row_with_its_place(write_flow: Write, run: Run) -> None:
    text = "nodes:\n" + node("bad", path="bad.py") + node("after", "{value: '${bad.output}'}")
    body = "def run():\n    return helper({})\n\ndef helper(d):\n    return d['missing']"
    folder = write_flow({"flow.dag.yaml": text, "bad.py": tool(body), "echo.py": ECHO})

    outcome = run(folder)

    error = outcome.error
    assert outcome.status == "failed"
    assert error is not None
    assert (error["kind"], error["type"], error["node"]) == ("ToolExecutionError", "KeyError", "bad")
    assert error["message"] == "Execution failure in 'bad': (KeyError) 'missing'"
    assert (error["file"], error["line"]) == (str(folder / "bad.py"), 8)
    assert "genaiops" not in error["traceback"]
    assert error["traceback"].count("bad.py") == 2
    assert list(outcome.nodes) == ["bad"]
    assert outcome.nodes["bad"].status == "failed"


def test_deliberate_exceptions_keep_their_kind(write_flow: Write, run: Run) -> None:
    body = (
        "from promptflow.exceptions import UserErrorException\n"
        + HEAD
        + "class Refused(UserErrorException): ...\n@tool\ndef run():\n    raise Refused('not today')\n"
    )

    error = run(write_flow({"flow.dag.yaml": "nodes:\n" + node("n", path="n.py"), "n.py": body})).error

    assert error is not None
    assert (error["kind"], error["message"]) == ("Refused", "not today")


def test_a_tool_that_ends_the_process_only_fails_its_row(write_flow: Write, run: Run) -> None:
    folder = write_flow(
        {"flow.dag.yaml": "nodes:\n" + node("n", path="n.py"), "n.py": tool("def run():\n    raise SystemExit(3)")}
    )

    error = run(folder).error

    assert error is not None
    assert error["type"] == "SystemExit"


def test_an_output_without_a_json_form_fails_the_row(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${n.output}'}}\nnodes:\n" + node("n", path="n.py")

    outcome = run(write_flow({"flow.dag.yaml": text, "n.py": tool("def run():\n    return {'x': object()}")}))

    assert outcome.error is not None
    assert outcome.error["kind"] == "FlowOutputUnserializable"
    assert outcome.nodes["n"].status == "completed"
    assert outcome.nodes["n"].output.startswith("{'x': <object")


def test_inputs_that_cannot_be_converted_are_recorded_as_null(write_flow: Write, run: Run) -> None:
    folder = write_flow({"flow.dag.yaml": "inputs: {n: {type: int}}\nnodes: []\n"})

    outcome = run(folder, {"n": "x"}, row=7)

    assert (outcome.status, outcome.inputs) == ("failed", None)
    assert outcome.error is not None
    assert outcome.error["kind"] == "InputTypeError"
    assert "line 7" in outcome.error["message"]


def test_the_record_of_an_output_does_not_change_when_a_later_node_changes_it(write_flow: Write, run: Run) -> None:
    text = "nodes:\n" + node("a", path="a.py") + node("b", "{value: '${a.output}'}", path="b.py")
    folder = write_flow(
        {
            "flow.dag.yaml": text,
            "a.py": tool("def run():\n    return {'n': [1]}"),
            "b.py": tool("def run(value):\n    value['n'].append(2)\n    return value"),
        }
    )

    outcome = run(folder)

    assert outcome.nodes["a"].output == {"n": [1]}
    assert outcome.nodes["b"].inputs == {"value": {"n": [1]}}
    assert outcome.nodes["b"].output == {"n": [1, 2]}


# Order and time


def overlap(outcome: Outcome, *names: str) -> bool:
    """Whether all these nodes ran at one moment: each began before any had ended."""
    nodes = [outcome.nodes[name] for name in names]
    return max(node.started_s for node in nodes) < min(node.started_s + node.duration_s for node in nodes)


def sleeping(seconds: float) -> str:
    return tool(f"def run(value=None):\n    import time\n    time.sleep({seconds})\n    return value")


def test_independent_plain_functions_run_at_the_same_time(write_flow: Write, run: Run) -> None:
    text = "nodes:\n" + "".join(node(f"n{i}", path="s.py") for i in range(4))

    outcome = run(write_flow({"flow.dag.yaml": text, "s.py": sleeping(1.0)}))

    assert outcome.status == "completed"
    assert overlap(outcome, "n0", "n1", "n2", "n3")


def test_a_chain_of_plain_functions_stays_on_one_thread(write_flow: Write) -> None:
    text = (
        "outputs: {a: {reference: '${a.output}'}, c: {reference: '${c.output}'}}\nnodes:\n"
        + node("a", path="t.py")
        + node("b", "{value: '${a.output}'}", path="t.py")
        + node("c", "{value: '${b.output}'}", path="t.py")
    )
    body = tool("def run(value=None):\n    import threading\n    return threading.get_ident()")
    folder = write_flow({"flow.dag.yaml": text, "t.py": body})

    async def main() -> Outcome:
        plan = await open_plan(load_flow(folder))
        assert plan.is_sync
        return await plan.run({})

    outcome = asyncio.run(main())

    assert outcome.outputs["a"] == outcome.outputs["c"] != threading.get_ident()


def test_async_and_plain_nodes_share_one_row(write_flow: Write, run: Run) -> None:
    text = (
        "outputs: {o: {reference: '${last.output}'}}\nnodes:\n"
        + node("a", path="a.py")
        + node("b", path="a.py")
        + node("c", "{value: '${a.output}'}")
        + node("last", "{x: '${c.output}', y: '${b.output}'}", path="l.py")
    )
    folder = write_flow(
        {
            "flow.dag.yaml": text,
            "a.py": tool("async def run():\n    import asyncio\n    await asyncio.sleep(1.0)\n    return 1"),
            "echo.py": ECHO,
            "l.py": tool("def run(x, y):\n    return x + y"),
        }
    )

    outcome = run(folder)

    assert outcome.outputs == {"o": 2}
    assert overlap(outcome, "a", "b")


def test_a_failure_does_not_wait_for_its_neighbours(write_flow: Write, run: Run) -> None:
    text = "nodes:\n" + node("slow", path="s.py") + node("bad", path="b.py")
    folder = write_flow(
        {
            "flow.dag.yaml": text,
            "s.py": tool("async def run():\n    import asyncio\n    await asyncio.sleep(30)"),
            "b.py": tool("def run():\n    raise ValueError('x')"),
        }
    )

    outcome = run(folder)

    assert outcome.duration_s < 30
    assert {name: item.status for name, item in outcome.nodes.items()} == {"slow": "canceled", "bad": "failed"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_row_over_its_time_fails_and_keeps_what_is_done(write_flow: Write, run: Run, is_async: bool) -> None:
    body = (
        tool("async def run(value):\n    import asyncio\n    await asyncio.sleep(30)")
        if is_async
        else tool("def run(value):\n    import time\n    time.sleep(10)")
    )
    text = "nodes:\n" + node("quick", "{value: 1}") + node("slow", "{value: '${quick.output}'}", path="s.py")

    outcome = run(write_flow({"flow.dag.yaml": text, "echo.py": ECHO, "s.py": body}), row=3, timeout_s=0.3)

    assert outcome.duration_s < 10
    assert outcome.error is not None
    assert outcome.error["kind"] == "LineExecutionTimeoutError"
    assert outcome.error["message"] == "Line 3 execution timeout for exceeding 0.3 seconds."
    assert {name: item.status for name, item in outcome.nodes.items()} == {"quick": "completed", "slow": "canceled"}


def test_a_hanging_row_does_not_take_the_thread_of_another(write_flow: Write) -> None:
    text = "inputs: {s: {type: double}}\nnodes:\n" + node("n", "{s: '${inputs.s}'}", path="s.py")
    folder = write_flow({"flow.dag.yaml": text, "s.py": tool("def run(s):\n    import time\n    time.sleep(s)")})

    async def main() -> list[Outcome]:
        plan = await open_plan(load_flow(folder), concurrency=1)
        hung = [plan.run({"s": 60}, timeout_s=0.1) for _ in range(20)]
        await asyncio.gather(*hung)
        return [await plan.run({"s": 0}, timeout_s=30)]

    started = time.perf_counter()
    outcomes = asyncio.run(main())

    assert [outcome.status for outcome in outcomes] == ["completed"]
    assert time.perf_counter() - started < 60


# Generators


def test_a_generator_is_joined_for_an_output_and_remembered_for_the_record(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${g.output}'}}\nnodes:\n" + node("g", path="g.py")
    folder = write_flow({"flow.dag.yaml": text, "g.py": tool("def run():\n    yield 1\n    yield 'b'")})

    outcome = run(folder)

    assert outcome.outputs == {"o": "1b"}
    assert outcome.nodes["g"].output == [1, "b"]


def test_a_generator_is_handed_on_to_the_next_node(write_flow: Write, run: Run) -> None:
    text = (
        "outputs: {o: {reference: '${s.output}'}}\nnodes:\n"
        + node("g", path="g.py")
        + node("s", "{items: '${g.output}'}", path="s.py")
    )
    folder = write_flow(
        {
            "flow.dag.yaml": text,
            "g.py": tool("def run():\n    yield from [1, 2, 3]"),
            "s.py": tool("def run(items):\n    return sum(items)"),
        }
    )

    outcome = run(folder)

    assert outcome.outputs == {"o": 6}
    assert outcome.nodes["g"].output == [1, 2, 3]


def test_a_generator_inside_an_output_is_joined_where_a_flow_output_names_it(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${g.output.words}'}}\nnodes:\n" + node("g", path="g.py")
    for prefix, suffix in (("", ""), ("async ", "\n\n@tool\nasync def run():\n    return {'words': words()}")):
        body = f"{prefix}def words():\n    yield 'a'\n    yield 'b'\n"
        body = HEAD + body + (suffix or "@tool\ndef run():\n    return {'words': words()}")

        outcome = run(write_flow({"flow.dag.yaml": text, "g.py": body}, name=f"flow{len(prefix)}"))

        assert outcome.outputs == {"o": "ab"}


def test_an_async_generator_is_joined_too(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${g.output}'}}\nnodes:\n" + node("g", path="g.py")
    body = tool("async def run():\n    for word in ('a', 'b'):\n        yield word")

    assert run(write_flow({"flow.dag.yaml": text, "g.py": body})).outputs == {"o": "ab"}


def test_streaming_hands_the_generator_to_the_caller(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${g.output}'}}\nnodes:\n" + node("g", path="g.py")
    folder = write_flow({"flow.dag.yaml": text, "g.py": tool("def run():\n    yield from 'abc'")})

    outcome = run(folder, streaming=True)

    assert outcome.status == "completed"


def test_a_generator_that_fails_while_joined_fails_its_node(write_flow: Write, run: Run) -> None:
    text = "outputs: {o: {reference: '${g.output}'}}\nnodes:\n" + node("g", path="g.py")
    folder = write_flow({"flow.dag.yaml": text, "g.py": tool("def run():\n    yield 1\n    raise ValueError('x')")})

    error = run(folder).error

    assert error is not None
    assert (error["kind"], error["type"], error["node"]) == ("ToolExecutionError", "ValueError", "g")
