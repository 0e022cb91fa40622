"""Variants against the baseline on the same rows: intervals, corrected p-values, words, ties, noise."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from genaiops.experiments._spec import MetricRule
from genaiops.records import record
from genaiops.stats import (
    Decision,
    PairedComparison,
    average_repeats,
    compare_pairs,
    decide,
    noise_floor,
    pair_rows,
    winner,
)


@record(frozen=True, kw_only=True)
class Series:
    """The scores of one metric for one variant, all its repeats.

    Args:
        evaluator: Who scored.
        dataset: The evaluation dataset.
        metric: Its name.
        variant: Label of the variant.
        is_baseline: The others are compared with this one.
        higher_is_better: Direction of the metric.
        scores: (row, score) of every repeat; `None` where there is none.
        clusters: Row -> group, where the dataset has one.
    """

    evaluator: str
    dataset: str
    metric: str
    variant: str
    is_baseline: bool
    higher_is_better: bool
    scores: Sequence[tuple[int, float | None]]
    clusters: Mapping[int, Hashable] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What it may be compared with: the same evaluator, dataset and metric."""
        return self.evaluator, self.dataset, self.metric

    def by_row(self) -> dict[int, float]:
        """One score a row, repeats averaged."""
        return average_repeats(self.scores)


def compare_series(
    series: Sequence[Series], rules: Mapping[str, MetricRule], *, judged: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Every candidate against its baseline, in the published form.

    Args:
        series: All metrics of all variants.
        rules: Margins of the use case.
        judged: Metrics that a gate looks at: they are corrected together, the rest as exploration together.
    """
    pairs = _pairs(series)
    wanted = set(judged)
    entries: dict[int, dict[str, Any]] = {}
    for family in (True, False):
        members = [
            (i, base, other, found)
            for i, (base, other, found) in enumerate(pairs)
            if family == (base.metric in wanted or f"{base.evaluator}.{base.metric}" in wanted)
        ]
        margins = [margin_of(base, rules) for _, base, _, _ in members]
        decisions = decide([found for *_, found in members], margins)
        for (index, base, other, found), margin, decision in zip(members, margins, decisions, strict=True):
            entries[index] = _entry(base, other, found, margin, decision)
    return [entries[index] for index in range(len(pairs))]


def margin_of(series: Series, rules: Mapping[str, MetricRule]) -> float:
    """The largest drop that still counts as not worse; nought when nobody set one."""
    for name in (f"{series.evaluator}.{series.metric}", series.metric):
        rule = rules.get(name)
        if rule is not None and rule.margin is not None:
            return float(rule.margin)
    return 0.0


def _pairs(series: Sequence[Series]) -> list[tuple[Series, Series, PairedComparison]]:
    baselines = {s.key: s for s in series if s.is_baseline}
    found = []
    for candidate in series:
        baseline = baselines.get(candidate.key)
        if candidate.is_baseline or baseline is None:
            continue
        rows = pair_rows(baseline.by_row(), candidate.by_row())
        if not rows.rows:
            continue
        clusters = [baseline.clusters.get(row) for row in rows.rows if isinstance(row, int)]
        grouped = clusters if clusters and all(cluster is not None for cluster in clusters) else None
        comparison = compare_pairs(
            rows.baseline, rows.candidate, higher_is_better=baseline.higher_is_better, clusters=grouped
        )
        found.append((baseline, candidate, comparison))
    return found


def _entry(
    baseline: Series, candidate: Series, found: PairedComparison, margin: float, decision: Decision
) -> dict[str, Any]:
    return {
        "metric": baseline.metric,
        "evaluator": baseline.evaluator,
        "dataset": baseline.dataset,
        "baseline": baseline.variant,
        "candidate": candidate.variant,
        "baseline_value": found.baseline,
        "candidate_value": found.candidate,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "p_adjusted": decision.p_adjusted,
        "test": found.test,
        "pairs": found.pairs,
        "improved": found.improved,
        "worsened": found.worsened,
        "margin": margin,
        "higher_is_better": found.higher_is_better,
        "verdict": decision.verdict,
        "needed_rows": decision.needed_rows,
        "smallest_detectable": decision.smallest_detectable,
    }


def price_of_certainty(
    comparison: Mapping[str, Any], *, cost_per_row: float | None, seconds_per_row: float | None
) -> dict[str, Any] | None:
    """What "cannot tell" would take: more rows, dollars, minutes; `None` when no number of rows would tell.

    Args:
        comparison: An entry of `compare_series`.
        cost_per_row: Dollars of one row of the baseline and the candidate with their evaluation.
        seconds_per_row: Wall-clock seconds of the same.
    """
    needed = comparison.get("needed_rows")
    if comparison.get("verdict") != "cannot tell" or needed is None:
        return None
    more = max(0, int(needed) - int(comparison["pairs"]))
    return {
        "rows": more,
        "cost_usd": None if cost_per_row is None else more * cost_per_row,
        "duration_s": None if seconds_per_row is None else more * seconds_per_row,
    }


def rank(series: Sequence[Series]) -> list[dict[str, Any]]:
    """For each metric with several variants: the best, all that tie with it, and its value without the luck."""
    groups: dict[tuple[str, str, str], list[Series]] = {}
    for item in series:
        groups.setdefault(item.key, []).append(item)
    found = []
    for (evaluator, dataset, metric), members in groups.items():
        scores = [member.by_row() for member in members]
        rows = [row for row in scores[0] if all(row in other for other in scores)]
        if len(members) < 2 or not rows:
            continue
        table = {m.variant: [s[row] for row in rows] for m, s in zip(members, scores, strict=True)}
        best = winner(table, higher_is_better=members[0].higher_is_better)
        found.append(
            {
                "evaluator": evaluator,
                "dataset": dataset,
                "metric": metric,
                "best": best.best,
                "tied": list(best.tied),
                "value": best.value,
                "shrunk": best.shrunk,
                "optimism": best.optimism,
                "rows": len(rows),
            }
        )
    return found


def noise_of(series: Sequence[Series]) -> dict[str, Any] | None:
    """How much each metric moves when nothing was changed, from repeats; the first metric stands for the suite."""
    metrics = []
    for item in series:
        repeats: dict[int, list[float]] = {}
        for row, score in item.scores:
            if score is not None:
                repeats.setdefault(row, []).append(score)
        repeated = [scores for scores in repeats.values() if len(scores) >= 2]
        if not item.is_baseline or len(repeated) < 2:
            continue
        floor = noise_floor(repeated, of_rows=len(repeats))
        metrics.append(
            {
                "metric": item.metric,
                "evaluator": item.evaluator,
                "dataset": item.dataset,
                "rows": floor.rows,
                "repeats": floor.repeats,
                "flip_share": floor.flip_share,
                "spread": floor.spread,
                "floor": floor.floor,
            }
        )
    return {**metrics[0], "metrics": metrics} if metrics else None
