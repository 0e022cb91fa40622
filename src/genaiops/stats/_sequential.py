"""Statistics that stay valid however often one looks."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, lgamma, log, sqrt

from genaiops.stats._intervals import Interval


def mean_sequence(rows: int, mean: float, variance: float, level: float = 0.95, *, tuned_for: int = 1000) -> Interval:
    """Confidence sequence for a mean: holds the truth at *all* times together with the level's chance.

    Args:
        rows: Rows so far, at least 1.
        mean: Their mean.
        variance: Their variance; for pass or fail use `smooth_rate` first, so that it is never 0.
        level: Coverage over all looks, a fraction in (0, 1).
        tuned_for: The number of rows at which it should be narrowest. It is valid at all others too.

    Returns:
        The ends; they may be looked at after every row.

    Raises:
        ValueError: A number is out of range.

    Source:
        Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), arXiv 2103.06476, theorem 2.2: Robbins' normal mixture.

    Example:
        >>> low, high = mean_sequence(1000, 0.0, 1.0)
        >>> round(high, 3)
        0.096
    """
    if rows < 1 or variance < 0 or not 0 < level < 1 or tuned_for < 1:
        raise ValueError(f"Need rows, tuned_for >= 1, variance >= 0, 0 < level < 1; got {rows=}, {variance=}, {level=}")
    mixing = _mixing(level, tuned_for)
    inside = rows * mixing + 1
    reach = sqrt(variance * 2 * inside / (rows**2 * mixing) * log(sqrt(inside) / (1 - level)))
    return Interval(mean - reach, mean + reach)


def difference_sequence(
    control: tuple[int, float, float],
    treatment: tuple[int, float, float],
    level: float = 0.95,
    *,
    tuned_for: int = 1000,
) -> Interval:
    """Confidence sequence for treatment − control of two groups of different rows, as in live traffic.

    Args:
        control: Rows, mean, variance; at least 1 row.
        treatment: Rows, mean, variance; at least 1 row.
        level: Coverage over all looks.
        tuned_for: Rows of both groups together at which it should be narrowest.

    Returns:
        The ends of the difference; infinite while a group is empty.

    Source:
        As `mean_sequence`, with the variance of a difference of means (Welch).
    """
    rows = control[0] + treatment[0]
    if min(control[0], treatment[0]) < 1:
        return Interval(-inf, inf)
    variance = rows * (control[2] / control[0] + treatment[2] / treatment[0])
    return mean_sequence(rows, treatment[1] - control[1], variance, level, tuned_for=tuned_for)


def always_valid_p(rows: int, mean: float, variance: float, *, level: float = 0.95, tuned_for: int = 1000) -> float:
    """p-value that the mean is 0, valid whenever one looks; as low as 1 − level when `mean_sequence` leaves 0 out.

    Args:
        rows: Rows so far, at least 1.
        mean: Their mean, or a difference of means.
        variance: Their variance.
        level: The level that the mixture is tuned for.
        tuned_for: As in `mean_sequence`.

    Source:
        Mixture sequential probability ratio test: Robbins (1970), Ann. Math. Stat. 41, 1397–1409; Johari, Pekelis and
        Walsh (2015), arXiv 1512.04922.
    """
    if variance <= 0:
        return 1.0 if mean == 0 else 0.0
    mixing = _mixing(level, tuned_for)
    inside = rows * mixing + 1
    evidence = mixing * (rows * mean) ** 2 / (2 * variance * inside) - log(inside) / 2
    return min(1.0, exp(-min(evidence, 700.0)))


def smooth_rate(passed: int, rows: int) -> tuple[int, float, float]:
    """Rows, pass rate and a variance that is never 0, for the functions above.

    One pass and one failure are added to the variance only, so that an early run of passes does not look certain.

    Example:
        >>> smooth_rate(2, 2)
        (2, 1.0, 0.1875)
    """
    cautious = (passed + 1) / (rows + 2)
    return rows, passed / rows if rows else 0.0, cautious * (1 - cautious)


def split_p(counts: Sequence[int], weights: Sequence[float]) -> float:
    """p-value that traffic is split as asked (sample-ratio mismatch), valid whenever one looks.

    Args:
        counts: Requests that each version got.
        weights: The share that each should get; any positive numbers.

    Returns:
        The p-value of this look. The smallest over all looks counts: keep the minimum.

    Raises:
        ValueError: Lengths differ, or a weight is not positive.

    Source:
        Lindon and Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35: Dirichlet mixture.

    Example:
        >>> split_p([500, 500], [1, 1])
        1.0
        >>> split_p([600, 400], [1, 1]) < 1e-6
        True
    """
    if len(counts) != len(weights) or min(weights, default=0) <= 0 or min(counts, default=0) < 0:
        raise ValueError(f"Need one positive weight a count; got {counts=}, {weights=}")
    shares = [weight / sum(weights) for weight in weights]
    prior = [share * len(shares) for share in shares]
    evidence = lgamma(sum(prior)) - lgamma(sum(prior) + sum(counts))
    for count, share, start in zip(counts, shares, prior, strict=True):
        evidence += lgamma(start + count) - lgamma(start) - count * log(share)
    return min(1.0, exp(-min(evidence, 700.0)))


def worse_evidence(differences: Sequence[float], *, margin: float = 0.0, bound: float = 1.0) -> list[float]:
    """Evidence, after each row, that a candidate is worse than the baseline by more than the margin.

    A gambler who bets on "worse" cannot be expected to gain when it is not so; that the capital ever reaches 20 has a
    chance of at most 5 %. Exact for any bounded score and any number of looks: stop when it reaches 1 / (1 − level).

    Args:
        differences: Candidate − baseline row by row, in random order of rows, positive is better, within ± `bound`.
        margin: The drop that is accepted, 0 or more.
        bound: The largest possible difference of two scores.

    Returns:
        The capital after each row, starting from 1.

    Raises:
        ValueError: A difference is out of bounds.

    Source:
        Waudby-Smith and Ramdas (2024), J. R. Stat. Soc. B 86, 1–27: betting with a predictable plug-in (aGRAPA).

    Example:
        >>> worse_evidence([-1.0] * 12)[-1] > 20
        True
    """
    capital, total, squares = 1.0, 0.0, 0.25
    history: list[float] = []
    for seen, difference in enumerate(differences):
        if abs(difference) > bound * (1 + 1e-9):
            raise ValueError(f"A difference of {difference} is outside ± {bound}")
        drop = (-difference - margin) / (bound + margin)  # mean ≤ 0 unless the candidate is worse; at least −1
        mean = total / (seen + 1)
        variance = squares / (seen + 1)
        bet = min(0.5, max(0.0, mean / (variance + mean**2)))
        capital *= 1 + bet * drop
        total += drop
        squares += (drop - total / (seen + 2)) ** 2
        history.append(capital)
    return history


def _mixing(level: float, tuned_for: int) -> float:
    """ρ² that makes the sequence narrowest at `tuned_for` rows (equation 9 of the source)."""
    alpha = 1 - level
    return (-2 * log(alpha) + log(-2 * log(alpha)) + 1) / tuned_for
