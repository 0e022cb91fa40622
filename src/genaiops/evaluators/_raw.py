"""What evaluators returned, before anybody knows which of it are scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from genaiops.evaluators._calling import ERRORS
from genaiops.evaluators._numbers import as_score, flatten, score_columns
from genaiops.evaluators._records import Evaluation, RowScore
from genaiops.records import record
from genaiops.runs import RunRecord


class RawRow(NamedTuple):
    """One row: what the evaluator gave, by dotted name, or why it gave nothing."""

    row: int
    values: Mapping[str, Any]
    error: str | None = None


@record(frozen=True, kw_only=True)
class RawEvaluation:
    """One evaluator on one run, as it came; see `Evaluation` for the fields."""

    id: str
    evaluator: str
    run: str | None
    dataset: str
    path: Path | None = None
    rows: Sequence[RawRow] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    status: str = "completed"
    error: str | None = None
    expected: int = 0
    record: RunRecord | None = None
    duration_s: float = 0.0


def rows_of_record(record: RunRecord, name: str, numbers: Sequence[int] | None = None) -> Iterator[RawRow]:
    """The rows of an evaluation run.

    Args:
        record: The run of the evaluator.
        name: What a bare value is called.
        numbers: The application's row of each row of the evaluation; by default the numbers are the same.
    """
    for outcome in record.outcomes():
        number = int(outcome["row"])
        row = numbers[number] if numbers is not None else number
        if outcome["status"] == "completed":
            outputs, error = _without_errors(outcome.get("outputs"))
            yield RawRow(row, flatten(_parsed(outputs), name), error)
        else:
            yield RawRow(row, {}, _message(outcome.get("error")))


def contract_rows(result: Any, numbers: Sequence[int] | None = None) -> tuple[list[RawRow], dict[str, Any]]:
    """Rows and metrics of a function that was called once for a whole dataset.

    Understands `{"rows": [{"outputs.x": …}], "metrics": {…}}` as azure-ai-evaluation returns it, a list with one item
    a row, and a plain map of metrics.
    """
    if isinstance(result, list):
        return _listed(result, numbers), {}
    if not isinstance(result, Mapping):
        return [], ({} if as_score(result) is None else {"score": result})
    metrics = result.get("metrics")
    rows = result.get("rows")
    if not isinstance(metrics, Mapping) and not isinstance(rows, list):
        metrics = {name: value for name, value in flatten(result, "score").items() if as_score(value) is not None}
    return _listed(rows if isinstance(rows, list) else [], numbers), dict(metrics or {})


def settle(raws: Sequence[RawEvaluation]) -> list[Evaluation]:
    """Decide which values are scores, the same for all runs of an evaluator, and keep only those."""
    columns: dict[str, list[str]] = {}
    for name in dict.fromkeys(raw.evaluator for raw in raws):
        columns[name] = score_columns(row.values for raw in raws if raw.evaluator == name for row in raw.rows)
    return [_settled(raw, columns[raw.evaluator]) for raw in raws]


def _settled(raw: RawEvaluation, columns: Sequence[str]) -> Evaluation:
    rows = tuple(RowScore(row=row.row, scores=_scores(row, columns), error=_why(row, columns)) for row in raw.rows)
    record = raw.record
    tokens = record.tokens if record else {}
    return Evaluation(
        id=raw.id,
        path=raw.path,
        evaluator=raw.evaluator,
        run=raw.run,
        dataset=raw.dataset,
        rows=rows,
        metrics={name: as_score(value) for name, value in flatten(raw.metrics, "score").items() if _is_metric(value)},
        higher_is_better=raw.higher_is_better,
        unmatched=max(0, raw.expected - len(rows)) if raw.rows else 0,
        status=raw.status,
        error=raw.error,
        model_calls=record.model_calls if record else 0,
        kept=record.kept if record else 0,
        input_tokens=int(tokens.get("input", 0)),
        output_tokens=int(tokens.get("output", 0)),
        cost_usd=record.cost_usd if record else None,
        duration_s=record.duration_s if record else raw.duration_s,
        source="simulated" if record is not None and record.simulated else "live",
    )


def _scores(row: RawRow, columns: Sequence[str]) -> dict[str, float | None]:
    return {name: as_score(row.values.get(name)) for name in columns}


def _why(row: RawRow, columns: Sequence[str]) -> str | None:
    if row.error is not None:
        return row.error
    if columns and all(as_score(row.values.get(name)) is None for name in columns):
        return "The evaluator gave no score."
    return None


def _is_metric(value: Any) -> bool:
    return value is None or as_score(value) is not None or (isinstance(value, float) and value != value)


def _listed(rows: Sequence[Any], numbers: Sequence[int] | None) -> list[RawRow]:
    found = []
    for index, item in enumerate(rows):
        values = item if isinstance(item, Mapping) else {"score": item}
        # azure-ai-evaluation repeats the inputs in each row; only what it found counts.
        outputs = {k.removeprefix("outputs."): v for k, v in values.items() if str(k).startswith("outputs.")}
        row = numbers[index] if numbers is not None and index < len(numbers) else index
        found.append(RawRow(row, flatten(outputs or dict(values), "score")))
    return found


def _without_errors(outputs: Any) -> tuple[Any, str | None]:
    """What functions gave, and what those said that failed."""
    if isinstance(outputs, Mapping) and set(outputs) == {"output"} and isinstance(outputs["output"], Mapping):
        outputs = outputs["output"]
    if not isinstance(outputs, Mapping) or ERRORS not in outputs:
        return outputs, None
    errors = outputs[ERRORS]
    told = "; ".join(f"{name}: {message}" for name, message in errors.items()) if isinstance(errors, Mapping) else ""
    return {name: value for name, value in outputs.items() if name != ERRORS}, told or "failed"


def _parsed(outputs: Any) -> Any:
    """Outputs with texts that hold a JSON object read: judges answer so."""
    if not isinstance(outputs, Mapping):
        return outputs
    return {name: _object_in(value) for name, value in outputs.items()}


def _object_in(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not (text.startswith("{") and text.endswith("}")):
        return value
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return value


def _message(error: Any) -> str:
    return str(error.get("message") if isinstance(error, Mapping) else error or "failed")
