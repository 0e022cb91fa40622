"""Drawings."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.reports._svg import Point, bar_plot, cost_quality_chart, frontier, interval_plot, scale_over

NUMBERS = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(st.lists(NUMBERS, min_size=1, max_size=12))
def test_scale_shows_every_value_in_its_order(values: list[float]) -> None:
    scale = scale_over(values)

    places = [scale.at(value) for value in sorted(values)]
    assert all(2 <= place <= 98 for place in places)
    assert places == sorted(places)
    assert 1 <= len(scale.ticks) <= 12


def test_scale_of_rates_stays_within_0_and_1() -> None:
    scale = scale_over([0.0, 1.0, 0.5], low=0.0, high=1.0)

    assert (scale.start, scale.end) == (0.0, 1.0)
    assert scale.ticks == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def test_plot_has_words_and_is_well_formed() -> None:
    scale = scale_over([0.5, 0.9])
    drawn = interval_plot(scale, 0.7, 0.6, 0.8, tone="better", words="a & <b>", reference=0.65, band=(0.6, 0.65))

    root = ElementTree.fromstring(drawn)

    assert root.get("aria-label") == "a & <b>"
    assert root.get("role") == "img"
    assert ElementTree.fromstring(bar_plot(1.7, "too much")).find("rect") is not None


def test_unknown_value_draws_nothing_but_the_reference() -> None:
    drawn = interval_plot(scale_over([0.5]), None, None, None, tone="base", words="not measured", reference=0.5)

    assert "circle" not in drawn
    assert "reference" in drawn


def test_chart_is_a_file_of_its_own_and_names_all_points() -> None:
    points = [
        Point("<a>", 1.0, 0.8, 0.7, 0.9, is_baseline=True, on_frontier=True),
        Point("b", 2.0, 0.9, None, None, is_baseline=False, on_frontier=True),
    ]

    chart = cost_quality_chart(points, cost_name="cost", quality_name="accuracy & more")

    root = ElementTree.fromstring(chart)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<a>: 1, 0.8 (default), on the frontier" in str(root.get("aria-label"))
    assert "style=" not in chart


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([("a", 1.0, 0.8), ("b", 2.0, 0.9), ("c", 2.0, 0.7)], {"a", "b"}),
        ([("a", 1.0, 0.8), ("b", 1.0, 0.8)], {"a", "b"}),
        ([("a", 1.0, 0.9), ("b", 2.0, 0.9)], {"a"}),
    ],
)
def test_frontier_holds_what_nothing_beats(points: list[tuple[str, float, float]], best: set[str]) -> None:
    assert frontier(points) == best
