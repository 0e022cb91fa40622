"""The best of many."""

from __future__ import annotations

import numpy as np
import pytest

from genaiops.stats import winner


def test_best_of_nine_equal_variants_loses_its_lead() -> None:
    """100 rows, pass rate 0.8, independent flips: the best looks 5.8 points too good; shrunk, within 2 points."""
    rng = np.random.default_rng(0)
    found = [
        winner({str(v): (rng.random(100) < 0.8).astype(float).tolist() for v in range(9)}, resamples=200)
        for _ in range(60)
    ]

    assert np.mean([w.value for w in found]) - 0.8 == pytest.approx(0.058, abs=0.01)
    assert abs(np.mean([w.shrunk for w in found]) - 0.8) < 0.025
    assert np.mean([len(w.tied) for w in found]) > 8.5


def test_clear_winner_stands_alone() -> None:
    rng = np.random.default_rng(1)
    scores = {
        name: (rng.random(300) < rate).astype(float).tolist() for name, rate in {"a": 0.6, "b": 0.9, "c": 0.7}.items()
    }

    found = winner(scores)

    assert found.best == "b"
    assert found.tied == ("b",)
    assert found.optimism < 0.01


def test_lowest_wins_where_lower_is_better() -> None:
    found = winner({"slow": [3.0, 4.0, 5.0, 6.0] * 10, "fast": [1.0, 2.0, 1.5, 2.5] * 10}, higher_is_better=False)

    assert found.best == "fast"
    assert found.value == pytest.approx(1.75)
    assert found.shrunk >= found.value


def test_different_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        winner({"a": [1.0], "b": [1.0, 0.0]})
