"""Rows in clusters."""

from __future__ import annotations

import numpy as np
import pytest

from genaiops.stats import (
    cluster_bootstrap_interval,
    cluster_effect,
    cluster_interval,
    cluster_rate_interval,
    t_interval,
    wilson_interval,
)


def test_clusters_of_one_row_give_students_interval() -> None:
    values = [0.2, 0.9, 0.4, 0.7, 0.5, 0.1]

    assert cluster_interval(values, range(6)) == pytest.approx(t_interval(values), abs=1e-12)


def test_copies_of_rows_add_no_evidence() -> None:
    """Every row five times: the same ends as the rows themselves, where independent rows would narrow them."""
    values = [0.2, 0.9, 0.4, 0.7, 0.5, 0.1]
    copies = [value for value in values for _ in range(5)]

    interval = cluster_interval(copies, [index // 5 for index in range(30)])

    assert interval == pytest.approx(t_interval(values), abs=1e-12)


def test_rate_of_single_row_clusters_is_close_to_wilsons() -> None:
    values = [1.0] * 40 + [0.0] * 10

    ours = cluster_rate_interval(values, range(50))

    assert ours == pytest.approx(wilson_interval(40, 50), abs=0.004)  # the residual error divides by n − 1


def test_rate_of_copied_rows_is_worth_its_clusters() -> None:
    values = [1.0] * 12 + [0.0] * 8
    copies = [value for value in values for _ in range(4)]
    clusters = [index // 4 for index in range(80)]

    low, high = cluster_rate_interval(copies, clusters)

    plain = wilson_interval(48, 80)
    assert high - low > 1.8 * (plain.high - plain.low)


def test_unanimous_clusters_count_once_each() -> None:
    interval = cluster_rate_interval([1.0] * 100, [index // 10 for index in range(100)])

    assert interval.high == 1.0
    assert interval.low < wilson_interval(10, 10).low + 0.01


def test_effect_of_copies_is_their_number() -> None:
    values = [float(v) for v in np.random.default_rng(0).normal(size=200)]
    copies = [value for value in values for _ in range(5)]

    assert cluster_effect(copies, [index // 5 for index in range(1000)]) == pytest.approx(5.0, rel=0.02)


def test_bootstrap_of_clusters_agrees_with_the_sandwich() -> None:
    rng = np.random.default_rng(1)
    centres = np.repeat(rng.normal(size=80), 6)
    values = (centres + rng.normal(size=480)).tolist()
    clusters = [index // 6 for index in range(480)]

    ours = cluster_bootstrap_interval(values, clusters, resamples=8000)

    assert ours == pytest.approx(cluster_interval(values, clusters), abs=0.04)


def test_intervals_of_clustered_rows_hold_the_truth() -> None:
    """20 clusters of 8 rows, half of the variance between clusters: independent intervals hold it in about 70 %."""
    rng = np.random.default_rng(2)
    clusters = [index // 8 for index in range(160)]
    held = naive = rates = 0
    for _ in range(600):
        values = np.repeat(rng.normal(size=20), 8) + rng.normal(size=160)
        low, high = cluster_interval(values.tolist(), clusters)
        held += low <= 0 <= high
        low, high = t_interval(values.tolist())
        naive += low <= 0 <= high
        chances = np.repeat(rng.beta(4, 1, size=20), 8)
        low, high = cluster_rate_interval((rng.random(160) < chances).astype(float).tolist(), clusters)
        rates += low <= 0.8 <= high

    assert held / 600 == pytest.approx(0.95, abs=0.02)
    assert rates / 600 == pytest.approx(0.95, abs=0.025)
    assert naive / 600 < 0.8


def test_one_cluster_tells_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 clusters"):
        cluster_interval([1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match="one cluster a value"):
        cluster_interval([1.0, 2.0], ["a"])
