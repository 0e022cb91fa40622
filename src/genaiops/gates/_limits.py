"""Demands on one experiment alone: floors, segments, failed rows, cost, latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

from genaiops.errors import suggest
from genaiops.gates._evidence import Evidence, label, usable
from genaiops.gates._policy import JudgeBy, MetricPolicy, Policy, SegmentPolicy
from genaiops.gates._verdict import Check, Result
from genaiops.gates._words import between, number, percent
from genaiops.plain_text import plural
from genaiops.stats import estimate


class Measured(NamedTuple):
    """One metric of one variant on one dataset, repeats taken together."""

    evaluator: str
    metric: str
    dataset: str
    variant: str
    runs: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    rows: int
    failed: int
    higher_is_better: bool
    segments: tuple[Mapping[str, Any], ...]


def measured(
    evidence: Evidence, runs: Sequence[Mapping[str, Any]], demand: MetricPolicy, level: float
) -> list[Measured]:
    """Everything that a demand on a metric is about, for the given runs."""
    labels = {str(run.get("id")): label(run) for run in runs}
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for score in evidence.scores:
        run, evaluator, dataset = (str(score.get(key)) for key in ("run", "evaluator", "dataset"))
        if run not in labels or demand.metric not in score.get("metrics", {}):
            continue
        if demand.evaluator in (None, evaluator) and demand.dataset in (None, dataset, score.get("run_dataset")):
            groups.setdefault((evaluator, dataset, labels[run]), []).append(score)
    return [_together(evidence, demand.metric, key, scores, level) for key, scores in groups.items()]


def metric_checks(found: Sequence[Measured], demand: MetricPolicy, evidence: Evidence) -> Iterator[Check]:
    """Whether it was measured at all, and its floors and ceilings, overall and in segments."""
    if not found:
        names = evidence.metric_names()
        where = "".join(
            f" {word} {name!r}" for word, name in (("by", demand.evaluator), ("on", demand.dataset)) if name
        )
        words = f"{demand.metric} was not measured{where}. " + (
            suggest(demand.label, names) if names else "No metric was."
        )
        yield Check(rule="measured", result="failed", words=words, metric=demand.metric, evaluator=demand.evaluator)
    for item in found:
        if item.value is None or item.rows < demand.min_rows:
            least = f", at least {demand.min_rows:,} are demanded" if item.rows else ""
            words = f"{item.metric} has {plural(item.rows, 'scored row')}{_where(item)}{least}: nothing was measured."
            yield _check("measured", "failed", words, item)
            continue
        yield from _bounds(demand, item)
        if demand.segments:
            yield from _segment_checks(demand, demand.segments, item)


def row_checks(evidence: Evidence, runs: Sequence[Mapping[str, Any]], policy: Policy) -> Iterator[Check]:
    """Failed rows of the application and rows that evaluators could not score: two different faults, counted apart."""
    if not runs:
        yield Check(rule="measured", result="failed", words="No run was made, so there is nothing to judge.")
    for (variant, dataset), repeats in _cells(runs).items():
        counts = [run.get("rows") or {} for run in repeats]
        done, failed = (sum(int(rows.get(word) or 0) for rows in counts) for word in ("completed", "failed"))
        total = done + failed
        where: dict[str, Any] = {"variant": variant, "dataset": dataset}
        at = f"{variant} on {dataset}{_so_often(repeats)}"
        if done == 0:
            words = f"{at}: {_all_failed(total)}."
            yield Check(rule="measured", result="failed", words=words, found=float(done), **where)
            continue
        yield _share_check(
            "failed rows",
            failed,
            total,
            policy.max_failed_rows,
            f"{at}: {failed:,} of {plural(total, 'row')} failed",
            where,
        )
    yield from _unscored_checks(evidence, {str(run.get("id")): label(run) for run in runs}, policy)


def cost_checks(runs: Sequence[Mapping[str, Any]], policy: Policy) -> Iterator[Check]:
    """Cost and latency of what is judged; unknown is not cheap."""
    costs = [usable(run.get("cost_usd")) for run in runs]
    total = sum(cost for cost in costs if cost is not None) if None not in costs else None
    rows = sum(int(run.get("rows", {}).get("completed") or 0) for run in runs)
    if policy.max_cost_usd is not None:
        yield _ceiling("cost", total, policy.max_cost_usd, "The judged runs cost", "$")
    if policy.max_cost_per_row_usd is not None:
        each = total / rows if total is not None and rows else None
        yield _ceiling("cost", each, policy.max_cost_per_row_usd, "A row costs", "$")
    if policy.max_latency_p95_s is not None:
        for (variant, dataset), repeats in _cells(runs).items():
            times = [usable((run.get("latency_s") or {}).get("p95")) for run in repeats]
            known = [time for time in times if time is not None]
            slowest = max(known) if len(known) == len(times) else None
            about = f"95 % of rows of {variant} on {dataset}{_slowest(repeats)} finish within"
            yield _ceiling("latency", slowest, policy.max_latency_p95_s, about, "", " s")


def _cells(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """The runs of each variant on each dataset, its repeats together: they are one thing to judge."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        cells.setdefault((label(run), str(run.get("dataset"))), []).append(run)
    return cells


def _all_failed(total: int) -> str:
    if total <= 1:
        return "its only row failed" if total else "there were no rows"
    return f"all {total:,} rows failed"


def _so_often(repeats: Sequence[Any]) -> str:
    return f", {len(repeats)} repeats" if len(repeats) > 1 else ""


def _slowest(repeats: Sequence[Any]) -> str:
    return f" in the slowest of {len(repeats)} repeats" if len(repeats) > 1 else ""


def _together(
    evidence: Evidence, metric: str, key: tuple[str, str, str], scores: Sequence[Mapping[str, Any]], level: float
) -> Measured:
    evaluator, dataset, variant = key
    forms = [score["metrics"][metric] for score in scores]
    runs = tuple(str(score.get("run")) for score in scores)
    first = forms[0]
    value, low, high, rows = (
        usable(first.get("value")),
        usable(first.get("low")),
        usable(first.get("high")),
        int(first.get("rows") or 0),
    )
    values = evidence.rows(evaluator, metric, runs) if len(forms) > 1 else {}
    if len(forms) > 1:
        if values:  # repeats of a row are one row
            clusters = evidence.clusters(evaluator, runs)
            groups = [clusters[row] for row in values] if clusters.keys() >= values.keys() else None
            value, low, high, rows, *_ = estimate(list(values.values()), level, clusters=groups)
        else:
            known = [number for form in forms if (number := usable(form.get("value"))) is not None]
            value, low, high = (sum(known) / len(known) if known else None), None, None
    return Measured(
        evaluator, metric, dataset, variant, runs, value, low, high, rows,
        sum(int(form.get("failed") or 0) for form in forms),
        bool(first.get("higher_is_better", True)),
        tuple(score.get("segments") or {} for score in scores),
    )  # fmt: skip


def _bounds(demand: MetricPolicy, item: Measured) -> Iterator[Check]:
    if demand.min is not None:
        yield _bound(demand.judge, item, demand.min, floor=True)
    if demand.max is not None:
        yield _bound(demand.judge, item, demand.max, floor=False)


def _bound(judge: JudgeBy, item: Measured, limit: float, *, floor: bool, segment: str | None = None) -> Check:
    """Hold the bad end of the interval against the limit: a lucky mean is not a proof."""
    value = item.value if item.value is not None else float("nan")
    end = item.low if floor else item.high
    by_mean = judge == "mean" or end is None
    judged = value if by_mean or end is None else end
    sign = 1 if floor else -1
    holds, mean_holds = sign * judged >= sign * limit, sign * value >= sign * limit
    inside = f" ({between(item.low, item.high)})" if item.low is not None else ""
    subject = f"{item.metric}{f' for {segment}' if segment else ''} {number(value)}{inside}{_where(item)}"
    beyond, within = ("below", "at or above") if floor else ("above", "at or below")
    if holds:
        words = f"{subject} is {within} {number(limit)}."
    elif not mean_holds:
        words = f"{subject} is {beyond} {number(limit)}."
    else:
        needed = _rows_for(item, limit, end)
        more = f" About {plural(needed, 'row')} in all would show it" if needed else " More rows would show it"
        words = (
            f"{subject} is {within} {number(limit)}, but its interval reaches {beyond}: "
            f"{plural(item.rows, 'row')} cannot show it.{more}; `judge: mean` would ignore the uncertainty."
        )
    rule = "segment" if segment else "floor" if floor else "ceiling"
    details = {"judged_by": "mean" if by_mean else "interval", "rows": item.rows, "decided": holds or not mean_holds}
    return _check(rule, "passed" if holds else "failed", words, item, limit=limit, segment=segment, details=details)


def _rows_for(item: Measured, limit: float, end: float | None) -> int | None:
    """Rows at which the interval, shrinking with √rows, would end at the limit."""
    if item.value is None or end is None or item.value == limit:
        return None
    return ceil(item.rows * ((item.value - end) / (item.value - limit)) ** 2)


def _segment_checks(demand: MetricPolicy, rule: SegmentPolicy, item: Measured) -> Iterator[Check]:
    if rule.min is None and rule.max is None:
        rule = replace(rule, min=demand.min, max=demand.max)
    present = {column for held in item.segments for column in held}
    for column in rule.columns or sorted(present):
        if column not in present:
            words = f"{item.metric} was not measured by {column!r}{_where(item)}. {suggest(column, present)}"
            yield _check("segment", "failed", words, item, segment=column)
    for column in sorted(present):
        if rule.columns and column not in rule.columns:
            continue
        for held in item.segments[:1]:  # repeats measure the same segments
            for name, metrics in sorted(held.get(column, {}).items()):
                yield from _one_segment(rule, item, f"{column} = {name}", metrics.get(item.metric))


def _one_segment(rule: SegmentPolicy, item: Measured, segment: str, form: Mapping[str, Any] | None) -> Iterator[Check]:
    rows = int((form or {}).get("rows") or 0)
    if form is None or rows < rule.min_rows:
        words = f"{item.metric} for {segment}: {plural(rows, 'row')}, under {rule.min_rows}: too few to judge."
        yield _check("segment", "not judged", words, item, segment=segment)
        return
    part = item._replace(
        value=usable(form.get("value")), low=usable(form.get("low")), high=usable(form.get("high")), rows=rows
    )
    for limit, floor in ((rule.min, True), (rule.max, False)):
        if limit is not None:
            yield _bound(rule.judge, part, limit, floor=floor, segment=segment)


def _unscored_checks(evidence: Evidence, labels: Mapping[str, str], policy: Policy) -> Iterator[Check]:
    cells: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for score in evidence.scores:
        run = str(score.get("run"))
        forms = list(score.get("metrics", {}).values())
        if run in labels and forms:
            failed = max(int(form.get("failed") or 0) for form in forms)
            total = max(int(form.get("rows") or 0) + int(form.get("failed") or 0) for form in forms)
            key = (str(score.get("evaluator")), labels[run], str(score.get("dataset")))
            cells.setdefault(key, []).append((failed, total))
    for (evaluator, variant, dataset), counts in cells.items():
        failed, total = (sum(column) for column in zip(*counts, strict=True))
        of = f"of {variant} on {dataset}{_so_often(counts)}"
        about = f"{evaluator} could not score {failed:,} of {plural(total, 'row')} {of}"
        where = {"variant": variant, "dataset": dataset, "evaluator": evaluator}
        if total:
            yield _share_check("unscored rows", failed, total, policy.max_unscored_rows, about, where)


def _share_check(rule: str, count: int, total: int, limit: float, about: str, where: Mapping[str, Any]) -> Check:
    share = count / total
    held = share <= limit
    words = f"{about} ({percent(share)}); accepted: {percent(limit)}."
    return Check(rule=rule, result="passed" if held else "failed", words=words, found=share, limit=limit, **where)


def _ceiling(rule: str, found: float | None, limit: float, about: str, before: str, after: str = "") -> Check:
    if found is None:
        words = f"{about} an unknown amount: the {rule} was not measured."
        return Check(rule=rule, result="failed", words=words, limit=limit)
    held = found <= limit
    words = f"{about} {before}{number(found)}{after}; the limit is {before}{number(limit)}{after}."
    return Check(rule=rule, result="passed" if held else "failed", words=words, found=found, limit=limit)


def _check(
    rule: str,
    result: Result,
    words: str,
    item: Measured,
    *,
    limit: float | None = None,
    segment: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Check:
    return Check(
        rule=rule,
        result=result,
        words=words,
        metric=item.metric,
        evaluator=item.evaluator,
        dataset=item.dataset,
        variant=item.variant,
        segment=segment,
        found=item.value,
        low=item.low,
        high=item.high,
        limit=limit,
        details=details or {},
    )


def _where(item: Measured) -> str:
    return f" on {item.dataset}"
