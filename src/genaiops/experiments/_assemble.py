"""From finished runs and evaluations to the record of an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.datasets import read_rows
from genaiops.evaluators import Evaluation
from genaiops.experiments._attribution import attribute, got_worse
from genaiops.experiments._compare import Series, compare_series, noise_of, price_of_certainty, rank
from genaiops.experiments._metrics import RowFacts, direction, measure, measure_segments, metric_names
from genaiops.experiments._spec import DatasetSpec, ExperimentSpec, MetricRule
from genaiops.experiments._tasks import RunTask
from genaiops.runs import RunRecord

_ATTRIBUTION_ROWS = 20_000


class Finished:
    """A run that has ended, with what was asked of it."""

    def __init__(self, task: RunTask, record: RunRecord) -> None:
        self.task = task
        self.record = record
        self._durations: list[float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry of `runs` in `experiment.json`."""
        record, task = self.record, self.task
        return {
            "id": record.id,
            "path": str(record.path),
            "variant": dict(task.cell.variant),
            "variant_label": task.cell.label,
            "is_baseline": task.cell.is_baseline,
            "parameters": dict(task.cell.parameters),
            "dataset": task.dataset.name,
            "dataset_path": record.dataset.get("path"),
            "dataset_digest": record.dataset.get("sha256"),
            "flow_digest": record.flow.get("digest"),
            "rows": record.rows.to_json(),
            "status": record.status,
            "stopped": record.stopped,
            "failures": [failure.to_json() for failure in record.failures],
            "model_calls": record.model_calls,
            "kept": record.kept,
            "tokens": {"input": record.tokens.get("input", 0), "output": record.tokens.get("output", 0)},
            "cost_usd": record.cost_usd,
            "duration_s": record.duration_s,
            "latency_s": self.latency(),
            "repeat": task.repeat,
            "simulated": record.simulated,
        }

    def latency(self) -> dict[str, float | None]:
        """Half of the rows, and 95 % of them, finish within so many seconds."""
        if self._durations is None:
            done = (o["duration_s"] for o in self.record.outcomes() if o["status"] == "completed")
            self._durations = sorted(duration for duration in done if duration is not None)
        return {"p50": _quantile(self._durations, 0.5), "p95": _quantile(self._durations, 0.95)}


def _quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed."""
    if not values:
        return None
    index = max(0, -(-len(values) * share // 1) - 1)
    return round(values[int(index)], 6)


def row_facts(dataset: DatasetSpec, columns: Iterable[str]) -> dict[int, RowFacts]:
    """Segments and clusters of the rows of a dataset; empty when it has neither."""
    wanted = list(dict.fromkeys([*dataset.segments, *columns]))
    if (not wanted and dataset.cluster is None) or dataset.path is None:
        return {}
    facts = {}
    for row in read_rows(dataset.path, on_bad_row="skip"):
        segments = {column: _as_text(row.values[column]) for column in wanted if column in row.values}
        cluster = row.values.get(dataset.cluster) if dataset.cluster else None
        facts[row.index] = RowFacts(segments=segments, cluster=None if cluster is None else _as_text(cluster))
    return facts


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def gate_metrics(spec: ExperimentSpec) -> list[str]:
    """Metrics that the gate of the use case names."""
    metrics = (spec.gate or {}).get("metrics")
    return [str(name) for name in metrics] if isinstance(metrics, Mapping) else []


def gate_segments(spec: ExperimentSpec) -> list[str]:
    """Columns that the gate wants to see the metrics by."""
    gate = spec.gate or {}
    metrics = gate.get("metrics")
    blocks = [gate.get("segments")]
    if isinstance(metrics, Mapping):
        blocks += [body.get("segments") for body in metrics.values() if isinstance(body, Mapping)]
    found: list[str] = []
    for block in blocks:
        columns = block.get("columns") or block.get("column") if isinstance(block, Mapping) else block
        found += [columns] if isinstance(columns, str) else [str(c) for c in columns or () if isinstance(c, str)]
    return list(dict.fromkeys(found))


def metric_rules(spec: ExperimentSpec) -> dict[str, MetricRule]:
    """Rules of the block `metrics`, and margins that only the gate names (`max_drop`, `margin`)."""
    rules = dict(spec.metrics)
    metrics = (spec.gate or {}).get("metrics")
    for name, body in metrics.items() if isinstance(metrics, Mapping) else ():
        margin = body.get("max_drop", body.get("margin")) if isinstance(body, Mapping) else None
        number = _as_number(margin)
        rule = rules.get(str(name), MetricRule())
        if number is not None and rule.margin is None:
            rules[str(name)] = MetricRule(higher_is_better=rule.higher_is_better, margin=number, kind=rule.kind)
    return rules


def _as_number(value: Any) -> float | None:
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return float(value.strip()[:-1]) / 100
        return None if value is None or isinstance(value, bool) else float(value)
    except ValueError:
        return None


def assemble(
    spec: ExperimentSpec, finished: Sequence[Finished], evaluations: Sequence[Evaluation], order: Sequence[str]
) -> dict[str, Any]:
    """Scores, comparisons, ranks, regressions, noise: all that follows from what was measured.

    Args:
        spec: The use case.
        finished: The runs.
        evaluations: All evaluations, their names settled.
        order: Nodes of the application in the order they run.
    """
    rules = metric_rules(spec)
    runs = {item.record.id: item for item in finished}
    datasets = {d.name: d for e in spec.evaluators for d in e.datasets}
    facts = {name: row_facts(_facts_dataset(spec, dataset), gate_segments(spec)) for name, dataset in datasets.items()}
    scores: list[dict[str, Any]] = []
    series: list[Series] = []
    for evaluation in evaluations:
        run = runs.get(str(evaluation.run))
        if run is None:
            continue
        held = facts.get(evaluation.dataset, {})
        scores.append(_score(evaluation, run, rules, held))
        series += series_of(evaluation, run, rules, held)
    merged = merge_repeats(series)
    comparisons = compare_series(merged, rules, judged=gate_metrics(spec))
    for entry in comparisons:
        entry["certainty"] = _certainty(entry, finished, evaluations)
    return {
        "scores": scores,
        "comparisons": comparisons,
        "winners": rank(merged),
        "regressions": _regressions(merged, finished, datasets, order),
        "noise_floor": noise_of(merged),
        "facts": facts,
    }


def _facts_dataset(spec: ExperimentSpec, dataset: DatasetSpec) -> DatasetSpec:
    """Where rows are numbered as in the run: with a key column that is the run's own dataset."""
    if dataset.key is None:
        return dataset
    base = spec.dataset(dataset.runs_of)
    return dataset if base is None else base


def _score(
    evaluation: Evaluation, run: Finished, rules: Mapping[str, MetricRule], facts: Mapping[int, RowFacts]
) -> dict[str, Any]:
    return {
        "evaluator": evaluation.evaluator,
        "run": run.record.id,
        "variant_label": run.task.cell.label,
        "dataset": evaluation.dataset,
        "run_dataset": run.task.dataset.name,
        "repeat": run.task.repeat,
        "metrics": measure(evaluation, rules, facts),
        "segments": measure_segments(evaluation, rules, facts),
        "rows": {
            "scored": len(evaluation.rows) - evaluation.failed,
            "failed": evaluation.failed,
            "application_failed": run.record.rows.failed,
            "unmatched": evaluation.unmatched,
        },
        "error": evaluation.error,
    }


def series_of(
    evaluation: Evaluation, run: Finished, rules: Mapping[str, MetricRule], facts: Mapping[int, RowFacts]
) -> Iterator[Series]:
    """One series for each metric that has scores of rows."""
    clusters = {row: fact.cluster for row, fact in facts.items() if fact.cluster is not None}
    for name in metric_names(evaluation):
        scores = [(row.row, row.scores.get(name)) for row in evaluation.rows if name in row.scores]
        if scores:
            yield Series(
                evaluator=evaluation.evaluator,
                dataset=evaluation.dataset,
                metric=name,
                variant=run.task.cell.label,
                is_baseline=run.task.cell.is_baseline,
                higher_is_better=direction(name, evaluation, rules),
                scores=scores,
                clusters=clusters,
            )


def merge_repeats(series: Iterable[Series]) -> list[Series]:
    """One series a variant, with the scores of all its repeats."""
    found: dict[tuple[str, str, str, str], Series] = {}
    for item in series:
        key = (*item.key, item.variant)
        earlier = found.get(key)
        found[key] = item if earlier is None else replace(earlier, scores=[*earlier.scores, *item.scores])
    return list(found.values())


def _certainty(
    entry: Mapping[str, Any], finished: Sequence[Finished], evaluations: Sequence[Evaluation]
) -> dict[str, Any] | None:
    """What "cannot tell" would take, from what rows cost and took here."""
    labels = {entry["baseline"], entry["candidate"]}
    pair = [item for item in finished if item.task.cell.label in labels and item.task.repeat == 0]
    ids = {item.record.id for item in pair}
    scoring = [e for e in evaluations if e.run in ids and e.evaluator == entry["evaluator"]]
    rows = sum(item.record.rows.completed + item.record.rows.failed for item in pair) / 2
    if not rows:
        return None
    costs = [item.record.cost_usd for item in pair] + [e.cost_usd for e in scoring]
    known = [cost for cost in costs if cost is not None]
    seconds = sum(item.record.duration_s for item in pair) + sum(e.duration_s for e in scoring)
    return price_of_certainty(
        entry, cost_per_row=sum(known) / rows if known else None, seconds_per_row=seconds / rows if seconds else None
    )


def _regressions(
    series: Sequence[Series],
    finished: Sequence[Finished],
    datasets: Mapping[str, DatasetSpec],
    order: Sequence[str],
) -> list[dict[str, Any]]:
    """For each dataset, which node the rows that got worse begin to differ at."""
    found: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(item.task.dataset.name for item in finished):
        runs = [item for item in finished if item.task.dataset.name == dataset and item.task.repeat == 0]
        here = [s for s in series if s.dataset in datasets and datasets[s.dataset].runs_of == dataset]
        if len(runs) < 2 or not here or runs[0].record.rows.total > _ATTRIBUTION_ROWS:
            continue
        baseline = next((item for item in runs if item.task.cell.is_baseline), None)
        if baseline is None:
            continue
        before: dict[int, dict[str, Any]] = {}
        for run in runs:
            label = run.task.cell.label
            pair = [s for s in here if s.is_baseline or s.variant == label]
            if run is not baseline and got_worse(pair):
                before = before or _outcomes_by_row(baseline)
                found += attribute(pair, {baseline.task.cell.label: before, label: _outcomes_by_row(run)}, order)
    return found


def _outcomes_by_row(run: Finished) -> dict[int, dict[str, Any]]:
    return {int(outcome["row"]): outcome for outcome in run.record.outcomes()}


def row_score_lines(
    evaluations: Iterable[Evaluation], facts: Mapping[str, Mapping[int, RowFacts]], labels: Mapping[str, str]
) -> Iterator[str]:
    """The lines of `row_scores.jsonl`."""
    for evaluation in evaluations:
        held = facts.get(evaluation.dataset, {})
        for row in evaluation.rows:
            line: dict[str, Any] = {
                "evaluator": evaluation.evaluator,
                "run": evaluation.run,
                "variant_label": labels.get(str(evaluation.run)),
                "dataset": evaluation.dataset,
                "row": row.row,
                "scores": dict(row.scores),
                "error": row.error,
            }
            fact = held.get(row.row)
            if fact is not None and fact.cluster is not None:
                line["cluster"] = fact.cluster
            if fact is not None and fact.segments:
                line["segments"] = dict(fact.segments)
            yield json.dumps(line, ensure_ascii=False, default=str) + "\n"


def write_row_scores(path: Path, lines: Iterable[str]) -> None:
    """Write the scores of all rows, whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    with scratch.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    scratch.replace(path)
