"""What a use case demands before something may be released."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any, Final, Literal

from genaiops.records import record

JudgeBy = Literal["interval", "mean"]
Required = Literal["better", "not worse"]
OnCannotTell = Literal["pass", "fail"]

DEFAULT_FAILED_SHARE: Final = 0.05
"""Failed and unscored rows that are tolerated when the gate does not say: a run with more measures something else."""


@record(frozen=True, kw_only=True)
class SegmentPolicy:
    """A demand on each part of the data: no dead segment behind a good average.

    Attributes:
        columns: Columns whose values make the segments; empty means all that were measured.
        min: Lowest accepted value in each segment.
        max: Highest accepted value in each segment.
        min_rows: Smaller segments are listed and not judged.
        judge: Whether limits are held against the interval's bad end or against the value. By value when nobody says:
            parts have few rows, and demanding proof of each of them would stop most releases by chance.
    """

    columns: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    min_rows: int = 20
    judge: JudgeBy = "mean"


@record(frozen=True, kw_only=True)
class MetricPolicy:
    """What is demanded of one metric.

    Attributes:
        metric: Its name.
        evaluator: Only of this evaluator; of every one that measures it when None.
        dataset: Only on this dataset; on every one when None.
        min: Lowest accepted value.
        max: Highest accepted value, for metrics where lower is better.
        max_drop: Largest loss against the baseline, in the metric's unit, 0 or more: the margin of "not worse".
        require: The word that the comparison with the baseline must earn; None means: anything but "worse".
        judge: Whether limits are held against the interval's bad end or against the value alone.
        on_cannot_tell: What an undecided comparison with the baseline means.
        min_rows: Fewer scored rows than this measure nothing.
        segments: Demands on each segment.
    """

    metric: str
    evaluator: str | None = None
    dataset: str | None = None
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    require: Required | None = None
    judge: JudgeBy = "interval"
    on_cannot_tell: OnCannotTell = "pass"
    min_rows: int = 1
    segments: SegmentPolicy | None = None

    @property
    def compares(self) -> bool:
        """Whether it needs a baseline."""
        return self.max_drop is not None or self.require is not None

    @property
    def label(self) -> str:
        """The name as the use case wrote it."""
        return f"{self.evaluator}.{self.metric}" if self.evaluator else self.metric


@record(frozen=True, kw_only=True)
class Policy:
    """The `gate:` block of a use case, read and checked.

    Attributes:
        metrics: Demands on metrics, in the order written; the first is the primary one.
        baseline: What to compare with: `champion`, a run, a git reference; None means the default variant.
        candidate: What is judged: `default` (what would ship), `best`, `all`, or the label of a variant.
        max_failed_rows: Largest share of rows on which the application failed.
        max_unscored_rows: Largest share of rows that an evaluator could not score.
        max_cost_usd: Largest cost of the judged runs together.
        max_cost_per_row_usd: Largest mean cost of a row.
        max_latency_p95_s: Largest 95th percentile of a row's duration.
        level: Confidence level, a fraction.
        confirm: What the use case says about confirming a winner on held-out rows; None means that it need not be.
        limits: Names of the limits beside metrics that somebody wrote down.
        file: Where the policy stands.
    """

    metrics: tuple[MetricPolicy, ...] = ()
    baseline: str | None = None
    candidate: str = "default"
    max_failed_rows: float = DEFAULT_FAILED_SHARE
    max_unscored_rows: float = DEFAULT_FAILED_SHARE
    max_cost_usd: float | None = None
    max_cost_per_row_usd: float | None = None
    max_latency_p95_s: float | None = None
    level: float = 0.95
    confirm: Any = None
    limits: tuple[str, ...] = field(default=(), compare=False)
    file: Path | None = field(default=None, compare=False)
