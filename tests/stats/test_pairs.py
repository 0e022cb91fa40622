"""Paired tests against second implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.optimize import minimize_scalar

from genaiops.stats import mcnemar_midp, paired_rate_interval, permutation_p, wilcoxon_p


@pytest.mark.parametrize(("improved", "worsened"), [(1, 8), (0, 3), (12, 5), (40, 60), (700, 640)])
def test_midp_is_the_exact_test_less_half_of_what_was_seen(improved: int, worsened: int) -> None:
    total, fewer = improved + worsened, min(improved, worsened)
    exact = scipy_stats.binomtest(fewer, total).pvalue

    assert mcnemar_midp(improved, worsened) == pytest.approx(exact - scipy_stats.binom.pmf(fewer, total, 0.5), rel=1e-9)


def test_midp_of_a_published_example() -> None:
    """Airway hyper-responsiveness before and after stem-cell transplantation: 1 against 7 changed (Fagerland 2013)."""
    assert mcnemar_midp(1, 7) == pytest.approx(0.039, abs=5e-4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_midp_does_not_care_which_is_the_candidate(improved: int, worsened: int) -> None:
    p = mcnemar_midp(improved, worsened)

    assert 0 < p <= 1
    assert p == mcnemar_midp(worsened, improved)


def likelihood_score(difference: float, improved: int, worsened: int, pairs: int) -> float:
    """Second implementation: the restricted likelihood is maximised numerically, not by the closed root."""
    same = pairs - improved - worsened

    def negative(share: float) -> float:
        parts = ((improved, share + difference), (worsened, share), (same, 1 - 2 * share - difference))
        return -sum(count * np.log(max(chance, 1e-300)) for count, chance in parts if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = minimize_scalar(negative, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((improved - worsened - pairs * difference) / np.sqrt(pairs * (2 * share + difference - difference**2)))


@pytest.mark.parametrize(
    ("improved", "worsened", "pairs"), [(12, 5, 100), (3, 9, 50), (1, 7, 21), (30, 20, 200), (5, 1, 20)]
)
def test_ends_of_the_interval_are_where_the_likelihood_says(improved: int, worsened: int, pairs: int) -> None:
    low, high = paired_rate_interval(improved, worsened, pairs)

    assert likelihood_score(low, improved, worsened, pairs) == pytest.approx(1.959964, abs=1e-3)
    assert likelihood_score(high, improved, worsened, pairs) == pytest.approx(-1.959964, abs=1e-3)


@pytest.mark.parametrize("pairs", [10, 100, 1000])
def test_no_change_at_all_leaves_as_much_as_nought_out_of_n(pairs: int) -> None:
    """Closed form with no changed row: ± z²/(n + z²)."""
    reach = 1.959964**2 / (pairs + 1.959964**2)

    assert paired_rate_interval(0, 0, pairs) == pytest.approx((-reach, reach), abs=1e-6)


@given(st.integers(1, 400), st.data())
def test_interval_holds_the_difference_and_mirrors(pairs: int, data: st.DataObject) -> None:
    improved = data.draw(st.integers(0, pairs))
    worsened = data.draw(st.integers(0, pairs - improved))

    low, high = paired_rate_interval(improved, worsened, pairs)

    assert -1 <= low <= (improved - worsened) / pairs <= high <= 1
    assert paired_rate_interval(worsened, improved, pairs) == pytest.approx((-high, -low), abs=1e-9)


def test_permutation_of_few_rows_is_exact() -> None:
    """Second implementation: scipy's test over all arrangements."""
    differences = [0.3, -0.1, 0.4, 0.2, 0.0, 0.25, -0.05, 0.6]
    theirs = scipy_stats.permutation_test(
        (np.array(differences), np.zeros(8)), lambda a, b: np.mean(a - b), permutation_type="samples"
    )

    assert permutation_p(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.parametrize("rows", [40, 300, 4000])
def test_permutation_of_many_rows_agrees_with_the_t_test(rows: int) -> None:
    differences = np.random.default_rng(rows).normal(0.1 * np.sqrt(100 / rows), 1, rows)
    theirs = scipy_stats.ttest_1samp(differences, 0).pvalue

    assert permutation_p(differences.tolist()) == pytest.approx(theirs, abs=0.02)


def test_clusters_are_swapped_whole() -> None:
    differences = [0.1] * 6 + [0.2] * 6 + [0.3] * 6

    assert permutation_p(differences, clusters=[i // 6 for i in range(18)]) == pytest.approx(2 / 2**3)


@settings(max_examples=40)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
def test_permutation_does_not_care_about_the_sign(differences: list[int]) -> None:
    p = permutation_p(differences)

    assert 0 < p <= 1
    assert permutation_p([-d for d in differences]) == pytest.approx(p, abs=0.03)


def test_wilcoxon_agrees_with_scipy_and_takes_no_difference() -> None:
    differences = [0.3, -0.1, 0.4, 0.2, 0.05, 0.25, -0.05, 0.6]

    assert wilcoxon_p(differences) == pytest.approx(scipy_stats.wilcoxon(differences, zero_method="pratt").pvalue)
    assert wilcoxon_p([0.0] * 5) == 1.0


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_midp(-1, 2)
    with pytest.raises(ValueError, match="within pairs"):
        paired_rate_interval(5, 6, 10)
