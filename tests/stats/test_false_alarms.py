"""Seeded simulations: how often an unchanged application is called worse."""

from __future__ import annotations

from functools import cache

import numpy as np

from genaiops.stats import compare_pairs, decide, holm, mcnemar_midp, paired_rate_interval, verdict_word

ROWS = 100
FLIPS = [0.05, 0.05, 0.9]  # better, worse, same: 10 % of rows flip although nothing was changed


@cache
def word(better: int, worse: int, p_adjusted: float, margin: float = 0.0) -> str:
    low, high = paired_rate_interval(better, worse, ROWS)
    return verdict_word(low, high, p_adjusted=p_adjusted, margin=margin, pairs=ROWS)


def test_unchanged_application_is_rarely_called_worse() -> None:
    """The rule "the mean dropped" cries wolf in 44 % of runs, "by 2 points" in 32 %, "by 5 points" in 8 %."""
    drawn = np.random.default_rng(0).multinomial(ROWS, FLIPS, size=20_000)
    drop = drawn[:, 1] - drawn[:, 0]

    words = [word(int(b), int(c), mcnemar_midp(int(b), int(c))) for b, c, _ in drawn]

    assert abs(np.mean(drop > 0) - 0.44) < 0.01
    assert abs(np.mean(drop >= 2) - 0.32) < 0.01
    assert abs(np.mean(drop >= 5) - 0.08) < 0.02
    assert words.count("worse") / len(words) <= 0.05
    assert words.count("worse") + words.count("better") <= 0.06 * len(words)


def test_several_metrics_raise_no_more_alarms_together() -> None:
    """Eight independent metrics; uncorrected, one of them would look worse in about 18 % of runs."""
    drawn = np.random.default_rng(1).multinomial(ROWS, FLIPS, size=(4000, 8))
    alarms = plain = 0
    for metrics in drawn:
        p_values = [mcnemar_midp(int(b), int(c)) for b, c, _ in metrics]
        corrected = holm(p_values)
        alarms += any(word(int(b), int(c), p) == "worse" for (b, c, _), p in zip(metrics, corrected, strict=True))
        plain += any(word(int(b), int(c), p) == "worse" for (b, c, _), p in zip(metrics, p_values, strict=True))

    assert alarms / 4000 <= 0.05
    assert plain / 4000 > 0.1


def test_graded_scores_raise_no_more_alarms() -> None:
    """Marks from 1 to 5, of which a fifth moves by one when nothing was changed."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(400):
        baseline = rng.choice([5.0, 4, 3, 2, 1], 60, p=[0.55, 0.25, 0.1, 0.05, 0.05])
        moved = rng.choice([0.0, 1, -1], 60, p=[0.8, 0.1, 0.1])
        comparison = compare_pairs(baseline.tolist(), (baseline + moved).tolist(), seed=1)
        alarms += decide([comparison], [0.1])[0].verdict == "worse"

    assert alarms / 400 <= 0.05


def test_real_regressions_are_caught_as_computed() -> None:
    """A drop of 10 points with 14 % of rows flipping: 79 % power at 100 rows by the normal approximation."""
    drawn = np.random.default_rng(3).multinomial(ROWS, [0.02, 0.12, 0.86], size=4000)

    caught = np.mean([word(int(b), int(c), mcnemar_midp(int(b), int(c)), 0.02) == "worse" for b, c, _ in drawn])

    expected = 1 - 0.2  # z = 0.1·√100/√(0.14 − 0.01) = 2.77; Φ(2.77 − 1.96) = 0.79
    assert abs(caught - expected) < 0.05


def test_accepted_drops_are_seldom_stopped_and_never_proven() -> None:
    """A true drop at the margin is called "not worse" in at most 2.5 % of runs (plus what whole counts add)."""
    drawn = np.random.default_rng(4).multinomial(ROWS, [0.03, 0.08, 0.89], size=8000)

    shown = np.mean([word(int(b), int(c), mcnemar_midp(int(b), int(c)), 0.05) == "not worse" for b, c, _ in drawn])

    assert shown <= 0.03
