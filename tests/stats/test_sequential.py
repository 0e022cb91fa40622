"""Statistics that may be looked at after every row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.integrate import quad

from genaiops.stats import (
    always_valid_p,
    difference_sequence,
    mean_sequence,
    smooth_rate,
    split_p,
    worse_evidence,
)


def test_p_value_is_one_over_the_mixture_of_likelihood_ratios() -> None:
    """Second implementation: the mixture integral over the normal prior, done numerically."""
    rows, mean, sigma, tuned = 400, 0.16, 1.0, 1000
    alpha = 0.05
    prior = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / tuned)

    def integrand(theta: float) -> float:
        ratio = np.exp(rows * (theta * mean - theta**2 / 2) / sigma**2)
        return float(ratio * scipy_stats.norm.pdf(theta, 0, prior * sigma))

    mixture, _ = quad(integrand, -1, 1, points=[mean])

    assert always_valid_p(rows, mean, sigma**2, tuned_for=tuned) == pytest.approx(1 / mixture, rel=1e-6)


@given(st.integers(1, 50_000), st.floats(-1, 1), st.floats(0.01, 4))
def test_interval_and_p_value_agree(rows: int, mean: float, variance: float) -> None:
    low, high = mean_sequence(rows, mean, variance)
    p = always_valid_p(rows, mean, variance)

    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (not low <= 0 <= high)


def test_peeking_after_every_request_raises_no_false_alarms() -> None:
    """Two equal versions at 85 %, looked at after each of 3,000 pairs of requests. A z-test cries wolf in 40 %."""
    rng = np.random.default_rng(4)
    steps = np.arange(1, 3001)
    alarms = naive = 0
    for _ in range(300):
        passes = (rng.random((2, 3000)) < 0.85).cumsum(axis=1)
        rates = passes / steps
        cautious = (passes + 1) / (steps + 2)
        spread = cautious * (1 - cautious)
        looks = range(20, 3001, 10)
        for look in looks:
            control, treatment = (smooth_rate(int(passes[arm, look - 1]), look) for arm in (0, 1))
            low, high = difference_sequence(control, treatment)
            if not low <= 0 <= high:
                alarms += 1
                break
        z = np.abs(rates[0] - rates[1]) / np.sqrt(spread.sum(axis=0) / steps)
        naive += bool((z[20:] > 1.96).any())

    assert alarms / 300 <= 0.05
    assert naive / 300 > 0.25


def test_real_difference_is_found_early() -> None:
    """85 % against 75 %: found within 2,000 requests."""
    rng = np.random.default_rng(5)
    control, treatment = rng.random(1000) < 0.85, rng.random(1000) < 0.75

    low, high = difference_sequence(smooth_rate(int(control.sum()), 1000), smooth_rate(int(treatment.sum()), 1000))

    assert low < -0.1 < high < 0


def test_empty_group_tells_nothing() -> None:
    assert difference_sequence((0, 0.0, 0.0), (5, 1.0, 0.1)) == (-np.inf, np.inf)


def test_split_check_is_a_dirichlet_mixture() -> None:
    """Second implementation: the two-sided beta integral for two versions."""
    counts, share = (230, 170), 0.5
    mixture, _ = quad(lambda p: (p / share) ** counts[0] * ((1 - p) / (1 - share)) ** counts[1], 0, 1, points=[0.575])

    assert split_p(counts, [1, 1]) == pytest.approx(min(1.0, 1 / mixture), rel=1e-6)


def test_right_split_is_rarely_doubted_and_a_wrong_one_found() -> None:
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(400):
        to_first = (rng.random(2000) < 0.9).cumsum()
        alarms += any(
            split_p([int(to_first[i]), i + 1 - int(to_first[i])], [0.9, 0.1]) <= 0.05 for i in range(9, 2000, 20)
        )

    assert alarms / 400 <= 0.05
    assert split_p([1700, 300], [0.9, 0.1]) < 1e-4
    with pytest.raises(ValueError, match="one positive weight"):
        split_p([1, 2], [1])


def test_gambler_rarely_wins_against_an_unchanged_application() -> None:
    rng = np.random.default_rng(7)
    won = sum(
        max(worse_evidence(rng.choice([1.0, -1.0, 0.0], p=[0.05, 0.05, 0.9], size=400).tolist())) >= 20
        for _ in range(500)
    )

    assert won / 500 <= 0.05


def test_gambler_wins_early_when_it_is_worse() -> None:
    rng = np.random.default_rng(8)
    capital = worse_evidence(rng.choice([1.0, -1.0, 0.0], p=[0.02, 0.22, 0.76], size=400).tolist())

    assert next(row for row, value in enumerate(capital) if value >= 20) < 150
    with pytest.raises(ValueError, match="outside"):
        worse_evidence([1.5])
