"""From scores of rows to metrics with intervals: names, directions, segments."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from genaiops.evaluators import Evaluation, RowScore, link_aggregates, lower_is_better
from genaiops.experiments._spec import MetricRule
from genaiops.records import record
from genaiops.stats import estimate


@record(frozen=True, kw_only=True)
class RowFacts:
    """What the evaluation dataset says about a row beside its scores.

    Args:
        segments: Column -> value, as text.
        cluster: The group of rows that it belongs to.
    """

    segments: Mapping[str, str] = field(default_factory=dict)
    cluster: Hashable | None = None


def settle_names(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Give aggregates that are the mean of a column of row scores those scores under their own name.

    All evaluations of one evaluator are looked at together, so that a metric means the same in every run.
    """
    settled: dict[int, Evaluation] = {}
    for name in dict.fromkeys(evaluation.evaluator for evaluation in evaluations):
        group = [(i, e) for i, e in enumerate(evaluations) if e.evaluator == name]
        links = link_aggregates([_columns(e.rows) for _, e in group], [e.metrics for _, e in group])
        for index, evaluation in group:
            settled[index] = _renamed(evaluation, links)
    return [settled[index] for index in range(len(evaluations))]


def _columns(rows: Iterable[RowScore]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.scores.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return found


def _renamed(evaluation: Evaluation, links: Mapping[str, str]) -> Evaluation:
    if not links:
        return evaluation
    linked = set(links.values())
    rows = []
    for row in evaluation.rows:
        scores = {name: value for name, value in row.scores.items() if name not in linked}
        scores.update({metric: row.scores[column] for metric, column in links.items() if column in row.scores})
        rows.append(replace(row, scores=scores))
    known = evaluation.higher_is_better
    directions = {metric: known[column] for metric, column in links.items() if column in known}
    return replace(evaluation, rows=tuple(rows), higher_is_better={**known, **directions})


def direction(metric: str, evaluation: Evaluation, rules: Mapping[str, MetricRule]) -> bool:
    """Whether more is better: the use case says so, the evaluator does, or the name tells."""
    for name in (f"{evaluation.evaluator}.{metric}", metric):
        rule = rules.get(name)
        if rule is not None and rule.higher_is_better is not None:
            return rule.higher_is_better
    known = evaluation.higher_is_better.get(metric)
    return known if known is not None else not lower_is_better(metric)


def metric_names(evaluation: Evaluation) -> list[str]:
    """All metrics of an evaluation, those of rows first."""
    return list(dict.fromkeys([*(name for row in evaluation.rows for name in row.scores), *evaluation.metrics]))


def measure(
    evaluation: Evaluation, rules: Mapping[str, MetricRule], facts: Mapping[int, RowFacts] | None = None
) -> dict[str, dict[str, Any]]:
    """Metric -> `{"value", "low", "high", "rows", "failed", "kind", "higher_is_better"}`.

    `failed` counts rows that the evaluator could not score; what nobody measured has the value null, not nought.
    """
    found = {}
    for name in metric_names(evaluation):
        better = direction(name, evaluation, rules)
        has_rows = any(name in row.scores for row in evaluation.rows)
        kind = kind_of(name, evaluation.evaluator, rules)
        figures = _of_rows(name, evaluation.rows, facts or {}, kind) if has_rows else _of_aggregate(name, evaluation)
        if name in evaluation.metrics and evaluation.metrics[name] is not None:
            figures["value"] = evaluation.metrics[name]
        found[name] = {**figures, "higher_is_better": better}
    return found


def kind_of(metric: str, evaluator: str, rules: Mapping[str, MetricRule]) -> str | None:
    """`rate` or `mean` when the use case says so; by default the values decide."""
    for name in (f"{evaluator}.{metric}", metric):
        if name in rules and rules[name].kind is not None:
            return rules[name].kind
    return None


def _of_rows(
    name: str, rows: Sequence[RowScore], facts: Mapping[int, RowFacts], kind: str | None = None
) -> dict[str, Any]:
    scored = [(row.row, value) for row in rows if (value := row.scores.get(name)) is not None]
    failed = len(rows) - len(scored)
    if not scored:
        return {"value": None, "low": None, "high": None, "rows": 0, "failed": failed, "kind": "mean"}
    clusters = [facts[row].cluster if row in facts else None for row, _ in scored]
    grouped = clusters if all(cluster is not None for cluster in clusters) and len(set(clusters)) > 1 else None
    result = estimate([value for _, value in scored], clusters=grouped, kind=kind)
    return {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "rows": result.rows,
        "failed": failed,
        "kind": result.kind,
        "method": result.method,
    }


def _of_aggregate(name: str, evaluation: Evaluation) -> dict[str, Any]:
    scored = len(evaluation.rows) - evaluation.failed
    return {
        "value": evaluation.metrics.get(name),
        "low": None,
        "high": None,
        "rows": scored,
        "failed": evaluation.failed,
        "kind": "aggregate",
    }


def measure_segments(
    evaluation: Evaluation, rules: Mapping[str, MetricRule], facts: Mapping[int, RowFacts]
) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Column -> value -> metric -> figures, for the columns that the dataset marks as segments."""
    columns = list(dict.fromkeys(column for fact in facts.values() for column in fact.segments))
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for column in columns:
        groups: dict[str, list[RowScore]] = {}
        for row in evaluation.rows:
            value = facts[row.row].segments.get(column) if row.row in facts else None
            if value is not None:
                groups.setdefault(value, []).append(row)
        found[column] = {
            value: measure(replace(evaluation, rows=tuple(rows), metrics={}), rules, facts)
            for value, rows in sorted(groups.items())
        }
    return found
