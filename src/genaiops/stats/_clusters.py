"""Rows that belong together: several questions on one document, several turns of one conversation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt
from typing import TYPE_CHECKING

from genaiops.stats._intervals import Interval, _t_quantile, bca_ends, wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def cluster_interval(values: Sequence[float], clusters: Sequence[Hashable], level: float = 0.95) -> Interval:
    """Confidence interval for a mean of rows that come in clusters.

    Rows of one cluster tend to pass and fail together, so there is less evidence than rows. The error is computed from
    the clusters' sums and the quantile from their number.

    Args:
        values: One score a row.
        clusters: The cluster of each row, as many as values, at least 2 different ones.
        level: Coverage as a fraction in (0, 1).

    Returns:
        The ends, in the unit of the values.

    Raises:
        ValueError: Lengths differ, or there are fewer than 2 clusters.

    Source:
        Liang and Zeger (1986), Biometrika 73, 13–22, with the CR1 factor and t quantile of Cameron and Miller (2015),
        J. Human Resources 50, 317–372. For evaluations of models: Miller (2024), arXiv 2411.00640.
    """
    sums, counts = _sums(values, clusters)
    mean = float(sums.sum() / counts.sum())
    half = _t_quantile(level, sums.size - 1) * _clustered_error(sums, counts)
    return Interval(mean - half, mean + half)


def cluster_rate_interval(values: Sequence[float], clusters: Sequence[Hashable], level: float = 0.95) -> Interval:
    """Wilson's interval for a pass rate with as many rows as the clusters are worth.

    Args:
        values: 0 or 1 a row.
        clusters: The cluster of each row, at least 2 different ones.
        level: Coverage as a fraction in (0, 1).

    Returns:
        Lower and upper pass rate, both fractions.

    Raises:
        ValueError: Lengths differ, or there are fewer than 2 clusters.

    Source:
        Korn and Graubard (1998), Survey Methodology 24, 193–201 (effective sample size), put into Wilson's interval as
        in Franco et al. (2019), J. Surv. Stat. Methodol. 7, 334–364.
    """
    sums, counts = _sums(values, clusters)
    rows, rate = float(counts.sum()), float(sums.sum() / counts.sum())
    simple = rate * (1 - rate) / rows
    # All rows agree: the rows show no variance to compare with, so each cluster counts once.
    clustered = max(_clustered_error(sums, counts) ** 2, 1e-12)
    worth = float(sums.size) if simple == 0 else rows * min(1.0, simple / clustered)
    correction = (_t_quantile(level, int(rows) - 1) / _t_quantile(level, sums.size - 1)) ** 2
    effective = max(1.0, worth * correction)
    return wilson_interval(rate * effective, effective, level)


def cluster_bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    level: float = 0.95,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """BCa bootstrap interval for a mean, drawing whole clusters.

    Args:
        values: One score a row.
        clusters: The cluster of each row, at least 2 different ones; below about 30 prefer `cluster_interval`.
        level: Coverage as a fraction in (0, 1).
        resamples: How many samples are drawn.
        seed: The same seed gives the same interval.

    Returns:
        The ends, in the unit of the values.

    Raises:
        ValueError: Lengths differ, or there are fewer than 2 clusters.

    Source:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8; Efron (1987) for BCa.
    """
    import numpy as np

    sums, counts = _sums(values, clusters)
    drawn = np.random.default_rng(seed).integers(0, sums.size, (resamples, sums.size))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    left_out = (sums.sum() - sums) / (counts.sum() - counts)
    return bca_ends(means, float(sums.sum() / counts.sum()), left_out, level)


def cluster_effect(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """How many times wider, squared, the error is because of clusters; 1 means that rows are independent.

    Source:
        Kish (1965), Survey Sampling: the design effect.
    """
    sums, counts = _sums(values, clusters)
    rows, mean = float(counts.sum()), float(sums.sum() / counts.sum())
    simple = sum((value - mean) ** 2 for value in values) / rows / (rows - 1)
    return 1.0 if simple == 0 else float(_clustered_error(sums, counts) ** 2 / simple)


def _clustered_error(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Standard error of the ratio Σ sums / Σ counts from the clusters' residuals."""
    groups = sums.size
    residuals = sums - sums.sum() / counts.sum() * counts
    return sqrt(float(residuals @ residuals) * groups / (groups - 1)) / float(counts.sum())


def _sums(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the rows of each cluster, in order of appearance."""
    import numpy as np

    if len(values) != len(clusters):
        raise ValueError(f"Need one cluster a value; got {len(values)} values and {len(clusters)} clusters")
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(cluster, len(number)) for cluster in clusters], dtype=np.intp)
    if len(number) < 2:
        raise ValueError(f"Need at least 2 clusters; got {len(number)}")
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)
