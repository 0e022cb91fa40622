"""Seeded simulations: intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from genaiops.stats import bootstrap_interval, mean_interval, paired_rate_interval, t_interval, wilson_interval

ROWS = [20, 50, 100, 500]


def rate_coverage(rows: int, rate: float) -> float:
    """Exact: the chance of all outcomes whose interval holds the rate."""
    chances = scipy_stats.binom.pmf(np.arange(rows + 1), rows, rate)
    ends = [wilson_interval(passed, rows) for passed in range(rows + 1)]
    return float(sum(chance for chance, (low, high) in zip(chances, ends, strict=True) if low <= rate <= high))


@pytest.mark.parametrize("rows", ROWS)
def test_rates_are_covered_within_two_points_on_average(rows: int) -> None:
    """Counts are whole, so coverage of any interval jumps from rate to rate; its average is what can be promised."""
    found = [rate_coverage(rows, rate) for rate in np.linspace(0.05, 0.95, 181)]

    assert np.mean(found) == pytest.approx(0.95, abs=0.02)
    assert min(found) > 0.91


def test_rates_near_one_are_covered_where_the_plain_interval_fails() -> None:
    """20 rows at 95 %: rate ± t·error holds it in 64 % of samples, Wilson's in 92 %."""
    passed = np.arange(21)
    chances = scipy_stats.binom.pmf(passed, 20, 0.95)
    rates = passed / 20
    reach = scipy_stats.t.ppf(0.975, 19) * np.sqrt(rates * (1 - rates) / 19)
    plain = chances[np.abs(rates - 0.95) <= reach].sum()

    assert plain == pytest.approx(0.64, abs=0.01)
    assert rate_coverage(20, 0.95) == pytest.approx(0.92, abs=0.01)


SCORES: dict[str, tuple[Callable[[Generator, int], NDArray[np.float64]], float]] = {
    "normal": (lambda rng, rows: rng.normal(0, 1, rows), 0.0),
    "shares, mostly high": (lambda rng, rows: rng.beta(8, 2, rows), 0.8),
    "marks from 1 to 5": (lambda rng, rows: rng.choice([5.0, 4, 3, 2, 1], rows, p=[0.55, 0.25, 0.1, 0.05, 0.05]), 4.2),
    "durations": (lambda rng, rows: rng.lognormal(0, 0.5, rows), float(np.exp(0.125))),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", sorted(SCORES))
def test_means_are_covered_within_two_points(kind: str, rows: int) -> None:
    draw, truth = SCORES[kind]
    rng = np.random.default_rng(rows)

    held = [low <= truth <= high for low, high in (mean_interval(draw(rng, rows).tolist()) for _ in range(3000))]

    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_plain_intervals_are_too_narrow_for_few_marks() -> None:
    draw, truth = SCORES["marks from 1 to 5"]
    rng = np.random.default_rng(0)
    samples = [draw(rng, 20).tolist() for _ in range(3000)]

    student = np.mean([low <= truth <= high for low, high in (t_interval(sample) for sample in samples)])
    drawn = np.mean(
        [low <= truth <= high for low, high in (bootstrap_interval(s, resamples=500) for s in samples[:1000])]
    )

    assert student < 0.935
    assert drawn < 0.935


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("better", "worse"), [(0.05, 0.05), (0.15, 0.1), (0.02, 0.08), (0.25, 0.25)])
def test_paired_differences_are_covered(rows: int, better: float, worse: float) -> None:
    """Within two points, or above where so few rows change that an interval can only be cautious."""
    drawn = np.random.default_rng(rows).multinomial(rows, [better, worse, 1 - better - worse], size=3000)

    held = np.mean(
        [
            low <= better - worse <= high
            for low, high in (paired_rate_interval(int(b), int(c), rows) for b, c, _ in drawn)
        ]
    )

    assert held > 0.93
    if rows * (better + worse) >= 10:
        assert held == pytest.approx(0.95, abs=0.02)
