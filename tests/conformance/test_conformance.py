"""Our answers beside those that prompt flow 1.18.5 gave for the same flows (`record.py` asked it)."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import GenaiopsError
from genaiops.flows import AggregationInputs, Outcome, Plan, Services, load_flow, open_plan
from genaiops.prompts import Prompty
from tests.conformance.cases import CASES, Case

ANSWERS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("promptflow_1_18_5.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_flow_gives_what_prompt_flow_gives(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in case.files.items():
        (tmp_path / name).write_bytes(text.encode())
    monkeypatch.chdir(tmp_path)

    answer = rendered(case) if case.render is not None else asyncio.run(ran(case))

    theirs = ANSWERS[case.name]
    if case.differs:
        assert answer != theirs, "this case does not differ any more"
        assert answer == case.ours
    else:
        assert answer == theirs


def test_every_case_was_put_to_prompt_flow() -> None:
    assert set(ANSWERS) == {case.name for case in CASES}
    assert len(CASES) == len({case.name for case in CASES})


def rendered(case: Case) -> dict[str, Any]:
    """The messages of a prompty, or the kind of error."""
    try:
        return {"messages": ast.literal_eval(Prompty.load("p.prompty").render(**(case.render or {})))}
    except GenaiopsError as error:
        return {"error": error.kind}


async def ran(case: Case) -> dict[str, Any]:
    """The rows of a graph, or why it does not load."""
    try:
        plan = await open_plan(load_flow(Path.cwd()), Services())
    except GenaiopsError as error:
        return {"error": error.type if error.kind == "ResolveToolError" else error.kind}
    try:
        return await rows_of(plan, case)
    finally:
        await plan.close()


async def rows_of(plan: Plan, case: Case) -> dict[str, Any]:
    """What `record.py` keeps of the rows and the metrics."""
    outcomes = [await plan.run(row, row=index) for index, row in enumerate(case.rows)]
    answer: dict[str, Any] = {"rows": [row_form(outcome) for outcome in outcomes]}
    if plan.has_aggregation and len(case.rows) > 1:
        answer["metrics"] = (await plan.aggregate(AggregationInputs.from_outcomes(outcomes))).metrics
    return answer


def row_form(outcome: Outcome) -> dict[str, Any]:
    """Status, outputs, kind of error and the nodes' statuses of one row, in prompt flow's words."""
    form: dict[str, Any] = {"status": outcome.status.capitalize()}
    if outcome.error is None:
        form["outputs"] = outcome.outputs
    else:
        form["error"] = outcome.error["kind"]
    form["nodes"] = {
        name: node.status.capitalize()
        for name, node in outcome.nodes.items()
        if node.status in ("completed", "bypassed")
    }
    return form
