"""Demands against a baseline: the same rows, compared in pairs, corrected for their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from genaiops.gates._evidence import Evidence, usable
from genaiops.gates._limits import Measured, measured
from genaiops.gates._policy import MetricPolicy, Policy
from genaiops.gates._verdict import Check, Result
from genaiops.gates._words import between, effort, number, signed
from genaiops.plain_text import plural
from genaiops.stats import Decision, PairedComparison, compare_pairs, decide, pair_rows


class _Pair(NamedTuple):
    """A candidate and the baseline that it is held against."""

    demand: MetricPolicy
    candidate: Measured
    baseline: Measured
    comparison: PairedComparison | None
    unpaired: int


def comparison_checks(
    evidence: Evidence,
    runs: Sequence[Mapping[str, Any]],
    policy: Policy,
    *,
    baseline: Evidence,
    baseline_runs: Sequence[Mapping[str, Any]],
) -> Iterator[Check]:
    """Compare runs with the baseline's for each metric that demands it; Holm over all of them together."""
    pairs: list[_Pair] = []
    for demand in policy.metrics:
        if demand.compares:
            candidates = measured(evidence, runs, demand, policy.level)
            others = measured(baseline, baseline_runs, demand, policy.level)
            known = {(item.evaluator, item.dataset): item for item in others}
            for item in candidates:
                other = known.get((item.evaluator, item.dataset))
                if other is None:
                    yield _missing(demand, item)
                else:
                    pairs.append(_paired(demand, item, other, evidence, baseline, policy.level))
    comparisons = [pair.comparison for pair in pairs if pair.comparison is not None]
    margins = [pair.demand.max_drop or 0.0 for pair in pairs if pair.comparison is not None]
    decisions = iter(decide(comparisons, margins, level=policy.level))
    for pair in pairs:
        if pair.comparison is None:
            yield _by_value(pair)
        else:
            yield _decided(pair, pair.comparison, next(decisions), _price(runs))


def comparable_checks(
    evidence: Evidence,
    runs: Sequence[Mapping[str, Any]],
    baseline: Evidence,
    baseline_runs: Sequence[Mapping[str, Any]],
    *,
    force: bool,
) -> Iterator[Check]:
    """Refuse a baseline that was measured on other data or with other evaluators: the difference would mean nothing."""
    theirs = {str(run.get("dataset")): run.get("dataset_digest") for run in baseline_runs}
    for dataset, digest in {str(run.get("dataset")): run.get("dataset_digest") for run in runs}.items():
        other = theirs.get(dataset)
        if digest and other and digest != other:
            yield _differs(f"The dataset {dataset!r}", str(digest), str(other), dataset, force=force)
    known = _evaluator_digests(baseline)
    for evaluator, digest in _evaluator_digests(evidence).items():
        other = known.get(evaluator)
        if other and digest != other:
            yield _differs(f"The evaluator {evaluator!r}", digest, other, None, force=force)


def _paired(
    demand: MetricPolicy, item: Measured, other: Measured, evidence: Evidence, baseline: Evidence, level: float
) -> _Pair:
    after = evidence.rows(item.evaluator, item.metric, item.runs)
    before = baseline.rows(other.evaluator, other.metric, other.runs)
    pairs = pair_rows(before, after)
    if not pairs.rows:
        return _Pair(demand, item, other, None, len(pairs.unpaired))
    clusters = evidence.clusters(item.evaluator, item.runs)
    comparison = compare_pairs(
        pairs.baseline,
        pairs.candidate,
        level=level,
        higher_is_better=item.higher_is_better,
        clusters=[clusters[row] for row in pairs.rows] if all(row in clusters for row in pairs.rows) else None,
    )
    return _Pair(demand, item, other, comparison, len(pairs.unpaired))


def _decided(
    pair: _Pair, found: PairedComparison, decision: Decision, price: tuple[float | None, float | None]
) -> Check:
    demand, margin = pair.demand, pair.demand.max_drop or 0.0
    gain = found.difference if found.higher_is_better else -found.difference
    if demand.judge == "mean" and demand.max_drop is not None and demand.require is None:
        held = gain >= -margin
    elif demand.require is not None:
        held = decision.verdict == "better" or decision.verdict == demand.require
    else:
        held = decision.verdict in ("better", "not worse") or (
            decision.verdict == "cannot tell" and demand.on_cannot_tell == "pass"
        )
    words = (
        f"{pair.candidate.metric}: {pair.candidate.variant} {_verdict_in_words(decision, margin)} than the baseline "
        f"on {pair.candidate.dataset}: {number(found.candidate)} against {number(found.baseline)}, "
        f"{signed(found.difference)} ({between(found.low, found.high)}) on {plural(found.pairs, 'row')}"
        f"{_not_shared(pair.unpaired)}; {found.improved} better, {found.worsened} worse."
    )
    if decision.verdict == "cannot tell":
        words = words.replace(" than the baseline", " from the baseline", 1) + _what_would_tell(decision, found, price)
    if not held and demand.require:
        words += f" Demanded: {demand.require}."
    details = {
        "verdict": decision.verdict,
        "baseline_value": found.baseline,
        "candidate_value": found.candidate,
        "baseline": pair.baseline.variant,
        "p_value": found.p_value,
        "p_adjusted": decision.p_adjusted,
        "test": found.test,
        "pairs": found.pairs,
        "unpaired": pair.unpaired,
        "improved": found.improved,
        "worsened": found.worsened,
        "margin": margin,
        "needed_rows": decision.needed_rows,
        "smallest_detectable": decision.smallest_detectable,
        "judged_by": demand.judge,
    }
    return _check(pair, "passed" if held else "failed", words, found.difference, found.low, found.high, details)


def _verdict_in_words(decision: Decision, margin: float) -> str:
    if decision.verdict == "not worse":
        return f"is not more than {number(margin)} worse" if margin else "is not worse"
    return {"better": "is better", "worse": "is worse", "cannot tell": "cannot be told"}[decision.verdict]


def _what_would_tell(decision: Decision, found: PairedComparison, price: tuple[float | None, float | None]) -> str:
    seen = f" These rows would have shown a difference of {number(decision.smallest_detectable)}."
    if decision.needed_rows is None:
        return f"{seen} No number of rows tells two equal variants apart: set a `max_drop` that you accept."
    more = decision.needed_rows - found.pairs
    cost, seconds = (each * more if each else None for each in price)
    worst = found.low if found.higher_is_better else (-found.high if found.high is not None else None)
    accept = f"; or accept a drop of {number(-worst)}" if worst is not None and worst < 0 else ""
    return f"{seen} About {effort(more, cost_usd=cost, duration_s=seconds)} would tell{accept}."


def _not_shared(count: int) -> str:
    return f" ({plural(count, 'row')} only in one of them)" if count else ""


def _by_value(pair: _Pair) -> Check:
    """A metric without scores of rows, such as an aggregate of an evaluation flow, has only its value to compare."""
    before, after = pair.baseline.value, pair.candidate.value
    margin = pair.demand.max_drop or 0.0
    subject = f"{pair.candidate.metric} of {pair.candidate.variant} on {pair.candidate.dataset}"
    if before is None or after is None:
        return _check(pair, "failed", f"{subject}: there is no value on both sides to compare.", None, None, None, {})
    gain = (after - before) * (1 if pair.candidate.higher_is_better else -1)
    held = gain > 0 if pair.demand.require == "better" else gain >= -margin
    words = (
        f"{subject}: {number(after)} against {number(before)}, {signed(after - before)}; "
        f"accepted drop {number(margin)}. "
        "Compared by value alone: it has no scores of single rows, so chance cannot be ruled out."
    )
    details = {"verdict": "cannot tell", "baseline_value": before, "candidate_value": after, "judged_by": "mean"}
    return _check(pair, "passed" if held else "failed", words, after - before, None, None, details)


def _missing(demand: MetricPolicy, item: Measured) -> Check:
    return Check(
        rule="baseline",
        result="failed",
        words=f"{item.metric} on {item.dataset} was not measured for the baseline, so nothing can be compared.",
        metric=item.metric,
        evaluator=item.evaluator,
        dataset=item.dataset,
        variant=item.variant,
        limit=demand.max_drop,
    )


def _check(
    pair: _Pair,
    result: Result,
    words: str,
    found: float | None,
    low: float | None,
    high: float | None,
    details: Mapping[str, Any],
) -> Check:
    return Check(
        rule="baseline",
        result=result,
        words=words,
        metric=pair.candidate.metric,
        evaluator=pair.candidate.evaluator,
        dataset=pair.candidate.dataset,
        variant=pair.candidate.variant,
        found=found,
        low=low,
        high=high,
        limit=pair.demand.max_drop,
        details=details,
    )


def _price(runs: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Dollars and seconds that a row took, where known."""
    rows = sum(int(run.get("rows", {}).get("completed") or 0) for run in runs)
    if not rows:
        return None, None
    costs = [usable(run.get("cost_usd")) for run in runs]
    seconds = [usable(run.get("duration_s")) for run in runs]
    cost = sum(each for each in costs if each is not None) / rows if None not in costs else None
    return cost, (sum(each for each in seconds if each is not None) / rows if None not in seconds else None)


def _differs(what: str, ours: str, theirs: str, dataset: str | None, *, force: bool) -> Check:
    words = f"{what} is not the one that the baseline was measured with ({ours[:12]} against {theirs[:12]})."
    if force:
        words += " Compared all the same, as asked: the difference may come from that."
    else:
        words += " Run the baseline again with it, or compare all the same with --force."
    details = {"ours": ours, "theirs": theirs, "forced": force}
    return Check(
        rule="comparable", result="passed" if force else "failed", words=words, dataset=dataset, details=details
    )


def _evaluator_digests(evidence: Evidence) -> dict[str, str]:
    lines = [*evidence.result.get("evaluations", ()), *evidence.scores]
    found = {str(line.get("evaluator")): line.get("evaluator_digest") or line.get("digest") for line in lines}
    return {name: str(digest) for name, digest in found.items() if digest}


def default_runs(evidence: Evidence) -> list[Mapping[str, Any]]:
    """The runs of the default variant, which is what would ship; all runs when none is marked."""
    marked = [run for run in evidence.runs if run.get("is_baseline")]
    return marked or evidence.runs
