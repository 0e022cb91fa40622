"""One metric: its value, how sure we are, and by which method, chosen from the values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from genaiops.stats._clusters import cluster_interval, cluster_rate_interval
from genaiops.stats._intervals import Interval, mean_interval, wilson_interval


class Estimate(NamedTuple):
    """A metric with its interval.

    Attributes:
        value: Mean of the scores; a pass rate when all are 0 or 1.
        low: Lower end, None when one row cannot tell.
        high: Upper end, None when one row cannot tell.
        rows: Rows that had a score.
        kind: "rate" or "mean".
        method: The name of the interval, for a footnote.
    """

    value: float
    low: float | None
    high: float | None
    rows: int
    kind: str
    method: str


def is_rate(values: Sequence[float]) -> bool:
    """Whether every score is 0 or 1. The values decide, not their Python type: evaluators return True, 1 and 1.0."""
    return len(values) > 0 and all(value in (0, 1) for value in values)


def choose_interval(
    values: Sequence[float],
    level: float = 0.95,
    *,
    clusters: Sequence[Hashable] | None = None,
    kind: str | None = None,
) -> Interval:
    """The interval that suits the values: Wilson's for pass or fail, else Student's corrected for skewness.

    Args:
        values: Scores, at least 1 when all are 0 or 1, else at least 2.
        level: Coverage as a fraction in (0, 1).
        clusters: The cluster of each row when rows are not independent.
        kind: As for `estimate`.

    Returns:
        The ends, in the unit of the values; inside [0, 1] when all values are.

    Raises:
        ValueError: Too few values, or a level out of range.

    Example:
        >>> low, high = choose_interval([1] * 30)
        >>> round(low, 3), high
        (0.886, 1.0)
    """
    groups = clusters if clusters is not None and len(set(clusters)) > 1 else None
    if _counts_as_rate(values, kind):
        if groups is not None:
            return cluster_rate_interval(values, groups, level)
        return wilson_interval(sum(values), len(values), level)
    low, high = mean_interval(values, level) if groups is None else cluster_interval(values, groups, level)
    if min(values) >= 0 and max(values) <= 1:
        return Interval(max(0.0, low), min(1.0, high))
    return Interval(low, high)


def estimate(
    values: Sequence[float],
    level: float = 0.95,
    *,
    clusters: Sequence[Hashable] | None = None,
    kind: str | None = None,
) -> Estimate:
    """A metric from the scores of its rows.

    Args:
        values: One score a row, failed rows left out (and counted elsewhere); at least 1.
        level: Coverage as a fraction in (0, 1).
        clusters: The cluster of each row when rows are not independent.
        kind: "mean" for marks that happen to be all 0 or 1, "rate" for shares between 0 and 1 that are rates all the
            same; by default the values decide.

    Returns:
        Value, interval, and how they were made.

    Raises:
        ValueError: No values: nothing measured is not a zero.

    Example:
        >>> estimate([1, 1, 0, 1]).kind
        'rate'
    """
    if not values:
        raise ValueError("Need at least one score: nothing measured is not a zero")
    rate = _counts_as_rate(values, kind)
    value = sum(values) / len(values)
    if not rate and len(values) == 1:
        return Estimate(value, None, None, 1, "mean", "none: one row")
    low, high = choose_interval(values, level, clusters=clusters, kind=kind)
    name = "Wilson" if rate else "t, corrected for skewness" if clusters is None and len(values) >= 10 else "t"
    grouped = f"{name}, clustered" if clusters is not None and len(set(clusters)) > 1 else name
    return Estimate(value, low, high, len(values), "rate" if rate else "mean", grouped)


def _counts_as_rate(values: Sequence[float], kind: str | None) -> bool:
    if kind == "mean" and len(values) > 1:
        return False
    return is_rate(values) or (kind == "rate" and all(0 <= value <= 1 for value in values))
