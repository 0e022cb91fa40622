"""The best of many looks better than it is; several may be equally good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genaiops.stats._comparisons import compare_pairs
from genaiops.stats._corrections import holm


class Winner(NamedTuple):
    """The best of several variants, and those that nobody can tell from it.

    Attributes:
        best: The variant with the best mean.
        tied: All that are statistically tied with it, itself included, best first.
        value: Its mean.
        shrunk: Its mean less what choosing the best of so many adds to it.
        optimism: That amount, in the unit of the metric, 0 or more.
    """

    best: str
    tied: tuple[str, ...]
    value: float
    shrunk: float
    optimism: float


def winner(
    scores: Mapping[str, Sequence[float]],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Winner:
    """The best variant, who is tied with it, and what is left of its lead.

    Args:
        scores: One score a row for each variant, the same rows in the same order.
        higher_is_better: The metric's direction.
        level: 1 − the chance to exclude any variant that is as good as the best.
        resamples: Bootstrap samples for the optimism.
        seed: The same seed gives the same numbers.

    Returns:
        Winner, ties, and the shrunk mean.

    Raises:
        ValueError: No variants, no rows, or different numbers of rows.

    Source:
        Ties: comparisons with the sample best, Holm-corrected (Hsu 1996, Multiple Comparisons, ch. 4, in steps).
        Optimism: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 17.6.

    Example:
        >>> winner({"a": [1, 1, 0, 1], "b": [1, 0, 0, 1]}).tied
        ('a', 'b')
    """
    import numpy as np

    names = list(scores)
    if not names or len({len(scores[name]) for name in names}) != 1 or not len(scores[names[0]]):
        raise ValueError("Need at least one variant, all with the same rows")
    sign = 1.0 if higher_is_better else -1.0
    table = sign * np.array([scores[name] for name in names], dtype=np.float64)
    means = table.mean(axis=1)
    first = int(means.argmax())
    others = [index for index in range(len(names)) if index != first]
    p_values = [compare_pairs(table[first].tolist(), table[index].tolist(), seed=seed).p_value for index in others]
    equal = [index for index, p in zip(others, holm(p_values), strict=True) if p > 1 - level]
    ordered = sorted([first, *equal], key=lambda index: -float(means[index]))
    drawn = np.random.default_rng(seed).integers(0, table.shape[1], (resamples, table.shape[1]))
    counts = np.stack([np.bincount(sample, minlength=table.shape[1]) for sample in drawn]) / table.shape[1]
    again = counts @ table.T  # means of each variant in each sample, shape (resamples, variants)
    chosen = again.argmax(axis=1)
    optimism = max(0.0, float(np.mean(again[np.arange(resamples), chosen] - means[chosen])))
    value = sign * float(means[first])
    return Winner(names[first], tuple(names[i] for i in ordered), value, value - sign * optimism, optimism)
