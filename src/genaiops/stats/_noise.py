"""What an unchanged application does to its own scores."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from genaiops.stats._power import smallest_detectable


class NoiseFloor(NamedTuple):
    """How much scores move when nothing was changed.

    Attributes:
        rows: Rows that were repeated.
        repeats: Runs of each.
        flip_share: Share of pairs of repeats, on the same row, whose scores differ.
        spread: Standard deviation of the difference between two repeats of one row.
        floor: The smallest change of the metric that `of_rows` rows could show above this noise.
        of_rows: Rows that the floor is computed for.
    """

    rows: int
    repeats: int
    flip_share: float
    spread: float
    floor: float
    of_rows: int


def noise_floor(scores: Sequence[Sequence[float]], *, of_rows: int | None = None, level: float = 0.95) -> NoiseFloor:
    """The noise of repeating an unchanged application (an A/A run).

    Args:
        scores: For each row the scores of its repeats, shape (rows, repeats), at least 2 by 2. Rows may have
            different numbers of repeats; those with one are left out.
        of_rows: Rows of the dataset that will be judged; by default those given.
        level: 1 − the chance of a false alarm.

    Returns:
        Flips, spread, and the smallest change worth believing.

    Raises:
        ValueError: Fewer than 2 rows with 2 repeats.

    Source:
        Within-row variance of a one-way layout (Fisher 1925); the difference of two repeats has twice of it.

    Example:
        >>> noise_floor([[1, 1], [1, 0], [0, 0], [1, 1]]).flip_share
        0.25
    """
    repeated = [row for row in scores if len(row) >= 2]
    if len(repeated) < 2:
        raise ValueError(f"Need at least 2 rows with 2 repeats; got {len(repeated)}")
    pairs = [(first, second) for row in repeated for i, first in enumerate(row) for second in row[i + 1 :]]
    within = sum(_squares(row) for row in repeated) / sum(len(row) - 1 for row in repeated)
    spread = sqrt(2 * within)
    judged = of_rows or len(repeated)
    return NoiseFloor(
        rows=len(repeated),
        repeats=max(len(row) for row in repeated),
        flip_share=sum(first != second for first, second in pairs) / len(pairs),
        spread=spread,
        floor=smallest_detectable(judged, spread, level=level),
        of_rows=judged,
    )


def _squares(row: Sequence[float]) -> float:
    mean = sum(row) / len(row)
    return sum((score - mean) ** 2 for score in row)
