"""Built-in metrics over the rows of a run: deterministic, ours, and therefore in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from genaiops.evaluators._builtin import BUILTINS, RowFacts, classification_metrics, score_builtin
from genaiops.evaluators._joined import join_rows, resolve
from genaiops.evaluators._raw import RawEvaluation, RawRow
from genaiops.runs import RunRecord


def evaluate_builtin(
    metric: str,
    record: RunRecord,
    data: Path,
    *,
    id: str,  # noqa: A002 - the record's own word
    evaluator: str,
    dataset: str,
    mappings: Mapping[str, Any],
    options: Mapping[str, Any],
    key: str | None = None,
) -> RawEvaluation:
    """Score the completed rows of a run with a built-in metric.

    A row whose values cannot be scored counts as a failure of the evaluator.
    """
    begin = perf_counter()
    rows: list[RawRow] = []
    pairs: list[tuple[str, str]] = []
    for joined in join_rows(record, data, key=key):
        values = resolve(mappings, joined)
        try:
            rows.append(RawRow(joined.row, score_builtin(metric, values, _facts(joined.outcome), options)))
        except ValueError as error:
            rows.append(RawRow(joined.row, {}, str(error)))
            continue
        if metric == "classification":
            pairs.append(_pair(values))
    better = BUILTINS[metric].higher_is_better
    names = {name for row in rows for name in row.values}
    return RawEvaluation(
        id=id,
        evaluator=evaluator,
        run=record.id,
        dataset=dataset,
        rows=rows,
        metrics=classification_metrics(pairs, positive=options.get("positive")) if pairs else {},
        higher_is_better=dict.fromkeys(names, better),
        expected=record.rows.completed,
        duration_s=perf_counter() - begin,
    )


def _facts(outcome: Mapping[str, Any]) -> RowFacts:
    tokens = outcome.get("tokens") or {}
    costs = [node["cost_usd"] for node in (outcome.get("nodes") or {}).values() if node.get("cost_usd") is not None]
    return RowFacts(
        duration_s=outcome.get("duration_s"),
        input_tokens=tokens.get("input"),
        output_tokens=tokens.get("output"),
        cost_usd=sum(costs) if costs else None,
    )


def _pair(values: Mapping[str, Any]) -> tuple[str, str]:
    def first(*names: str) -> str:
        return str(next((values[name] for name in names if name in values), ""))

    prediction = first("prediction", "answer", "output", "response", "actual", "completion")
    return prediction, first("truth", "groundtruth", "ground_truth", "expected", "reference", "target", "label")
