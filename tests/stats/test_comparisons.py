"""Two variants on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.stats import (
    average_repeats,
    compare_pairs,
    mcnemar_midp,
    mean_interval,
    pair_rows,
    paired_rate_interval,
    permutation_p,
)

SCORES = st.one_of(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=60),
)


def test_pass_or_fail_is_compared_by_the_rows_that_changed() -> None:
    baseline = [1] * 70 + [0] * 20 + [1] * 8 + [0] * 2
    candidate = [1] * 70 + [0] * 20 + [0] * 8 + [1] * 2

    found = compare_pairs(baseline, candidate)

    assert (found.improved, found.worsened, found.pairs) == (2, 8, 100)
    assert found.difference == pytest.approx(-0.06)
    assert found.p_value == mcnemar_midp(2, 8)
    assert (found.low, found.high) == paired_rate_interval(2, 8, 100)


def test_graded_scores_are_compared_by_their_differences() -> None:
    baseline = [3.0, 4, 5, 2, 4, 4, 3, 5, 1, 4, 4, 2]
    candidate = [4.0, 4, 5, 3, 5, 4, 2, 5, 2, 5, 4, 4]

    found = compare_pairs(baseline, candidate)

    differences = [after - before for before, after in zip(baseline, candidate, strict=True)]
    assert found.p_value == permutation_p(differences)
    assert (found.low, found.high) == pytest.approx(mean_interval(differences))


def test_lower_is_better_turns_improved_round_but_not_the_difference() -> None:
    found = compare_pairs([2.0, 3.0, 4.0], [1.0, 2.5, 4.5], higher_is_better=False)

    assert (found.improved, found.worsened) == (2, 1)
    assert found.difference == pytest.approx(-1 / 3)


def test_graded_scores_that_did_not_move_are_no_proof_of_no_change() -> None:
    """As nought out of n, times the range that the scores have shown: 4 · z²/(20 + z²)."""
    scores = [1.0, 5.0] * 10

    found = compare_pairs(scores, scores)

    reach = 4 * 1.959964**2 / (20 + 1.959964**2)
    assert (found.low, found.high) == pytest.approx((-reach, reach), abs=1e-5)
    assert found.p_value == 1.0


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    shift = np.repeat(rng.normal(0, 0.3, 20), 10)
    baseline = rng.random(200)
    candidate = baseline + shift
    clusters = [i // 10 for i in range(200)]

    plain = compare_pairs(baseline.tolist(), candidate.tolist())
    clustered = compare_pairs(baseline.tolist(), candidate.tolist(), clusters=clusters)

    assert plain.low is not None
    assert plain.high is not None
    assert clustered.low is not None
    assert clustered.high is not None
    assert clustered.high - clustered.low > 2 * (plain.high - plain.low)
    assert clustered.difference == plain.difference


def test_repeats_are_averaged_before_rows_are_counted() -> None:
    scores = [(0, 1.0), (1, 0.0), (0, 0.0), (1, None), (2, None)]

    assert average_repeats(scores) == {0: 0.5, 1: 0.0}


def test_rows_of_one_variant_only_are_listed() -> None:
    found = pair_rows({0: 1.0, 1: 0.5, 2: 0.0}, {1: 1.0, 2: 1.0, 7: 0.0})

    assert found.rows == [1, 2]
    assert found.baseline == [0.5, 0.0]
    assert found.candidate == [1.0, 1.0]
    assert found.unpaired == [0, 7]


@given(SCORES)
def test_swapping_the_variants_mirrors_the_result(pairs: list[tuple[int, int]]) -> None:
    baseline, candidate = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]

    there, back = compare_pairs(baseline, candidate), compare_pairs(candidate, baseline)

    assert back.difference == pytest.approx(-there.difference)
    assert (back.improved, back.worsened) == (there.worsened, there.improved)
    if there.low is not None and there.high is not None:
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)
    assert back.p_value == pytest.approx(there.p_value, abs=0.03)


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        compare_pairs([], [])
