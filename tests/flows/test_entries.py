"""Functions, classes and callables as flows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.flows import AggregationInputs, AggregationOutcome, Outcome, load_flow, open_plan

Write = Callable[..., Path]
Run = Callable[..., Outcome]


def flex(body: str, yaml: str = "entry: {name}:run\n", **files: str) -> dict[str, str]:
    """A flex flow whose module has a name of its own, because modules of one process share a table."""
    return {"flow.flex.yaml": yaml.replace("{name}", "entry_module"), "entry_module.py": body, **files}


@pytest.mark.parametrize(
    ("body", "inputs", "outputs"),
    [
        ("def run(x: int, y: str = 'd'):\n    return {'x': x, 'y': y}", {"x": "3"}, {"x": 3, "y": "d"}),
        ("def run(x: int) -> dict:\n    return {'a': x}", {"x": 1}, {"a": 1}),
        ("def run(x: float) -> str:\n    return f'{x}'", {"x": "1"}, {"output": "1.0"}),
        ("async def run(x: bool):\n    return x", {"x": "TRUE"}, {"output": True}),
        ("def run(x):\n    yield x\n    yield 2", {"x": "a"}, {"output": "a2"}),
        ("async def run(x):\n    yield x\n    yield 2", {"x": "a"}, {"output": "a2"}),
        ("def run(x):\n    return {'a': (c for c in x), 'b': 1}", {"x": "hi"}, {"a": "hi", "b": 1}),
        ("def run(*args, **kwargs):\n    return [list(args), kwargs]", {"x": 1}, {"output": [[], {}]}),
        ("def run(x, extra=1):\n    return extra", {"x": 1, "other": 2}, {"output": 1}),
        ("def run(x: str = None):\n    return x", {}, {"output": None}),
        ("def run(x: str = None):\n    return x", {"x": None}, {"output": None}),
        ("def run(x: list):\n    return x", {"x": "[1]"}, {"output": [1]}),
        ("from typing import Optional\ndef run(x: Optional[int]):\n    return x", {"x": "4"}, {"output": 4}),
        ("from __future__ import annotations\ndef run(x: int):\n    return x", {"x": "4"}, {"output": 4}),
        (
            (
                "from dataclasses import dataclass\n@dataclass\nclass R:\n    a: int\n    b: str\n"
                "def run(x: int) -> R:\n    return R(x, 'b')"
            ),
            {"x": 1},
            {"a": 1, "b": "b"},
        ),
        ("class C:\n    def __call__(self, x: int):\n        return x\nrun = C()", {"x": "2"}, {"output": 2}),
        ("from promptflow.tracing import trace\n@trace\ndef run(x: int):\n    return x", {"x": "2"}, {"output": 2}),
    ],
)
def test_a_function_is_called_with_its_declared_inputs(
    write_flow: Write, run: Run, body: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    outcome = run(write_flow(flex(body)), inputs)

    assert outcome.error is None
    assert outcome.outputs == outputs


@pytest.mark.parametrize(
    ("body", "inputs", "kind", "type_name"),
    [
        ("def run(x):\n    raise KeyError('k')", {"x": 1}, "ScriptExecutionError", "KeyError"),
        ("async def run(x):\n    raise KeyError('k')", {"x": 1}, "ScriptExecutionError", "KeyError"),
        ("def run(x: int):\n    return x", {"x": "a"}, "InputTypeError", "ValueError"),
        ("def run(x: int):\n    return x", {}, "InputNotFound", "InputNotFound"),
        ("def run(x):\n    return object()", {"x": 1}, "FlowOutputUnserializable", "NotJsonError"),
    ],
)
def test_a_row_that_fails_is_data(
    write_flow: Write, run: Run, body: str, inputs: dict[str, Any], kind: str, type_name: str
) -> None:
    outcome = run(write_flow(flex(body)), inputs)

    assert outcome.status == "failed"
    assert outcome.error is not None
    assert (outcome.error["kind"], outcome.error["type"]) == (kind, type_name)


def test_the_error_of_a_function_names_it_and_its_place(write_flow: Write, run: Run) -> None:
    folder = write_flow(flex("def run(x):\n    raise ValueError('no')"))

    error = run(folder, {"x": 1}).error

    assert error is not None
    assert error["message"] == "Execution failure in 'run': (ValueError) no"
    assert (error["file"], error["line"], error["node"]) == (str(folder / "entry_module.py"), 2, None)


CLASS = """\
from dataclasses import dataclass
from typing import TypedDict

class Result(TypedDict):
    text: str
    count: int

class run:
    def __init__(self, tone: str, times: int = 2, other: str = None):
        self.tone, self.times, self.other, self.calls = tone, times, other, 0

    def __call__(self, text: str) -> Result:
        self.calls += 1
        return {"text": f"{text}{self.tone}" * self.times, "count": self.calls}

    def __aggregate__(self, results: list) -> dict:
        return {"own_calls": self.calls, "longest": max(len(r.text) for r in results), "rows": len(results)}
"""


def aggregate_entry(
    source: Any, rows: list[dict[str, Any]], *, by_file: bool = False, init: dict[str, Any] | None = None
) -> AggregationOutcome:
    async def main() -> AggregationOutcome:
        plan = await open_plan(load_flow(source), init=init)
        outcomes: list[Any] = [await plan.run(row, row=index) for index, row in enumerate(rows)]
        if by_file:
            outcomes = [json.loads(json.dumps(outcome.to_json())) for outcome in outcomes]
        return await plan.aggregate(AggregationInputs.from_outcomes(outcomes))

    return asyncio.run(main())


@pytest.mark.parametrize("prefix", ["", "async "])
def test_whatever_an_entry_raises_is_wrapped(write_flow: Write, run: Run, prefix: str) -> None:
    body = (
        "from promptflow.exceptions import UserErrorException\nfrom genaiops.errors import RowError\n"
        f"{prefix}def run(x):\n    raise UserErrorException('u') if x else RowError('r', kind='LLMError', hint='h')\n"
    )
    folder = write_flow(flex(body))

    user, ours = run(folder, {"x": 1}).error, run(folder, {"x": 0}).error

    assert user is not None
    assert ours is not None
    assert (user["kind"], user["type"]) == ("ScriptExecutionError", "UserErrorException")
    assert ours["message"] == "Execution failure in 'run': (LLMError) r"
    assert (ours["kind"], ours["type"], ours["hint"], ours["line"]) == ("ScriptExecutionError", "LLMError", "h", 4)


def test_a_class_is_made_once_with_converted_arguments(write_flow: Write, run: Run) -> None:
    folder = write_flow(flex(CLASS))
    flow = load_flow(folder)

    outcome = run(folder, {"text": "a"}, init={"tone": "!", "times": "3"})

    assert outcome.outputs == {"text": "a!a!a!", "count": 1}
    assert (flow.kind, list(flow.init), list(flow.outputs)) == ("class", ["tone", "times", "other"], ["text", "count"])


def test_aggregate_sees_another_instance_and_attribute_dicts(write_flow: Write) -> None:
    folder = write_flow(flex(CLASS))

    for by_file in (False, True):
        result = aggregate_entry(folder, [{"text": "a"}, {"text": "bbb"}], by_file=by_file, init={"tone": ""})

        assert result.metrics == {"own_calls": 0, "longest": 6, "rows": 2}


def test_what_aggregate_raises_is_the_error_of_the_aggregation(write_flow: Write) -> None:
    folder = write_flow(flex(CLASS.replace('"own_calls": self.calls', '"x": 1 / 0')))

    result = aggregate_entry(folder, [{"text": "a"}], init={"tone": ""})

    assert result.metrics == {}
    assert result.error is not None
    assert (result.error["type"], Path(result.error["file"]).parent) == ("ZeroDivisionError", folder)


def test_aggregate_gets_bare_values_as_they_are(write_flow: Write) -> None:
    body = (
        "class run:\n    def __call__(self, x: int) -> int:\n        return x\n"
        "    async def __aggregate__(self, line_results):\n        return {'sum': sum(line_results)}\n"
    )

    assert aggregate_entry(write_flow(flex(body)), [{"x": 1}, {"x": 2}], by_file=True).metrics == {"sum": 3}


@pytest.mark.parametrize(
    ("old", "new", "init", "kind"),
    [
        ("", "", {}, "FlowEntryInitializationError"),
        ("", "", {"tone": "!", "tmes": 1}, "FlowEntryInitializationError"),
        ("", "", {"tone": "!", "times": "many"}, "FlowEntryInitializationError"),
        (
            "self.tone, self",
            "raise ValueError('x')\n        self.tone, self",
            {"tone": ""},
            "FlowEntryInitializationError",
        ),
        ("(self, results: list)", "(self, results, more)", {"tone": ""}, "InvalidAggregationFunction"),
        ("class run", "class other", {"tone": ""}, "PythonLoadError"),
        ("__call__", "call", {"tone": ""}, "PythonLoadError"),
        ("from typing", "import nothing_there\nfrom typing", {"tone": ""}, "PythonLoadError"),
    ],
)
def test_an_entry_that_cannot_be_made_is_refused(
    write_flow: Write, run: Run, old: str, new: str, init: dict[str, Any], kind: str
) -> None:
    folder = write_flow(flex(CLASS.replace(old, new, 1)))

    with pytest.raises(FlowDefinitionError) as caught:
        run(folder, {"text": "a"}, init=init)

    assert caught.value.kind == kind


def test_samples_stand_in_only_when_nothing_was_given(write_flow: Write, run: Run) -> None:
    yaml = "entry: {name}:run\nsample:\n  init: ${file:init.json}\n  inputs: {text: s}\n"
    folder = write_flow(flex(CLASS, yaml, **{"init.json": '{"tone": "?"}'}))

    assert run(folder, {}).outputs["text"] == "s?s?"
    assert run(folder, {"text": "t"}, init={"tone": "."}).outputs["text"] == "t.t."


def test_the_file_may_change_types_and_defaults_and_must_name_all(write_flow: Write, run: Run) -> None:
    body = "def run(a, b: int = 1):\n    return [a, b]"
    yaml = "entry: {name}:run\ninputs:\n  a: {type: int, default: 7}\n  b: {type: string}\n"

    assert run(write_flow(flex(body, yaml)), {"b": 2}).outputs == {"output": [7, "2"]}
    with pytest.raises(FlowDefinitionError, match="lacks b"):
        load_flow(write_flow(flex(body, yaml.replace("  b: {type: string}\n", "")), name="other"))


def test_an_empty_default_means_not_set(write_flow: Write, run: Run) -> None:
    yaml = "entry: {name}:run\ninputs: {a: {type: string}, b: {type: string, default: ''}}\n"

    assert run(write_flow(flex("def run(a: str, b: str = None):\n    return b", yaml)), {"a": 1}).outputs == {
        "output": None
    }


@pytest.mark.parametrize(
    ("yaml", "kind"),
    [
        ("entry: run\n", "InvalidFlexFlowEntry"),
        ("entry: a b:run\n", "InvalidFlexFlowEntry"),
        ("entry: nothing_here:run\n", "PythonLoadError"),
        ("entry: {name}:run\nnodes: []\n", "ValidationException"),
    ],
)
def test_a_flex_file_that_cannot_mean_anything_is_refused(write_flow: Write, yaml: str, kind: str) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        load_flow(write_flow(flex("def run(): ...", yaml)))

    assert caught.value.kind == kind


def test_dotted_modules_are_found(write_flow: Write, run: Run) -> None:
    folder = write_flow(
        {
            "flow.flex.yaml": "entry: dotted_pkg.inner:run\n",
            "dotted_pkg/__init__.py": "",
            "dotted_pkg/inner.py": "def run(x: int):\n    return x\n",
        }
    )

    assert run(folder, {"x": "1"}).outputs == {"output": 1}


# Callables


def plain(x: int, y: str = "d") -> str:
    return y * x


async def awaited(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


def stream(x: str) -> Iterator[str]:
    yield from x


async def stream_async(x: str) -> AsyncIterator[str]:
    for letter in x:
        yield letter


@dataclass
class Bot:
    tone: str = "!"

    def __call__(self, x: str) -> dict[str, str]:
        return {"answer": x + self.tone}

    def __aggregate__(self, results: list[Any]) -> dict[str, int]:
        return {"rows": len(results)}


@pytest.mark.parametrize(
    ("target", "inputs", "outputs"),
    [
        (plain, {"x": "2"}, {"output": "dd"}),
        (awaited, {"x": 1}, {"output": 2}),
        (stream, {"x": "ab"}, {"output": "ab"}),
        (stream_async, {"x": "ab"}, {"output": "ab"}),
        (Bot, {"x": "hi"}, {"answer": "hi!"}),
        (Bot("?"), {"x": "hi"}, {"answer": "hi?"}),
        (lambda x: x, {"x": 1}, {"output": 1}),
    ],
)
def test_any_callable_is_a_flow(
    run: Run, target: Callable[..., Any], inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    assert run(target, inputs).outputs == outputs


def test_streaming_gives_the_generators_themselves(run: Run) -> None:
    async def main() -> list[str]:
        plan = await open_plan(load_flow(stream_async))
        outcome = await plan.run({"x": "abc"}, streaming=True)
        return [item async for item in outcome.outputs["output"]]

    assert asyncio.run(main()) == ["a", "b", "c"]


def test_an_instance_keeps_its_state_for_aggregation() -> None:
    assert aggregate_entry(Bot("?"), [{"x": "a"}, {"x": "b"}]).metrics == {"rows": 2}


def test_async_rows_run_side_by_side_on_one_loop() -> None:
    async def nap(x: int) -> int:
        await asyncio.sleep(0.2)
        return x

    async def main() -> list[Outcome]:
        plan = await open_plan(load_flow(nap), concurrency=1)
        return await asyncio.gather(*(plan.run({"x": i}, row=i) for i in range(50)))

    outcomes = asyncio.run(main())

    assert [outcome.outputs["output"] for outcome in outcomes] == list(range(50))
    assert all(outcome.duration_s < 1 for outcome in outcomes)


def test_module_and_name_alone_are_a_flow(write_flow: Write, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_flow({"named_module.py": "def run(x: int) -> str:\n    return str(x)\n"})
    monkeypatch.chdir(folder)

    assert run("named_module:run", {"x": "5"}).outputs == {"output": "5"}
    assert load_flow("named_module:run").entry == "named_module:run"
