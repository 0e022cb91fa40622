"""Many comparisons at once: 28 tests of an unchanged application find something in 76 % of cases."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected so that the chance of even one false alarm among them stays at the level.

    Args:
        p_values: In any order.

    Returns:
        Corrected values in the same order; compare each with the level (0.05).

    Source:
        Holm (1979), Scand. J. Statist. 6, 65–70.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values corrected so that the expected share of false ones among those below the level stays at the level.

    For exploring; what a gate judges wants `holm`.

    Args:
        p_values: In any order.

    Returns:
        Corrected values in the same order.

    Source:
        Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289–300.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03])
        [0.03, 0.04, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    corrected = [0.0] * len(p_values)
    lowest = 1.0
    for place, index in enumerate(order):
        rank = len(p_values) - place
        lowest = min(lowest, p_values[index] * len(p_values) / rank)
        corrected[index] = lowest
    return corrected
