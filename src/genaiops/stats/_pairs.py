"""Tests and intervals for two variants on the same rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import comb, erfc, exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from genaiops.stats._intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@lru_cache(maxsize=4096)
def mcnemar_midp(improved: int, worsened: int) -> float:
    """Two-sided p-value that as many rows improve as worsen; rows that did not change do not matter.

    The mid-p form holds its level nearly always and is far less timid than the exact test with few changed rows.

    Args:
        improved: Rows that only the candidate passes.
        worsened: Rows that only the baseline passes.

    Returns:
        The p-value; 1 when no row changed.

    Raises:
        ValueError: A count is negative.

    Source:
        Fagerland, Lydersen and Laake (2013), BMC Med. Res. Methodol. 13:91.

    Example:
        >>> round(mcnemar_midp(1, 8), 4)
        0.0215
    """
    if improved < 0 or worsened < 0:
        raise ValueError(f"Counts must not be negative; got {improved=}, {worsened=}")
    changed, fewer = improved + worsened, min(improved, worsened)
    if improved == worsened:
        return 1.0
    at = _binomial_half(changed, fewer)
    below = sum(_binomial_half(changed, count) for count in range(fewer))
    return min(1.0, 2 * (below + at / 2))


@lru_cache(maxsize=65_536)
def paired_rate_interval(improved: int, worsened: int, pairs: int, level: float = 0.95) -> Interval:
    """Score interval for the difference of two pass rates on the same rows.

    Args:
        improved: Rows that only the candidate passes.
        worsened: Rows that only the baseline passes.
        pairs: All rows that both have a score for.
        level: Coverage as a fraction in (0, 1).

    Returns:
        Ends of candidate − baseline, inside [−1, 1]. Never of no width: no change in n rows is no proof of none.

    Raises:
        ValueError: Counts that do not fit `pairs`, or a level out of range.

    Source:
        Tango (1998), Statistics in Medicine 17, 891–908.

    Example:
        >>> low, high = paired_rate_interval(0, 0, 100)
        >>> round(low, 3), round(high, 3)
        (-0.037, 0.037)
    """
    if min(improved, worsened) < 0 or improved + worsened > pairs or pairs < 1 or not 0 < level < 1:
        raise ValueError(
            f"Need counts within pairs and 0 < level < 1; got {improved=}, {worsened=}, {pairs=}, {level=}"
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    observed = (improved - worsened) / pairs

    def end(outer: float, target: float) -> float:
        inner = observed
        for _ in range(60):
            middle = (inner + outer) / 2
            if abs(_score(middle, improved, worsened, pairs)) < target:
                inner = middle
            else:
                outer = middle
        return (inner + outer) / 2

    return Interval(end(-1.0, z), end(1.0, z))


def permutation_p(
    differences: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 4999,
    seed: int = 0,
) -> float:
    """Two-sided p-value that the mean difference is 0, by swapping baseline and candidate at random in each row.

    Exact up to 12 rows; drawn with a fixed seed up to 2,000; above that by the normal limit of the same distribution.

    Args:
        differences: Candidate − baseline, one a row.
        clusters: Rows of one cluster are swapped together.
        resamples: How many swaps are drawn.
        seed: The same seed gives the same p-value.

    Returns:
        The p-value, never 0; 1 when no row differs.

    Source:
        Fisher (1935), The Design of Experiments, section 21; Phipson and Smyth (2010), Stat. Appl. Genet. Mol. Biol.
        9:39 for counting the observed arrangement in.
    """
    import numpy as np

    d = _by_cluster(np.asarray(differences, dtype=np.float64), clusters)
    d = d[d != 0]  # rows without a difference are the same either way round
    observed = abs(float(d.sum()))
    if d.size == 0:
        return 1.0
    edge = observed * (1 - 1e-12)  # the same sum in another order may differ in the last digit
    if d.size <= 12:
        signs = 1 - 2 * ((np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1)
        return float(np.mean(np.abs(signs @ d) >= edge))
    if d.size > 2000:
        return erfc(observed / sqrt(2 * float(d @ d)))
    rng = np.random.default_rng(seed)
    hits, step = 0, max(1, 2_000_000 // d.size)
    for done in range(0, resamples, step):
        signs = rng.integers(0, 2, (min(step, resamples - done), d.size), dtype=np.int8)
        hits += int(np.sum(np.abs(2.0 * (signs @ d) - d.sum()) >= edge))
    return (hits + 1) / (resamples + 1)


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p-value that differences are symmetric around 0, by their ranks; rows without one count (Pratt).

    Args:
        differences: Candidate − baseline, one a row.

    Returns:
        The p-value; 1 when no row differs.

    Source:
        Wilcoxon (1945), Biometrics Bull. 1, 80–83; Pratt (1959), J. Am. Stat. Assoc. 54, 655–667.
    """
    import warnings

    from scipy.stats import wilcoxon

    if not any(differences):
        return 1.0
    with warnings.catch_warnings():  # small samples with ties fall back to the normal limit; the caller has no choice
        warnings.simplefilter("ignore")
        return float(wilcoxon(list(differences), zero_method="pratt").pvalue)


def _score(difference: float, improved: int, worsened: int, pairs: int) -> float:
    """Tango's score statistic for candidate − baseline = difference."""
    a = 2.0 * pairs
    b = -improved - worsened + (2 * pairs - improved + worsened) * difference
    c = -worsened * difference * (1 - difference)
    share = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = pairs * (2 * share + difference * (1 - difference))
    distance = improved - worsened - pairs * difference
    if variance <= 0:
        return 0.0 if abs(distance) < 1e-12 else float("inf") if distance > 0 else float("-inf")
    return distance / sqrt(variance)


def _binomial_half(total: int, count: int) -> float:
    if total < 1000:
        return float(comb(total, count) / 2**total)
    return exp(lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1) - total * log(2))


def _by_cluster(d: NDArray[np.float64], clusters: Sequence[Hashable] | None) -> NDArray[np.float64]:
    import numpy as np

    if clusters is None:
        return d
    number: dict[Hashable, int] = {}
    index = [number.setdefault(cluster, len(number)) for cluster in clusters]
    return np.asarray(np.bincount(index, weights=d), dtype=np.float64)
