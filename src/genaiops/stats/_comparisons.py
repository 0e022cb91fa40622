"""Two variants on the same rows: how different, how sure, by which test."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple, TypeVar

from genaiops.records import record
from genaiops.stats._clusters import cluster_interval
from genaiops.stats._estimates import is_rate
from genaiops.stats._intervals import Interval, mean_interval
from genaiops.stats._pairs import mcnemar_midp, paired_rate_interval, permutation_p

Row = TypeVar("Row", bound=Hashable)


class Pairs(NamedTuple):
    """Scores of two variants, row by row; rows that only one has are listed, not hidden.

    Attributes:
        rows: Rows that both have a score for, in the baseline's order.
        baseline: Its scores, one a row.
        candidate: Its scores, one a row.
        unpaired: Rows that only one of them has a score for.
    """

    rows: list[Hashable]
    baseline: list[float]
    candidate: list[float]
    unpaired: list[Hashable]


@record(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """A candidate against a baseline on the rows that both have.

    Attributes:
        baseline: Mean of the baseline on these rows.
        candidate: Mean of the candidate on these rows.
        difference: candidate − baseline, in the unit of the metric.
        low: Lower end of the interval of the difference; None below 2 pairs.
        high: Upper end; None below 2 pairs.
        p_value: That there is no difference, not corrected for other comparisons.
        test: The name of the test and interval, for a footnote.
        pairs: Rows compared.
        improved: Rows on which the candidate is better, in the metric's direction.
        worsened: Rows on which it is worse.
        spread: Standard deviation of the differences between rows; what power is computed from.
        higher_is_better: The metric's direction.
    """

    baseline: float
    candidate: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    test: str
    pairs: int
    improved: int
    worsened: int
    spread: float
    higher_is_better: bool = True


def average_repeats(scores: Iterable[tuple[Row, float | None]]) -> dict[Row, float]:
    """One score a row: repeats of one row are not new rows, so they are averaged first.

    Args:
        scores: (row, score), a row as often as it was repeated; None where the row or its scoring failed.

    Returns:
        The mean of the scores that each row has; rows without any are left out.

    Example:
        >>> average_repeats([(0, 1.0), (0, 0.0), (1, None)])
        {0: 0.5}
    """
    sums: dict[Row, list[float]] = {}
    for row, score in scores:
        if score is not None:
            held = sums.setdefault(row, [0.0, 0.0])
            held[0] += score
            held[1] += 1
    return {row: total / count for row, (total, count) in sums.items()}


def pair_rows(baseline: Mapping[Row, float], candidate: Mapping[Row, float]) -> Pairs:
    """The rows that both have, side by side.

    Example:
        >>> pair_rows({0: 1.0, 1: 0.0}, {1: 1.0, 2: 1.0})
        Pairs(rows=[1], baseline=[0.0], candidate=[1.0], unpaired=[0, 2])
    """
    rows: list[Hashable] = [row for row in baseline if row in candidate]
    unpaired: list[Hashable] = [row for row in baseline if row not in candidate]
    unpaired += [row for row in candidate if row not in baseline]
    shared = [row for row in baseline if row in candidate]
    return Pairs(rows, [baseline[row] for row in shared], [candidate[row] for row in shared], unpaired)


def compare_pairs(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    level: float = 0.95,
    higher_is_better: bool = True,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> PairedComparison:
    """Compare two variants on the same rows; the values choose the test.

    All 0 or 1: McNemar's mid-p test and Tango's score interval. Else: a paired permutation test of the mean difference
    and its t interval corrected for skewness. With clusters: whole clusters are swapped, and the error is theirs.

    Args:
        baseline: One score a row, repeats averaged before.
        candidate: One score a row, the same rows in the same order.
        level: Coverage of the interval as a fraction in (0, 1).
        higher_is_better: The metric's direction; decides which rows count as improved.
        clusters: The cluster of each row when rows are not independent.
        seed: The same seed gives the same p-value.

    Returns:
        Difference, interval, p-value, and what was counted.

    Raises:
        ValueError: Lengths differ, or there are no pairs.

    Example:
        >>> result = compare_pairs([1, 1, 1, 0, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0])
        >>> result.improved, result.worsened, result.difference
        (2, 1, 0.125)
    """
    if len(baseline) != len(candidate) or not baseline:
        raise ValueError(f"Need the same rows, at least one; got {len(baseline)} and {len(candidate)}")
    pairs = len(baseline)
    differences = [after - before for before, after in zip(baseline, candidate, strict=True)]
    higher, lower = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    groups = clusters if clusters is not None and 1 < len(set(clusters)) < pairs else None
    binary = is_rate(baseline) and is_rate(candidate)
    if binary and groups is None:
        interval: Interval | None = paired_rate_interval(higher, lower, pairs, level)
        p_value, test = mcnemar_midp(higher, lower), "McNemar mid-p, Tango interval"
    else:
        interval = _mean_difference_interval(baseline, candidate, differences, groups, level)
        p_value = permutation_p(differences, clusters=groups, seed=seed)
        test = "clustered permutation, clustered t interval" if groups else "paired permutation, t interval"
    mean = sum(differences) / pairs
    return PairedComparison(
        baseline=sum(baseline) / pairs,
        candidate=sum(candidate) / pairs,
        difference=mean,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_value=p_value,
        test=test,
        pairs=pairs,
        improved=higher if higher_is_better else lower,
        worsened=lower if higher_is_better else higher,
        spread=_spread(differences, mean, binary=binary),
        higher_is_better=higher_is_better,
    )


def _mean_difference_interval(
    baseline: Sequence[float],
    candidate: Sequence[float],
    differences: Sequence[float],
    groups: Sequence[Hashable] | None,
    level: float,
) -> Interval | None:
    if len(differences) < 2:
        return None
    everything = [*baseline, *candidate]
    if not any(differences):
        # No difference in n rows is no proof of none: up to z²/(n + z²) of rows may still differ (as Wilson's nought
        # out of n), by at most the range that the scores have shown.
        evidence = len(set(groups)) if groups else len(differences)
        z = NormalDist().inv_cdf((1 + level) / 2)
        reach = (max(everything) - min(everything)) * z**2 / (evidence + z**2)
        return Interval(-reach, reach)
    low, high = mean_interval(differences, level) if groups is None else cluster_interval(differences, groups, level)
    if min(everything) >= 0 and max(everything) <= 1:
        return Interval(max(-1.0, low), min(1.0, high))
    return Interval(low, high)


def _spread(differences: Sequence[float], mean: float, *, binary: bool) -> float:
    if binary:
        # One change is added on each side: with few rows, no change seen does not mean that none can be.
        changed = (sum(d != 0 for d in differences) + 1) / (len(differences) + 2)
        return sqrt(max(0.0, changed - mean**2))
    if len(differences) < 2:
        return 0.0
    return sqrt(sum((d - mean) ** 2 for d in differences) / (len(differences) - 1))
