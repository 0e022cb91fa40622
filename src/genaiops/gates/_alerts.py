"""Whether quality in production fell against the level that was accepted.

A gate asks for proof that a change may be released, an alert for proof that something got worse: too few rows fail a
gate and raise no alert.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final, NamedTuple

from genaiops.errors import suggest
from genaiops.gates._against import default_runs
from genaiops.gates._evidence import Evidence, label
from genaiops.gates._limits import Measured, cost_checks, measured, row_checks
from genaiops.gates._policy import MetricPolicy, Policy
from genaiops.gates._reading import LineOf, PolicyReader
from genaiops.gates._verdict import Check, Result, Verdict
from genaiops.gates._words import between, number, signed
from genaiops.plain_text import plural
from genaiops.records import record
from genaiops.stats import IndependentComparison, compare_independent, holm, verdict_word

CHAMPION: Final = "champion"
APPROVED: Final = "approved"
FEWEST_REQUESTS: Final = 20
ALERT_KEYS: Final = (
    "metrics",
    "baseline",
    "experiment",
    "max_failed_rows",
    "max_unscored_rows",
    "max_cost_usd",
    "max_cost_per_row_usd",
    "max_latency_p95_s",
    "level",
    "judge",
    "min_rows",
    "webhook",
    "token",
    "body",
    "notify",
)
_SENSELESS: Final = ("require", "segments")


@record(frozen=True, kw_only=True)
class AlertPolicy:
    """The `alert:` block of a use case, read and checked.

    Attributes:
        limits: What is watched: metrics with `min`, `max`, `max_drop`; without metrics all that production and the
            accepted experiment both have. Failed and unscored rows, cost and latency as in a gate.
        accepted: Where the accepted level comes from: `champion`, `approved` (the experiment approved last), an
            experiment's id, a git reference.
        experiment: The name of the experiment whose champion or approval counts; its own when None.
        webhook: Where a message goes, as it is written: `${NAME}` stands for a variable.
        token: Sent as `Authorization: Bearer …`, as it is written.
        body: `full`, the documented object; or `text`, the one field that chat services read.
        notify: Send a message only `on alert`, or `always`.
        min_rows: Fewer scored requests than this are not judged.
    """

    limits: Policy
    accepted: str = CHAMPION
    experiment: str | None = None
    webhook: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    body: str = "full"
    notify: str = "on alert"
    min_rows: int = FEWEST_REQUESTS


def read_alert(block: Mapping[str, Any], *, file: Path | None = None, line_of: LineOf | None = None) -> AlertPolicy:
    """Check the `alert:` block and fill in its defaults.

    Args:
        block: The block as read from YAML.
        file: The file that it stands in.
        line_of: From the keys inside the block to a line of the file.

    Raises:
        SettingsError: An unknown key, a value out of range, or a key that means nothing in an alert.

    Example:
        >>> policy = read_alert({"metrics": {"accuracy": {"margin": 0.05}}, "webhook": "${ALERT_WEBHOOK}"})
        >>> policy.accepted, policy.limits.metrics[0].max_drop
        ('champion', 0.05)
    """
    reader = PolicyReader(file, line_of, block="alert")
    limits = reader.policy({"min_rows": FEWEST_REQUESTS, **reader.mapping(block)}, ALERT_KEYS)
    for demand in limits.metrics:
        for key in _SENSELESS:
            if getattr(demand, key) is not None:
                message = f"{key!r} means nothing in an alert: it tells what must be proven before a release."
                raise reader.error(message, ("metrics", demand.label, key), "Use min, max or max_drop.")
    return AlertPolicy(
        limits=limits,
        accepted=limits.baseline or CHAMPION,
        experiment=reader.text(block.get("experiment"), ("experiment",)),
        webhook=reader.text(block.get("webhook"), ("webhook",)),
        token=reader.text(block.get("token"), ("token",)),
        body=reader.choice(block.get("body") or "full", ("full", "text"), ("body",)),
        notify=reader.choice(block.get("notify") or "on alert", ("on alert", "always"), ("notify",)),
        min_rows=reader.count(block.get("min_rows", FEWEST_REQUESTS), ("min_rows",)),
    )


def judge_alert(
    production: Evidence, policy: AlertPolicy, accepted: Evidence | None = None, *, force: bool = False
) -> Verdict:
    """Hold what production scored against the accepted level; `failed` means: raise the alarm.

    Args:
        production: The experiment over production requests.
        policy: What is watched.
        accepted: The experiment whose level was accepted; without one only limits are judged.
        force: Compare although evaluators differ.
    """
    runs = default_runs(production)
    demands = policy.limits.metrics or _shared(production, accepted, policy.min_rows)
    checks = list(row_checks(production, runs, policy.limits))
    pairs: list[_Pair] = []
    for demand in demands:
        found = measured(production, runs, demand, policy.limits.level)
        checks += _unmeasured(found, demand, production)
        for item in found:
            if item.value is not None and item.rows >= demand.min_rows:
                checks += _limits(demand, item)
                pairs += [_pair(demand, item, production, accepted)] if accepted and demand.max_drop is not None else []
    checks += cost_checks(runs, policy.limits)
    changed = _changed_evaluators(production, accepted) if accepted is not None else []
    checks += [_changed(name, force=force) for name in changed if name in {pair.item.evaluator for pair in pairs}]
    checks += _compared([pair for pair in pairs if force or pair.item.evaluator not in changed], policy.limits.level)
    if (accepted is None and any(demand.max_drop is not None for demand in demands)) or not demands:
        words = f"There is no accepted level yet ({policy.accepted}), so nothing was compared with it."
        checks.append(Check(rule="accepted level", result="not judged", words=words))
    return _verdict(production, accepted, runs, checks)


class _Pair(NamedTuple):
    """A metric in production, and the accepted scores of it."""

    demand: MetricPolicy
    item: Measured
    scores: list[float]
    accepted: list[float]
    clusters: list[Any] | None
    accepted_clusters: list[Any] | None
    accepted_value: float | None


def _shared(production: Evidence, accepted: Evidence | None, min_rows: int) -> tuple[MetricPolicy, ...]:
    """Every metric that both have, in the order production measured them."""
    theirs = set(accepted.metric_names()) if accepted is not None else set()
    names = dict.fromkeys(
        (str(score.get("evaluator")), name) for score in production.scores for name in score.get("metrics", {})
    )
    return tuple(
        MetricPolicy(metric=metric, evaluator=evaluator, min_rows=min_rows, max_drop=0.0)
        for evaluator, metric in names
        if f"{evaluator}.{metric}" in theirs
    )


def _unmeasured(found: Sequence[Measured], demand: MetricPolicy, production: Evidence) -> Iterator[Check]:
    """A quality that nobody measured is a failure of its own; too few requests are none."""
    if not found:
        hint = suggest(demand.label, production.metric_names()) if production.metric_names() else "No metric was."
        words = f"{demand.label} was not measured in production. {hint}"
        yield Check(rule="measured", result="failed", words=words, metric=demand.metric, evaluator=demand.evaluator)
    for item in found:
        if item.value is None or item.rows == 0:
            yield _check("measured", "failed", f"{item.metric} has no scored row: nothing was measured.", item)
        elif item.rows < demand.min_rows:
            words = (
                f"{item.metric} has {plural(item.rows, 'scored request')}, under {demand.min_rows}: too few to judge."
            )
            yield _check("measured", "not judged", words, item)


def _limits(demand: MetricPolicy, item: Measured) -> Iterator[Check]:
    """A floor is broken when the whole interval lies below it; by `judge: mean` when the value does."""
    for limit, sign, beyond in ((demand.min, 1, "below"), (demand.max, -1, "above")):
        if limit is None:
            continue
        best = item.high if sign > 0 else item.low
        judged = item.value if demand.judge == "mean" or best is None else best
        held = judged is not None and sign * judged >= sign * limit
        inside = f" ({between(item.low, item.high)})" if item.low is not None else ""
        words = f"{item.metric} is {number(item.value)}{inside} on {plural(item.rows, 'request')} of {item.dataset}, "
        words += f"not proven to be {beyond} {number(limit)}." if held else f"{beyond} {number(limit)}."
        rule = "floor" if sign > 0 else "ceiling"
        yield _check(rule, "passed" if held else "failed", words, item, limit=limit)


def _pair(demand: MetricPolicy, item: Measured, production: Evidence, accepted: Evidence) -> _Pair:
    """A metric beside the accepted scores of it: those of what would ship, on all datasets together."""
    wanted = MetricPolicy(metric=item.metric, evaluator=item.evaluator)
    then = measured(accepted, default_runs(accepted), wanted, 0.95)
    runs = [run for found in then for run in found.runs]
    before = accepted.rows(item.evaluator, item.metric, runs)
    after = production.rows(item.evaluator, item.metric, item.runs)
    return _Pair(
        demand,
        item,
        list(after.values()),
        list(before.values()),
        _groups(production, item.evaluator, item.runs, after),
        _groups(accepted, item.evaluator, runs, before),
        next((found.value for found in then), None),
    )


def _groups(evidence: Evidence, evaluator: str, runs: Sequence[str], rows: Mapping[Any, float]) -> list[Any] | None:
    clusters = evidence.clusters(evaluator, runs)
    return [clusters[row] for row in rows] if rows and clusters.keys() >= rows.keys() else None


def _compared(pairs: Sequence[_Pair], level: float) -> Iterator[Check]:
    """Every metric against its accepted level, corrected for their number."""
    comparisons = [
        compare_independent(
            pair.scores,
            pair.accepted,
            level=level,
            clusters=pair.clusters,
            baseline_clusters=pair.accepted_clusters,
        )
        if pair.scores and pair.accepted
        else None
        for pair in pairs
    ]
    corrected = iter(holm([found.p_value for found in comparisons if found is not None]))
    for pair, found in zip(pairs, comparisons, strict=True):
        yield _by_value(pair) if found is None else _by_rows(pair, found, next(corrected), level)


def _by_rows(pair: _Pair, found: IndependentComparison, p_adjusted: float, level: float) -> Check:
    margin = pair.demand.max_drop or 0.0
    better = pair.item.higher_is_better
    verdict = verdict_word(
        found.low, found.high, margin=margin, higher_is_better=better, p_adjusted=p_adjusted, level=level
    )
    fell = verdict == "worse" or (verdict == "cannot tell" and pair.demand.on_cannot_tell == "fail")
    words = (
        f"{pair.item.metric} is {number(found.candidate)} on {plural(found.rows, 'request')} of {pair.item.dataset} "
        f"against the accepted {number(found.baseline)} on {plural(found.baseline_rows, 'row')}: "
        f"{signed(found.difference)} ({between(found.low, found.high)}), {verdict}."
    )
    if verdict == "cannot tell":
        words += f" A change of {number(found.smallest_detectable)} would have shown."
    details = {
        "verdict": verdict,
        "value": found.candidate,
        "accepted_value": found.baseline,
        "rows": found.rows,
        "accepted_rows": found.baseline_rows,
        "p_value": found.p_value,
        "p_adjusted": p_adjusted,
        "margin": margin,
        "smallest_detectable": found.smallest_detectable,
    }
    return _accepted_check(
        pair, "failed" if fell else "passed", words, found.difference, found.low, found.high, details
    )


def _by_value(pair: _Pair) -> Check:
    """A metric without scores of rows on both sides has only its value, and chance cannot be ruled out."""
    value, accepted, margin = pair.item.value, pair.accepted_value, pair.demand.max_drop or 0.0
    subject = f"{pair.item.metric} on {pair.item.dataset}"
    if value is None or accepted is None:
        words = f"{subject} was not measured in the accepted experiment, so nothing can be compared."
        return _accepted_check(pair, "failed", words, None, None, None, {})
    words = f"{subject} is {number(value)} against the accepted {number(accepted)}, {signed(value - accepted)}"
    details = {"verdict": "cannot tell", "value": value, "accepted_value": accepted, "margin": margin}
    if not margin:
        words += ": without scores of rows and without a margin nobody can tell whether that is chance."
        return _accepted_check(pair, "not judged", words, value - accepted, None, None, details)
    fell = (accepted - value) * (1 if pair.item.higher_is_better else -1) > margin
    words += f"; accepted drop {number(margin)}. Compared by value alone: it has no scores of single rows."
    return _accepted_check(pair, "failed" if fell else "passed", words, value - accepted, None, None, details)


def _changed_evaluators(production: Evidence, accepted: Evidence) -> list[str]:
    """Evaluators whose code or parameters are not those that measured the accepted level."""
    ours, theirs = _code_digests(production), _code_digests(accepted)
    return [name for name, digest in ours.items() if name in theirs and theirs[name] != digest]


def _code_digests(evidence: Evidence) -> dict[str, str]:
    lines = evidence.result.get("evaluations") or ()
    return {str(line.get("evaluator")): str(line["code_digest"]) for line in lines if line.get("code_digest")}


def _changed(evaluator: str, *, force: bool) -> Check:
    words = f"The evaluator {evaluator!r} is not the one that measured the accepted level. "
    words += (
        "Compared all the same, as asked: a difference may come from that."
        if force
        else "Run the accepted experiment again with it, or compare all the same with --force."
    )
    result: Result = "passed" if force else "failed"
    return Check(rule="comparable", result=result, words=words, evaluator=evaluator, details={"forced": force})


def _verdict(
    production: Evidence, accepted: Evidence | None, runs: Sequence[Mapping[str, Any]], checks: Sequence[Check]
) -> Verdict:
    failed = [check.words for check in checks if check.result == "failed"]
    undecided = [check.words for check in checks if check.result == "not judged"]
    about = ("failed rows", "unscored rows", "comparable")  # these hold where nothing was measured at all
    held = [check.words for check in checks if check.passed and check.rule not in about]
    result: Result = "failed" if failed else "passed" if held else "not judged"
    return Verdict(
        result=result,
        reasons=tuple(dict.fromkeys([*(failed or held), *undecided])),
        checks=tuple(checks),
        experiment=str(production.result.get("id")),
        baseline=str(accepted.result.get("id")) if accepted is not None else None,
        candidate=", ".join(dict.fromkeys(label(run) for run in runs)) or None,
    )


def _accepted_check(
    pair: _Pair,
    result: Result,
    words: str,
    found: float | None,
    low: float | None,
    high: float | None,
    details: Mapping[str, Any],
) -> Check:
    item = pair.item
    return Check(
        rule="accepted level",
        result=result,
        words=words,
        metric=item.metric,
        evaluator=item.evaluator,
        dataset=item.dataset,
        variant=item.variant,
        found=found,
        low=low,
        high=high,
        limit=pair.demand.max_drop,
        details=details,
    )


def _check(rule: str, result: Result, words: str, item: Measured, *, limit: float | None = None) -> Check:
    return Check(
        rule=rule,
        result=result,
        words=words,
        metric=item.metric,
        evaluator=item.evaluator,
        dataset=item.dataset,
        variant=item.variant,
        found=item.value,
        low=item.low,
        high=item.high,
        limit=limit,
        details={"rows": item.rows},
    )
