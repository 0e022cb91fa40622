"""Intervals against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genaiops.stats import Interval, bootstrap_interval, mean_interval, t_interval, wilson_interval

SKEWED = [5.0, 5.0, 4.0, 5.0, 2.0, 5.0, 4.0, 5.0, 5.0, 1.0, 5.0, 4.0, 3.0, 5.0, 5.0, 5.0]


def test_no_passes_in_ten_leaves_a_quarter_plausible() -> None:
    """Closed form for nought out of n: z²/(n + z²) = 0.2775 at 95 %."""
    assert wilson_interval(passed=0, total=10) == pytest.approx((0.0, 0.2775), abs=5e-5)


@pytest.mark.parametrize(("passed", "total"), [(0, 1), (1, 1), (3, 20), (47, 50), (30, 30), (812, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(passed: int, total: int, level: float) -> None:
    theirs = scipy_stats.binomtest(passed, total).proportion_ci(level, method="wilson")

    assert wilson_interval(passed, total, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(total=st.integers(1, 10_000), share=st.floats(0, 1))
def test_interval_holds_the_observed_rate(total: int, share: float) -> None:
    passed = round(share * total)

    interval = wilson_interval(passed, total)

    assert 0.0 <= interval.low <= passed / total <= interval.high <= 1.0


@given(total=st.integers(2, 2000), share=st.floats(0, 1))
def test_failures_mirror_passes(total: int, share: float) -> None:
    passed = round(share * total)

    low, high = wilson_interval(passed, total)

    assert wilson_interval(total - passed, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("passed", "total", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 2, 95)])
def test_impossible_counts_are_refused(passed: int, total: int, level: float) -> None:
    with pytest.raises(ValueError, match="Need 0 <= passed"):
        wilson_interval(passed, total, level)


def test_students_interval_agrees_with_scipy() -> None:
    theirs = scipy_stats.ttest_1samp(SKEWED, 0).confidence_interval(0.9)

    assert t_interval(SKEWED, 0.9) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_correction_for_skewness_solves_halls_equation() -> None:
    """Second implementation: the root of g(t) = ± quantile, found numerically, with g as printed in the source."""
    x = np.array(SKEWED)
    n, mean, spread = x.size, x.mean(), x.std(ddof=1)
    skew = np.mean((x - mean) ** 3) / spread**3

    def transformed(centre: float) -> float:
        t = (mean - centre) / spread
        return float(np.sqrt(n) * (t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / (6 * n)))

    interval = mean_interval(SKEWED)

    quantile = scipy_stats.t.ppf(0.975, n - 1)
    assert transformed(interval.low) == pytest.approx(quantile, rel=1e-9)
    assert transformed(interval.high) == pytest.approx(-quantile, rel=1e-9)


def test_few_or_symmetric_values_get_students_interval() -> None:
    assert mean_interval(SKEWED[:9]) == t_interval(SKEWED[:9])
    symmetric = [float(v) for v in range(-10, 11)]
    assert mean_interval(symmetric) == t_interval(symmetric)


def test_interval_reaches_further_towards_the_long_tail() -> None:
    interval = mean_interval(SKEWED)

    assert np.mean(SKEWED) - interval.low > interval.high - np.mean(SKEWED)


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=60), st.floats(-50, 50), st.floats(0.1, 10))
def test_shifting_and_scaling_scores_moves_the_interval_with_them(
    values: list[int], shift: float, scale: float
) -> None:
    low, high = mean_interval(values)

    moved = mean_interval([shift + scale * value for value in values])

    assert moved == pytest.approx((shift + scale * low, shift + scale * high), abs=1e-4, rel=1e-5)


def test_bootstrap_agrees_with_scipys_bca() -> None:
    rng = np.random.default_rng(3)
    theirs = scipy_stats.bootstrap(
        (np.array(SKEWED),), np.mean, n_resamples=20_000, method="BCa", rng=rng
    ).confidence_interval

    ours = bootstrap_interval(SKEWED, resamples=20_000)

    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.06)  # one step of this mean is 1/16


def test_bootstrap_takes_any_statistic_and_repeats_with_its_seed() -> None:
    def median(samples: np.ndarray) -> np.ndarray:
        return np.asarray(np.median(samples, axis=1))

    first = bootstrap_interval(SKEWED, statistic=median, seed=5)

    assert first == bootstrap_interval(SKEWED, statistic=median, seed=5)
    assert first.low <= np.median(SKEWED) <= first.high
    assert isinstance(first, Interval)


def test_nan_and_single_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 finite"):
        mean_interval([1.0])
    with pytest.raises(ValueError, match="at least 2 finite"):
        mean_interval([1.0, float("nan")])
