"""The answer of a gate, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from genaiops.records import record

Result = Literal["passed", "failed", "not judged"]


@record(frozen=True, kw_only=True)
class Check:
    """One demand, held against what was found.

    Attributes:
        rule: What kind of demand: floor, ceiling, baseline, segment, failed rows, unscored rows, cost, latency,
            measured, comparable, confirmed.
        result: passed, failed, or not judged.
        words: The same in one sentence, for people.
        metric: The metric, when it is about one.
        evaluator: The evaluator that measured it.
        dataset: The dataset that it was measured on.
        variant: The variant that it was measured for.
        segment: `column = value`, when it is about one.
        found: The value found; for a comparison the difference candidate − baseline.
        low: Lower end of its interval.
        high: Upper end.
        limit: What was demanded.
        details: More figures: p-values, pairs, the four-word verdict, rows that would tell.
    """

    rule: str
    result: Result
    words: str
    metric: str | None = None
    evaluator: str | None = None
    dataset: str | None = None
    variant: str | None = None
    segment: str | None = None
    found: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it held; what was not judged did not."""
        return self.result == "passed"

    @property
    def name(self) -> str:
        """What is checked, in a few words."""
        of = [part for part in (self.metric or self.rule, self.segment) if part]
        where = ", ".join(part for part in (self.variant, self.dataset) if part)
        kind = f" ({self.rule})" if self.metric and self.rule != self.metric else ""
        return " · ".join(of) + kind + (f" [{where}]" if where else "")

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "rule": self.rule,
            "result": self.result,
            "passed": self.passed,
            "words": self.words,
            "metric": self.metric,
            "evaluator": self.evaluator,
            "dataset": self.dataset,
            "variant": self.variant,
            "segment": self.segment,
            "found": self.found,
            "low": self.low,
            "high": self.high,
            "limit": self.limit,
            "details": dict(self.details),
        }


@record(frozen=True, kw_only=True)
class Verdict:
    """Pass or fail, and why.

    Attributes:
        result: passed, failed, or not judged when there was no gate or nothing that it could be held against.
        reasons: Sentences for people: what failed, else what held, then what should be known.
        checks: Every demand, also those that held.
        experiment: The id of what was judged.
        baseline: The id of what it was compared with, when that was another experiment.
        candidate: Which variants were judged.
    """

    result: Result
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    experiment: str | None = None
    baseline: str | None = None
    candidate: str | None = None
    schema_version: int = 1

    @property
    def exit_code(self) -> int:
        """3 when it failed, else 0."""
        return 3 if self.result == "failed" else 0

    def to_json(self) -> dict[str, Any]:
        """The published form; `result` and `reasons` are what `genaiops run --json` shows."""
        return {
            "schema_version": self.schema_version,
            "result": self.result,
            "reasons": list(self.reasons),
            "experiment": self.experiment,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "checks": [check.to_json() for check in self.checks],
        }

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Verdict:
        """Read the published form back; fields of later versions are left out."""
        known = Check.__dataclass_fields__.keys()
        return cls(
            result=form["result"],
            reasons=tuple(form.get("reasons", ())),
            checks=tuple(
                Check(**{key: value for key, value in check.items() if key in known})
                for check in form.get("checks", ())
            ),
            experiment=form.get("experiment"),
            baseline=form.get("baseline"),
            candidate=form.get("candidate"),
        )
