"""An experiment and a policy, turned into a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from genaiops.errors import SettingsError, suggest
from genaiops.gates._against import comparable_checks, comparison_checks, default_runs
from genaiops.gates._evidence import Evidence, label, load_evidence
from genaiops.gates._limits import cost_checks, measured, metric_checks, row_checks
from genaiops.gates._policy import Policy
from genaiops.gates._verdict import Check, Result, Verdict

_NOTES: Final = frozenset({"comparable", "complete"})
"""Checks that are only made when there is something to know, also when they hold."""


def judge_experiment(
    folder: Path, policy: Policy | None, *, baseline: Path | None = None, force: bool = False
) -> Verdict:
    """Judge an experiment from its files alone.

    Args:
        folder: Holds `experiment.json`.
        policy: What is demanded; None gives "not judged".
        baseline: The folder of the experiment to compare with.
        force: Compare although data or evaluators differ; the verdict says so.

    Returns:
        The verdict; nothing is written.

    Raises:
        DataError: A file is missing or broken.
        SettingsError: The policy names a candidate that was not run.
    """
    return judge(load_evidence(folder), policy, load_evidence(baseline) if baseline else None, force=force)


def judge(
    evidence: Evidence, policy: Policy | None, baseline: Evidence | None = None, *, force: bool = False
) -> Verdict:
    """Judge what an experiment found.

    Judged is the candidate of the policy: the default variant, which is what would ship, unless it says otherwise. A
    variant that is only tried out may be as bad as it likes. Without another experiment as baseline, a candidate that
    is not the default variant is compared with that.

    Args:
        evidence: The experiment.
        policy: What is demanded; None gives "not judged".
        baseline: The experiment to compare with.
        force: Compare although data or evaluators differ.

    Raises:
        SettingsError: The policy names a candidate that was not run.
    """
    experiment = str(evidence.result.get("id") or evidence.result.get("experiment"))
    if policy is None:
        return Verdict(result="not judged", reasons=("The use case has no gate.",), experiment=experiment)
    runs = _candidates(evidence, policy)
    checks = [*_completeness(evidence), *row_checks(evidence, runs, policy)]
    for demand in policy.metrics:
        checks += metric_checks(measured(evidence, runs, demand, policy.level), demand, evidence)
    checks += cost_checks(runs, policy)
    checks += _comparisons(evidence, runs, policy, baseline, force=force)
    checks += _confirmations(evidence, runs, policy)
    result = _result(checks)
    return Verdict(
        result=result,
        reasons=_reasons(result, checks),
        checks=tuple(checks),
        experiment=experiment,
        baseline=str(baseline.result.get("id")) if baseline else None,
        candidate=", ".join(dict.fromkeys(label(run) for run in runs)) or None,
    )


def _candidates(evidence: Evidence, policy: Policy) -> list[Mapping[str, Any]]:
    if policy.candidate == "all":
        return evidence.runs
    if policy.candidate == "default":
        return default_runs(evidence)
    labels = list(dict.fromkeys(label(run) for run in evidence.runs))
    wanted = _best(evidence, labels, policy) if policy.candidate == "best" else policy.candidate
    if wanted not in labels:
        message = f"The gate judges the variant {policy.candidate!r}, which was not run."
        raise SettingsError(message, file=policy.file, hint=suggest(str(wanted), [*labels, "default", "best", "all"]))
    return [run for run in evidence.runs if label(run) == wanted]


def _best(evidence: Evidence, labels: Sequence[str], policy: Policy) -> str | None:
    """The variant with the best mean of the primary metric over all datasets; the default one when nothing tells."""
    means: dict[str, float] = {}
    for name in labels:
        runs = [run for run in evidence.runs if label(run) == name]
        found = measured(evidence, runs, policy.metrics[0], policy.level) if policy.metrics else []
        values = [(item.value if item.higher_is_better else -item.value) for item in found if item.value is not None]
        if values:
            means[name] = sum(values) / len(values)
    return max(means, key=lambda name: means[name]) if means else label(default_runs(evidence)[0]) if labels else None


def _comparisons(
    evidence: Evidence, runs: Sequence[Mapping[str, Any]], policy: Policy, baseline: Evidence | None, *, force: bool
) -> Iterator[Check]:
    if not any(demand.compares for demand in policy.metrics):
        return
    if baseline is not None:
        theirs = default_runs(baseline)
        differences = list(comparable_checks(evidence, runs, baseline, theirs, force=force))
        yield from differences
        if force or not differences:
            yield from comparison_checks(evidence, runs, policy, baseline=baseline, baseline_runs=theirs)
        return
    defaults = default_runs(evidence)
    others = [run for run in runs if run not in defaults]
    if others and any(run.get("is_baseline") for run in defaults):
        yield from comparison_checks(evidence, others, policy, baseline=evidence, baseline_runs=defaults)
    else:
        named = f" {policy.baseline!r}" if policy.baseline else ""
        words = f"There is no baseline{named} yet, so nothing was compared with it."
        if len(defaults) < len(evidence.runs):
            words += " Variants that would not ship are not judged: name one, `best` or `all` as `candidate` for that."
        yield Check(rule="baseline", result="not judged", words=words)


def _completeness(evidence: Evidence) -> Iterator[Check]:
    """Half an experiment proves nothing; one that its budget ended is whole as far as it goes, and says so."""
    if evidence.result.get("status") == "interrupted":
        words = "The experiment was interrupted before its end: go on with it (--resume) and judge it then."
        yield Check(rule="complete", result="failed", words=words)
    elif evidence.result.get("partial"):
        words = f"The experiment ended before all of its rows: {evidence.result['partial']}"
        yield Check(rule="complete", result="passed", words=words)


def _confirmations(evidence: Evidence, runs: Sequence[Mapping[str, Any]], policy: Policy) -> Iterator[Check]:
    """A winner chosen among many looks better than it is: it has to hold on rows that did not choose it."""
    if policy.candidate != "best":
        return
    variants = {label(run) for run in runs}
    if not variants - {label(run) for run in default_runs(evidence)}:
        return  # the default variant won: nothing was chosen
    found = [form for form in evidence.result.get("confirmation") or () if form.get("candidate") in variants]
    if not found and policy.confirm:
        words = f"{', '.join(sorted(variants))} was chosen as the best and not confirmed on held-out rows."
        yield Check(rule="confirmed", result="failed", words=words)
    for form in found:
        word = str(form.get("verdict"))
        words = f"{form.get('metric')}: on {form.get('pairs')} held-out rows, {form.get('candidate')}: {word}."
        held = word in ("better", "not worse")
        yield Check(rule="confirmed", result="passed" if held else "failed", words=words, metric=form.get("metric"))


def _result(checks: Sequence[Check]) -> Result:
    if any(check.result == "failed" for check in checks):
        return "failed"
    about = {"failed rows", "unscored rows", *_NOTES}  # these hold in an experiment that measured nothing at all
    if any(check.result == "passed" and check.rule not in about for check in checks):
        return "passed"
    # Only limits on rows were demanded, or the first run has no baseline yet.
    return "not judged" if any(check.result == "not judged" for check in checks) else "passed" if checks else "failed"


def _reasons(result: Result, checks: Sequence[Check]) -> tuple[str, ...]:
    failed = [check.words for check in checks if check.result == "failed"]
    undecided = [check.words for check in checks if check.passed and check.details.get("verdict") == "cannot tell"]
    skipped = [check.words for check in checks if check.result == "not judged"]
    forced = [check.words for check in checks if check.passed and check.rule in _NOTES]
    held = [check.words for check in checks if check.passed and check.words not in (*undecided, *forced)]
    listed = failed if result == "failed" else held
    return tuple(dict.fromkeys([*listed, *forced, *undecided, *skipped]))
