"""Better, not worse, worse, cannot tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.stats import compare_pairs, decide, verdict_word


@pytest.mark.parametrize(
    ("low", "high", "margin", "word"),
    [
        (0.01, 0.05, 0.0, "better"),
        (-0.01, 0.05, 0.02, "not worse"),
        (-0.019, -0.001, 0.02, "not worse"),  # a drop, surely, but surely within what is accepted
        (-0.05, -0.01, 0.02, "worse"),
        (-0.05, -0.03, 0.02, "worse"),
        (-0.05, 0.01, 0.02, "cannot tell"),
        (-0.01, 0.05, 0.0, "cannot tell"),
        (0.0, 0.0, 0.0, "not worse"),
    ],
)
def test_word_follows_from_where_the_interval_lies(low: float, high: float, margin: float, word: str) -> None:
    assert verdict_word(low, high, margin=margin) == word
    assert verdict_word(-high, -low, margin=margin, higher_is_better=False) == word


def test_corrected_p_value_must_agree_with_better_and_worse() -> None:
    assert verdict_word(0.01, 0.05, p_adjusted=0.2) == "cannot tell"
    assert verdict_word(-0.05, -0.01, p_adjusted=0.2) == "cannot tell"
    assert verdict_word(0.01, 0.05, margin=0.01, p_adjusted=0.2) == "not worse"


def test_few_pairs_tell_nothing() -> None:
    assert verdict_word(0.4, 0.9, pairs=5) == "cannot tell"
    assert verdict_word(None, None) == "cannot tell"


def test_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="size of a drop"):
        verdict_word(0.0, 0.1, margin=-0.02)


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_larger_margin_never_makes_it_worse(low: float, width: float, margin: float, more: float) -> None:
    rank = {"worse": 0, "cannot tell": 1, "not worse": 2, "better": 3}

    assert (
        rank[verdict_word(low, low + width, margin=margin + more)]
        >= rank[verdict_word(low, low + width, margin=margin)]
    )


def test_comparisons_are_corrected_together() -> None:
    dropped = compare_pairs([1] * 90 + [0] * 10, [1] * 80 + [0] * 10 + [0] * 8 + [1] * 2)
    same = compare_pairs([1] * 90 + [0] * 10, [1] * 90 + [0] * 10)

    alone = decide([dropped])
    together = decide([dropped, same, same, same])

    assert alone[0].p_adjusted == dropped.p_value
    assert together[0].p_adjusted == pytest.approx(min(1.0, 4 * dropped.p_value))


def test_cannot_tell_says_how_many_rows_would() -> None:
    comparison = compare_pairs(
        [1, 1, 0, 1, 1, 0, 1, 1, 1, 0] * 5, [1, 1, 0, 1, 1, 0, 1, 1, 1, 0] * 4 + [1] * 8 + [0] * 2
    )

    (decision,) = decide([comparison], [0.05])

    assert decision.verdict == "cannot tell"
    assert decision.needed_rows is not None
    assert decision.needed_rows > comparison.pairs
    assert decision.smallest_detectable > 0


def test_told_needs_no_more_rows() -> None:
    (decision,) = decide([compare_pairs([0] * 40, [1] * 40)])

    assert decision.verdict == "better"
    assert decision.needed_rows is None
