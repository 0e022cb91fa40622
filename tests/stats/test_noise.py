"""The noise of an unchanged application."""

from __future__ import annotations

import numpy as np
import pytest

from genaiops.stats import noise_floor, paired_spread, smallest_detectable


def test_floor_of_flipping_rows_is_that_of_their_share() -> None:
    """10 % of rows flip between two repeats: the spread of differences is √0.1, in expectation."""
    rng = np.random.default_rng(0)
    first = rng.random(5000) < 0.8
    flipped = rng.random(5000) < 0.1
    scores = [[float(a), float(a != f)] for a, f in zip(first, flipped, strict=True)]

    found = noise_floor(scores, of_rows=100)

    assert found.flip_share == pytest.approx(0.1, abs=0.01)
    assert found.spread == pytest.approx(paired_spread(0.1, 0.0), rel=0.06)
    assert found.floor == pytest.approx(smallest_detectable(100, found.spread))


def test_more_repeats_say_the_same_more_surely() -> None:
    rng = np.random.default_rng(1)
    scores = (0.5 + rng.normal(0, 0.1, (400, 6))).tolist()

    assert noise_floor(scores).spread == pytest.approx(0.1 * np.sqrt(2), rel=0.05)


def test_steady_application_has_no_noise() -> None:
    found = noise_floor([[1, 1], [0, 0], [1, 1, 1], [1]])

    assert (found.rows, found.repeats, found.flip_share, found.floor) == (3, 3, 0.0, 0.0)


def test_rows_without_repeats_tell_nothing() -> None:
    with pytest.raises(ValueError, match="2 repeats; got 0"):
        noise_floor([[1], [0], [1]])
