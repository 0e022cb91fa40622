"""Two samples with no rows in common: what production scored now against what was accepted then."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import hypot, sqrt
from typing import NamedTuple

from genaiops.stats._estimates import Estimate, estimate
from genaiops.stats._intervals import Interval
from genaiops.stats._power import smallest_detectable

_HALVINGS = 40


class IndependentComparison(NamedTuple):
    """Two means of different rows, compared.

    Attributes:
        candidate: Mean of the first sample; a pass rate when all its scores are 0 or 1.
        baseline: Mean of the second.
        difference: candidate − baseline.
        low: Lower end of its interval, None when a sample has too few rows to tell.
        high: Upper end, None likewise.
        p_value: The level at which the interval just touches 0; 1 when there is no interval.
        rows: Scores of the candidate.
        baseline_rows: Scores of the baseline.
        smallest_detectable: The true difference that these rows would have shown in four of five cases.
    """

    candidate: float
    baseline: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    rows: int
    baseline_rows: int
    smallest_detectable: float


def compare_independent(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    level: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
    baseline_clusters: Sequence[Hashable] | None = None,
) -> IndependentComparison:
    """Compare two samples that share no rows.

    The interval joins those of the two means, so that a rate has the good coverage of Wilson's and clustered rows count
    for what they are. Where rows are the same, compare in pairs instead: that needs far fewer of them.

    Args:
        candidate: Scores, at least 1.
        baseline: Scores, at least 1.
        level: Coverage as a fraction in (0, 1).
        clusters: The cluster of each row of the candidate when its rows are not independent.
        baseline_clusters: The same for the baseline.

    Raises:
        ValueError: A sample is empty, or the level is out of range.

    Source:
        Newcombe (1998), Statistics in Medicine 17, 873–890, method 10, for rates; Zou and Donner (2008), Statistics in
        Medicine 27, 1693–1702, for any two intervals.

    Example:
        >>> found = compare_independent([1] * 56 + [0] * 14, [1] * 48 + [0] * 32)
        >>> round(found.low, 4), round(found.high, 4)
        (0.0524, 0.3339)
    """

    def ends(at: float) -> Interval | None:
        return _joined(estimate(candidate, at, clusters=clusters), estimate(baseline, at, clusters=baseline_clusters))

    first, second, found = estimate(candidate, level), estimate(baseline, level), ends(level)
    return IndependentComparison(
        first.value,
        second.value,
        first.value - second.value,
        None if found is None else found.low,
        None if found is None else found.high,
        1.0 if found is None else _p_value(ends),
        first.rows,
        second.rows,
        _detectable(candidate, baseline, level),
    )


def _joined(candidate: Estimate, baseline: Estimate) -> Interval | None:
    """The interval of the difference of two means, from the interval of each."""
    if candidate.low is None or candidate.high is None or baseline.low is None or baseline.high is None:
        return None
    difference = candidate.value - baseline.value
    below = hypot(candidate.value - candidate.low, baseline.high - baseline.value)
    above = hypot(candidate.high - candidate.value, baseline.value - baseline.low)
    return Interval(difference - below, difference + above)


def _p_value(ends: Callable[[float], Interval | None]) -> float:
    """1 − the highest level at which the interval leaves 0 out; wider levels hold it, narrower ones do not."""
    holding, leaving = 0.0, 1.0  # chances of a false alarm: at 0 the interval holds everything
    for _ in range(_HALVINGS):
        middle = (holding + leaving) / 2
        found = ends(1 - middle)
        if found is None or found.low <= 0 <= found.high:
            holding = middle
        else:
            leaving = middle
    return leaving


def _detectable(candidate: Sequence[float], baseline: Sequence[float], level: float) -> float:
    return smallest_detectable(1, sqrt(_error(candidate) + _error(baseline)), level=level)


def _error(values: Sequence[float]) -> float:
    """Variance of the mean."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values) ** 2
