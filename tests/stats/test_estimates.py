"""One metric, the method chosen from the values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.stats import choose_interval, estimate, is_rate, mean_interval, wilson_interval


def test_pass_or_fail_gets_wilsons_interval_whatever_the_python_type() -> None:
    for scores in ([True, True, False, True], [1, 1, 0, 1], [1.0, 1.0, 0.0, 1.0]):
        assert choose_interval(scores) == wilson_interval(3, 4)
        assert estimate(scores).kind == "rate"


def test_other_scores_get_a_mean() -> None:
    scores = [1.0, 0.5, 0.0, 1.0, 0.75, 0.9, 0.2, 0.4, 0.8, 1.0, 1.0]

    found = estimate(scores)

    assert found.kind == "mean"
    assert found.rows == 11
    assert (found.low, found.high) == pytest.approx(mean_interval(scores))


def test_nothing_measured_is_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing measured"):
        estimate([])


def test_one_score_has_no_interval() -> None:
    found = estimate([3.5])

    assert (found.value, found.low, found.high) == (3.5, None, None)


def test_clustered_rows_are_said_to_be() -> None:
    found = estimate([1, 0, 1, 1], clusters=["a", "a", "b", "b"])

    assert found.method == "Wilson, clustered"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=80))
def test_shares_stay_shares(scores: list[float]) -> None:
    low, high = choose_interval(scores)

    assert 0 <= low <= high <= 1


@given(st.lists(st.sampled_from([0, 1, True, False, 1.0]), min_size=1))
def test_zeros_and_ones_are_a_rate(scores: list[float]) -> None:
    assert is_rate(scores)
    assert not is_rate([*scores, 0.5])
