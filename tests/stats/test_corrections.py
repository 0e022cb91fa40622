"""Corrections for many comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genaiops.stats import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(P_VALUES)
def test_false_discovery_agrees_with_scipy(p_values: list[float]) -> None:
    theirs = scipy_stats.false_discovery_control(p_values, method="bh")

    assert benjamini_hochberg(p_values) == pytest.approx(theirs.tolist(), abs=1e-12)


def test_holm_of_a_worked_example() -> None:
    """By hand: 4 × 0.005, 3 × 0.01, 2 × 0.03 = 0.06, then 0.04 is lifted to 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    for plain, corrected in zip(p_values, holm(p_values), strict=True):
        assert plain <= corrected <= min(1.0, plain * len(p_values)) + 1e-12


def test_28_tests_of_nothing_rarely_find_anything() -> None:
    """7 variants × 4 metrics: uncorrected, 76 % of experiments have a false find."""
    p_values = np.random.default_rng(0).random((2000, 28))

    assert np.mean(p_values.min(axis=1) <= 0.05) == pytest.approx(0.76, abs=0.03)
    assert np.mean([min(holm(row.tolist())) <= 0.05 for row in p_values]) <= 0.06
