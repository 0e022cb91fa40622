"""Aggregation nodes: lists over completed rows, metrics, failures that do not fail the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.flows import AggregationInputs, AggregationOutcome, Outcome, load_flow, open_plan

Write = Callable[..., Path]

FLOW = """\
inputs:
  truth: {type: string}
  weight: {type: int, default: 1}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {truth: "${inputs.truth}"}
- name: rare
  type: python
  source: {type: code, path: grade.py}
  inputs: {truth: "${inputs.truth}"}
  activate: {when: "${inputs.truth}", is: a}
- name: total
  type: python
  aggregation: true
  source: {type: code, path: total.py}
  inputs:
    grades: "${grade.output}"
    lengths: "${grade.output.length}"
    rares: "${rare.output}"
    truths: "${inputs.truth}"
    weights: "${inputs.weight}"
    scale: 10
- name: report
  type: python
  aggregation: true
  source: {type: code, path: report.py}
  inputs: {total: "${total.output}"}
"""
GRADE = """\
from promptflow.core import tool
@tool
def grade(truth):
    if truth == "bad":
        raise ValueError("bad row")
    return {"length": len(truth), "truth": truth}
"""
TOTAL = """\
from promptflow.core import tool, log_metric
@tool
def total(grades, lengths, rares, truths, weights, scale):
    log_metric("rows", len(truths))
    log_metric("rows", len(truths), variant_id="ignored")
    log_metric("nan", float("nan"))
    return {"truths": truths, "lengths": lengths, "rares": rares, "weights": weights, "scale": scale}
"""
REPORT = """\
from promptflow.core import tool, log_metric
@tool
def report(total):
    log_metric("length", sum(total["lengths"]))
    return sorted(total)
"""
FILES = {"flow.dag.yaml": FLOW, "grade.py": GRADE, "total.py": TOTAL, "report.py": REPORT}


def aggregate(
    folder: Path, rows: Sequence[Mapping[str, Any]], order: Sequence[int] | None = None, *, by_file: bool = False
) -> AggregationOutcome:
    async def main() -> AggregationOutcome:
        plan = await open_plan(load_flow(folder))
        outcomes: list[Any] = [await plan.run(row, row=index) for index, row in enumerate(rows)]
        if by_file:
            outcomes = [json.loads(json.dumps(outcome.to_json())) for outcome in outcomes]
        return await plan.aggregate(AggregationInputs.from_outcomes([outcomes[i] for i in order or range(len(rows))]))

    return asyncio.run(main())


def test_lists_hold_completed_rows_in_row_order_whatever_order_they_finished_in(write_flow: Write) -> None:
    folder = write_flow(FILES)
    rows = [{"truth": "a"}, {"truth": "bad"}, {"truth": "ccc", "weight": 5}, {"truth": "dd"}]

    for by_file in (False, True):
        result = aggregate(folder, rows, [3, 0, 2, 1], by_file=by_file)

        assert result.error is None
        assert result.nodes["total"].output == {
            "truths": ["a", "ccc", "dd"],
            "lengths": [1, 3, 2],
            "rares": [{"length": 1, "truth": "a"}, None, None],
            "weights": [1, 5, 1],
            "scale": 10,
        }
        assert result.metrics["rows"] == 3
        assert result.metrics["length"] == 6
        assert result.metrics["nan"] != result.metrics["nan"]


def test_no_completed_row_gives_empty_lists(write_flow: Write) -> None:
    result = aggregate(write_flow(FILES), [{"truth": "bad"}])

    assert result.metrics["rows"] == 0
    assert result.nodes["report"].status == "completed"


def test_a_failing_aggregation_keeps_the_metrics_logged_before(write_flow: Write) -> None:
    folder = write_flow({**FILES, "report.py": REPORT.replace("return sorted", "raise ValueError")})

    result = aggregate(folder, [{"truth": "a"}])

    assert result.metrics["length"] == 1
    assert result.error is not None
    assert (result.error["node"], result.error["type"]) == ("report", "ValueError")
    assert result.nodes["report"].status == "failed"


def test_a_property_of_a_bypassed_node_fails_the_row_that_lacks_it(write_flow: Write) -> None:
    folder = write_flow({**FILES, "flow.dag.yaml": FLOW.replace("${rare.output}", "${rare.output.length}")})

    result = aggregate(folder, [{"truth": "a"}, {"truth": "bb"}])

    assert result.nodes["total"].output["truths"] == ["a"]


def test_log_metric_outside_of_aggregation_does_nothing(write_flow: Write, run: Callable[..., Outcome]) -> None:
    body = GRADE.replace("return {", "log_metric('x', 1); return {").replace("import tool", "import tool, log_metric")

    outcome = run(write_flow({**FILES, "grade.py": body}), {"truth": "a"}, single=True)

    assert set(outcome.metrics) == {"rows", "nan", "length"}


def test_a_single_run_aggregates_its_one_row(write_flow: Write, run: Callable[..., Outcome]) -> None:
    outcome = run(write_flow(FILES), {"truth": "abc"}, single=True)

    assert outcome.metrics["length"] == 3
    assert list(outcome.nodes) == ["grade", "rare", "total", "report"]


def test_a_failing_aggregation_does_not_fail_the_single_row(write_flow: Write, run: Callable[..., Outcome]) -> None:
    folder = write_flow({**FILES, "report.py": REPORT.replace("return sorted", "raise ValueError")})

    outcome = run(folder, {"truth": "abc"}, single=True)

    assert (outcome.status, outcome.error, outcome.nodes["report"].status) == ("completed", None, "failed")
    assert outcome.metrics["length"] == 3


def test_a_single_run_does_not_aggregate_flow_inputs_alone(write_flow: Write, run: Callable[..., Outcome]) -> None:
    text = """\
    inputs: {truth: {type: string}}
    nodes:
    - name: total
      type: python
      aggregation: true
      source: {type: code, path: t.py}
      inputs: {truths: "${inputs.truth}"}
    """
    body = "from promptflow.core import tool, log_metric\n@tool\ndef t(truths):\n    log_metric('n', len(truths))\n"
    folder = write_flow({"flow.dag.yaml": text, "t.py": body})

    assert run(folder, {"truth": "x"}, single=True).metrics == {}
    assert aggregate(folder, [{"truth": "x"}]).metrics == {"n": 1}


def test_activate_of_an_aggregation_node_compares_the_list(write_flow: Write) -> None:
    text = FLOW.replace(
        'inputs: {total: "${total.output}"}',
        'inputs: {total: "${total.output}"}\n  activate: {when: "${inputs.truth}", is: [a, b]}',
    )
    folder = write_flow({**FILES, "flow.dag.yaml": text})

    assert aggregate(folder, [{"truth": "a"}, {"truth": "b"}]).nodes["report"].status == "completed"
    assert aggregate(folder, [{"truth": "a"}]).nodes["report"].status == "bypassed"


def test_one_node_runs_alone(write_flow: Write) -> None:
    folder = write_flow(FILES)

    async def main() -> list[Outcome]:
        plan = await open_plan(load_flow(folder))
        grade = {"grade.output": {"length": 2}, "rare.output": None, "truth": "x", "weight": "3"}
        return [
            await plan.run_node("grade", {"truth": "abc"}),
            await plan.run_node("grade", {"truth": "bad"}),
            await plan.run_node("total", grade),
        ]

    good, bad, total = asyncio.run(main())

    assert good.outputs == {"output": {"length": 3, "truth": "abc"}}
    assert bad.error is not None
    assert bad.error["node"] == "grade"
    assert total.outputs["output"]["weights"] == [3]


def test_the_record_of_an_aggregation_does_not_hold_all_rows_again(write_flow: Write) -> None:
    result = aggregate(write_flow(FILES), [{"truth": "ab"}] * 1200)

    total = result.nodes["total"]
    assert total.output["lengths"] == [2] * 1200
    lists = [value for value in total.inputs.values() if isinstance(value, list)]
    assert lists
    assert {(len(shown), shown[-1]) for shown in lists} == {(1001, "… 200 more")}
