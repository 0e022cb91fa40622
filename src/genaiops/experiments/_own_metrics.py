"""Metrics that the application's own aggregation nodes log, as scores beside those of the evaluators.

An experiment whose flow is itself an evaluation flow, such as a post-production evaluation over a log, measures nothing
else.
"""

from __future__ import annotations

from collections.abc import Collection

from genaiops.evaluators import RawEvaluation, RawRow, as_score, link_aggregates, rows_of_record
from genaiops.runs import RunRecord

_WHEN_TAKEN = "application"


def own_metrics(record: RunRecord, dataset: str, *, evaluators: Collection[str] = ()) -> RawEvaluation | None:
    """What a run's aggregation logged, under the flow's name; `None` when it logged nothing.

    Of the flow's outputs only those count as scores of rows whose mean a metric is: an application may well answer with
    a number that is no score.

    Args:
        record: The run.
        dataset: The dataset that it had.
        evaluators: Names that are taken.
    """
    if not record.metrics:
        return None
    name = str(record.flow.get("name") or _WHEN_TAKEN)
    name = _WHEN_TAKEN if name in evaluators else name
    rows = list(rows_of_record(record, name))
    columns: dict[str, list[float]] = {}
    for row in rows:
        for column, value in row.values.items():
            score = as_score(value)
            if score is not None:
                columns.setdefault(column, []).append(score)
    metrics = {key: as_score(value) for key, value in record.metrics.items()}
    linked = set(link_aggregates([columns], [metrics]).values())
    done = [row for row in rows if row.error is None]
    return RawEvaluation(
        id=f"{record.id}_metrics",
        evaluator=name,
        run=record.id,
        dataset=dataset,
        rows=[RawRow(row.row, {k: v for k, v in row.values.items() if k in linked}) for row in done],
        metrics=record.metrics,
        expected=record.rows.completed,
    )
