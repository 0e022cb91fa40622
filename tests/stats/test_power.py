"""Rows needed and smallest detectable differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.stats import (
    mcnemar_midp,
    paired_rate_interval,
    paired_spread,
    permutation_p,
    rows_needed,
    rows_to_tell,
    smallest_detectable,
)


@pytest.mark.parametrize(
    ("difference", "changed", "rows"),
    [(0.05, 0.1, 307), (0.05, 0.2, 621), (0.03, 0.1, 865), (0.03, 0.2, 1737), (0.1, 0.1, 71), (0.1, 0.2, 150)],
)
def test_rows_for_80_percent_power_are_the_tabulated_ones(difference: float, changed: float, rows: int) -> None:
    """By hand: 7.849 · (changed − difference²) / difference², rounded up."""
    assert rows_needed(difference, paired_spread(changed, difference)) == rows


@given(st.integers(10, 100_000), st.floats(0.01, 2))
def test_rows_and_differences_are_each_others_inverse(rows: int, spread: float) -> None:
    assert abs(rows_needed(smallest_detectable(rows, spread), spread) - rows) <= 1


@pytest.mark.parametrize(("difference", "changed"), [(0.05, 0.1), (0.1, 0.2)])
def test_power_of_rates_is_as_computed(difference: float, changed: float) -> None:
    rows = rows_needed(difference, paired_spread(changed, difference))
    better, worse = (changed + difference) / 2, (changed - difference) / 2
    drawn = np.random.default_rng(1).multinomial(rows, [better, worse, 1 - changed], size=3000)

    found = np.mean([mcnemar_midp(int(b), int(c)) <= 0.05 for b, c, _ in drawn])

    assert found == pytest.approx(0.8, abs=0.03)


def test_power_of_means_is_as_computed() -> None:
    rows = rows_needed(0.2, 1.0)
    rng = np.random.default_rng(2)

    found = np.mean([permutation_p(rng.normal(0.2, 1.0, rows).tolist(), resamples=499) <= 0.05 for _ in range(400)])

    assert found == pytest.approx(0.8, abs=0.04)


def test_margin_is_shown_to_hold_with_the_rows_it_asks_for() -> None:
    """Unchanged application, 10 % of rows flip, 5 points accepted: not worse in about 80 % of experiments."""
    rows = rows_to_tell(0.0, paired_spread(0.1, 0.0), 0.05)
    assert rows == 314
    drawn = np.random.default_rng(3).multinomial(rows, [0.05, 0.05, 0.9], size=3000)

    shown = np.mean([paired_rate_interval(int(b), int(c), rows).low >= -0.05 for b, c, _ in drawn])

    assert shown == pytest.approx(0.8, abs=0.05)  # the score interval is a little wider than the approximation


def test_no_difference_and_no_margin_can_never_be_told() -> None:
    assert rows_to_tell(0.0, 0.3, 0.0) is None


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="difference != 0"):
        rows_needed(0.0, 1.0)
    with pytest.raises(ValueError, match="rows >= 1"):
        smallest_detectable(0, 1.0)
    with pytest.raises(ValueError, match="changed"):
        paired_spread(0.01, 0.05)
