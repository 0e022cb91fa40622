"""How many rows a question needs, and the smallest difference that rows can show."""

from __future__ import annotations

from math import ceil, sqrt
from statistics import NormalDist


def paired_spread(changed: float, difference: float) -> float:
    """Standard deviation of the differences of pass or fail on the same rows.

    Args:
        changed: Share of rows whose result flips, either way, at least |difference|.
        difference: Difference of the two pass rates.

    Raises:
        ValueError: Fewer rows flip than the difference needs.

    Example:
        >>> round(paired_spread(0.1, 0.05), 4)
        0.3122
    """
    if not abs(difference) <= changed <= 1:
        raise ValueError(f"Need |difference| <= changed <= 1; got {changed=}, {difference=}")
    return sqrt(changed - difference**2)


def rows_needed(difference: float, spread: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Rows on which a paired comparison shows a true difference.

    Args:
        difference: The smallest difference worth seeing, not 0.
        spread: Standard deviation of the differences between rows (`PairedComparison.spread`, `paired_spread`).
        power: Chance that a true difference of this size is shown.
        level: 1 − the chance of a false alarm, two-sided.

    Returns:
        Rows in all, at least 1.

    Raises:
        ValueError: `difference` is 0, `spread` is negative, or a fraction is out of range.

    Source:
        Normal approximation of the paired test; for pass or fail: Lachin (1992), Statistics in Medicine 11, 1239–1251.

    Example:
        >>> rows_needed(0.05, paired_spread(0.1, 0.05))
        307
    """
    if difference == 0 or spread < 0 or not (0 < power < 1 and 0 < level < 1):
        raise ValueError(f"Need difference != 0, spread >= 0, 0 < power, level < 1; got {difference=}, {spread=}")
    return max(1, ceil((_quantiles(power, level) * spread / difference) ** 2))


def smallest_detectable(rows: int, spread: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true difference that this many rows would show.

    Args:
        rows: Rows compared, at least 1.
        spread: Standard deviation of the differences between rows.
        power: Chance that it is shown.
        level: 1 − the chance of a false alarm, two-sided.

    Returns:
        A difference, in the unit of the metric.

    Raises:
        ValueError: `rows` is below 1, or a number is out of range.

    Source:
        As `rows_needed`, solved for the difference.

    Example:
        >>> round(smallest_detectable(100, 0.3), 3)
        0.084
    """
    if rows < 1 or spread < 0 or not (0 < power < 1 and 0 < level < 1):
        raise ValueError(f"Need rows >= 1, spread >= 0, 0 < power, level < 1; got {rows=}, {spread=}")
    return _quantiles(power, level) * spread / sqrt(rows)


def rows_to_tell(gain: float, spread: float, margin: float, *, power: float = 0.8, level: float = 0.95) -> int | None:
    """Rows after which "cannot tell" would become another word, if the truth is what was seen.

    Args:
        gain: The difference seen, positive when the candidate is better.
        spread: Standard deviation of the differences between rows.
        margin: The largest drop that is accepted, 0 or more.
        power: Chance that it is told by then.
        level: 1 − the chance of a false alarm, two-sided.

    Returns:
        Rows in all, or None when no number of rows would tell: no difference and no margin.

    Example:
        >>> rows_to_tell(0.0, 0.3, 0.05)
        283
        >>> rows_to_tell(0.0, 0.3, 0.0) is None
        True
    """
    distance = max(abs(gain), gain + margin)  # from 0, or from the accepted drop: the nearest claim that can be made
    if distance < 1e-9:
        return None
    return rows_needed(distance, spread, power=power, level=level)


def _quantiles(power: float, level: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
