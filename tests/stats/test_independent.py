"""Two samples that share no rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genaiops.stats import compare_independent


def scores(passed: int, rows: int) -> list[float]:
    return [1.0] * passed + [0.0] * (rows - passed)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_rates_have_the_published_interval(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe (1998), table II, method 10."""
    found = compare_independent(scores(*first), scores(*second))

    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_means_come_near_to_welch() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.3, 1, 80), rng.normal(0, 2, 120)

    found = compare_independent(first.tolist(), second.tolist())
    welch = scipy_stats.ttest_ind(first, second, equal_var=False)
    ends = welch.confidence_interval(0.95)

    assert (found.low, found.high) == (pytest.approx(ends.low, abs=0.05), pytest.approx(ends.high, abs=0.05))
    assert found.p_value == pytest.approx(welch.pvalue, abs=0.02)


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_p_value_says_what_the_interval_says(first: int, second: int, level: float) -> None:
    found = compare_independent(scores(first, 30), scores(second, 30), level=level)

    assert found.low is not None
    assert found.high is not None
    assert (found.p_value < 1 - level) == (not found.low <= 0 <= found.high)


@given(st.integers(0, 40), st.integers(0, 25))
def test_exchanging_the_samples_only_turns_the_sign(first: int, second: int) -> None:
    there, back = (
        compare_independent(scores(first, 40), scores(second, 25)),
        compare_independent(scores(second, 25), scores(first, 40)),
    )

    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == (pytest.approx(-(back.high or 0)), pytest.approx(-(back.low or 0)))
    assert there.p_value == pytest.approx(back.p_value, abs=1e-9)


def test_one_value_that_is_no_rate_tells_nothing() -> None:
    found = compare_independent([0.3], [0.5, 0.6, 0.7])

    assert (found.low, found.high, found.p_value) == (None, None, 1.0)


def test_rows_that_belong_together_count_for_less() -> None:
    values = [1.0, 0.0] * 40
    groups = [row // 20 for row in range(80)]
    same = [float(row // 20 % 2) for row in range(80)]  # the four groups agree inside

    apart = compare_independent(same, values)
    grouped = compare_independent(same, values, clusters=groups)

    assert (grouped.high or 0) - (grouped.low or 0) > 1.5 * ((apart.high or 0) - (apart.low or 0))


def test_unchanged_quality_is_called_changed_in_at_most_a_twentieth() -> None:
    """Exact over all outcomes: 40 requests against 60 rows that pass as often."""
    for rate in (0.5, 0.8, 0.95):
        alarms = 0.0
        for first, chance in enumerate(scipy_stats.binom.pmf(np.arange(41), 40, rate)):
            for second, other in enumerate(scipy_stats.binom.pmf(np.arange(61), 60, rate)):
                if chance * other > 1e-6:
                    low, high = ends(first, second)
                    alarms += chance * other * (not low <= 0 <= high)
        assert alarms <= 0.055  # counts are whole: coverage of any interval jumps around its level


_ENDS: dict[tuple[int, int], tuple[float, float]] = {}


def ends(first: int, second: int) -> tuple[float, float]:
    from genaiops.stats import wilson_interval

    if (first, second) not in _ENDS:
        a, b = wilson_interval(first, 40), wilson_interval(second, 60)
        p, q = first / 40, second / 60
        _ENDS[first, second] = (p - q - np.hypot(p - a.low, b.high - q), p - q + np.hypot(a.high - p, q - b.low))
    return _ENDS[first, second]


def test_a_drop_of_the_size_that_shows_is_seen_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(8)
    reach = compare_independent(scores(56, 70), scores(160, 200)).smallest_detectable
    expected = 2.8016 * (0.8 * 0.2 / 70 + 0.8 * 0.2 / 200) ** 0.5  # (z of 0.975 + z of 0.8) times the error

    seen = [
        (compare_independent(scores(rng.binomial(200, 0.8 - expected), 200), scores(rng.binomial(200, 0.8), 200)))
        for _ in range(300)
    ]

    assert reach == pytest.approx(expected, rel=1e-3)
    assert np.mean([(found.high or 0) < 0 for found in seen]) >= 0.8


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        compare_independent([], [1.0])
