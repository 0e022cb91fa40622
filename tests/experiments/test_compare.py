"""Scores of rows become metrics, comparisons, ties and regressions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genaiops.evaluators import Evaluation, RowScore
from genaiops.experiments._attribution import attribute, first_difference, got_worse
from genaiops.experiments._compare import Series, compare_series, noise_of, price_of_certainty, rank
from genaiops.experiments._metrics import RowFacts, direction, measure, measure_segments, settle_names
from genaiops.experiments._spec import MetricRule


def evaluation(values: list[float | None], metric: str = "grade", **aggregates: float) -> Evaluation:
    rows = tuple(
        RowScore(row=i, scores={metric: value}, error=None if value is not None else "crashed")
        for i, value in enumerate(values)
    )
    return Evaluation(id="e", evaluator="match", run="r", dataset="d", rows=rows, metrics=aggregates)


def series(values: list[float | None], variant: str = "defaults", metric: str = "grade", **changes) -> Series:
    made = Series(
        evaluator="match",
        dataset="d",
        metric=metric,
        variant=variant,
        is_baseline=variant == "defaults",
        higher_is_better=True,
        scores=list(enumerate(values)),
    )
    return replace(made, **changes)


def test_a_rate_gets_wilsons_interval_and_crashed_rows_are_counted_apart() -> None:
    """Wilson for 3 of 4 at 95 %: 0.3006 to 0.9544."""
    (figures,) = measure(evaluation([1, 1, 0, 1, None]), {}).values()

    assert (figures["value"], figures["rows"], figures["failed"], figures["kind"]) == (0.75, 4, 1, "rate")
    assert (figures["low"], figures["high"]) == pytest.approx((0.3006, 0.9544), abs=5e-5)


def test_nothing_measured_is_null_and_not_nought() -> None:
    (figures,) = measure(evaluation([None, None]), {}).values()

    assert (figures["value"], figures["rows"], figures["failed"]) == (None, 0, 2)


def test_an_aggregate_that_is_a_mean_of_row_scores_takes_them_over() -> None:
    (settled,) = settle_names([evaluation([1, 0, 0], accuracy=0.33, rows=3)])

    figures = measure(settled, {})

    assert set(figures) == {"accuracy", "rows"}
    assert figures["accuracy"]["value"] == 0.33  # as the evaluation flow said
    assert figures["accuracy"]["kind"] == "rate"
    assert figures["rows"]["kind"] == "aggregate"


def test_the_use_case_decides_the_direction_before_the_name_does() -> None:
    found = evaluation([1.0], metric="latency")

    assert direction("latency", found, {}) is False
    assert direction("latency", found, {"match.latency": MetricRule(higher_is_better=True)}) is True


def test_segments_show_each_part_of_the_data() -> None:
    facts = {row: RowFacts(segments={"lang": "de" if row < 2 else "en"}) for row in range(4)}

    found = measure_segments(evaluation([1, 1, 0, 0]), {}, facts)

    assert {value: group["grade"]["value"] for value, group in found["lang"].items()} == {"de": 1, "en": 0}


def test_a_clear_gain_on_the_same_rows_is_better() -> None:
    (entry,) = compare_series([series([0] * 20 + [1] * 20), series([1] * 40, "ask.v1")], {})

    assert (entry["baseline"], entry["candidate"], entry["difference"]) == ("defaults", "ask.v1", 0.5)
    assert (entry["verdict"], entry["pairs"], entry["improved"], entry["worsened"]) == ("better", 40, 20, 0)


def test_too_few_rows_cannot_tell_and_the_price_of_telling_is_named() -> None:
    noisy = [1, 0, 1, 1, 0, 1, 1, 0, 1, 1]

    (entry,) = compare_series([series(noisy), series(noisy[::-1], "ask.v1")], {"grade": MetricRule(margin=0.05)})
    price = price_of_certainty(entry, cost_per_row=0.01, seconds_per_row=2)

    assert (entry["verdict"], entry["margin"]) == ("cannot tell", 0.05)
    assert price is not None
    assert price["rows"] == entry["needed_rows"] - 10
    assert (price["cost_usd"], price["duration_s"]) == pytest.approx((price["rows"] * 0.01, price["rows"] * 2))


def test_rows_that_only_one_variant_has_are_not_compared() -> None:
    (entry,) = compare_series([series([1, None, 1]), series([1, 1, None], "ask.v1")], {})

    assert entry["pairs"] == 1


def test_metrics_of_the_gate_are_corrected_without_the_others() -> None:
    """Holm over one comparison changes nothing; over two the smaller p-value doubles."""
    base, better = [0] * 12 + [1] * 8, [1] * 20
    items = [series(base, metric=m) for m in "ab"] + [series(better, "v", metric=m) for m in "ab"]

    together = compare_series(items, {})
    apart = compare_series(items, {}, judged=["a"])

    assert together[0]["p_adjusted"] == pytest.approx(2 * together[0]["p_value"])
    assert apart[0]["p_adjusted"] == pytest.approx(apart[0]["p_value"])


def test_equal_variants_are_reported_as_tied() -> None:
    scores = [1, 0, 1, 1, 0, 1, 1, 1]

    (found,) = rank([series(scores), series(scores, "a"), series(scores[::-1], "b")])

    assert set(found["tied"]) == {"defaults", "a", "b"}


def test_repeats_give_a_noise_floor() -> None:
    """Two of four rows flip between two repeats: half of the pairs differ."""
    repeats = [(row, float(value)) for row, values in enumerate([(1, 1), (1, 0), (0, 1), (0, 0)]) for value in values]

    found = noise_of([series([], scores=repeats)])

    assert found is not None
    assert (found["metric"], found["flip_share"], found["repeats"]) == ("grade", 0.5, 2)
    assert noise_of([series([1, 0, 1])]) is None


def outcome(**outputs: object) -> dict:
    return {"nodes": {name: {"status": "completed", "output": value} for name, value in outputs.items()}, "outputs": {}}


def test_a_regression_is_traced_to_the_first_node_that_differs() -> None:
    before = {0: outcome(a=1, b=1, c=1), 1: outcome(a=1, b=1, c=1), 2: outcome(a=1, b=1, c=1)}
    after = {0: outcome(a=1, b=2, c=2), 1: outcome(a=1, b=2, c=1), 2: outcome(a=1, b=1, c=9)}

    (found,) = attribute(
        [series([1, 1, 1, 1]), series([0, 0, 0, 1], "v")], {"defaults": before, "v": after}, ["a", "b", "c"]
    )

    assert found["by_node"] == [{"node": "b", "rows": [0, 1], "count": 2}, {"node": "c", "rows": [2], "count": 1}]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ([series([1, 0, 1]), series([1, 0, 1], "v")], False),
        ([series([1, 0, 1]), series([1, 1, 1], "v")], False),
        ([series([1, 0, 1]), series([1, 1, 0], "v")], True),
        ([series([1, 0, 1]), series([1, 1, None], "v")], False),
        ([series([1, 0, 1]), series([0, 0, 0], "v", "other metric")], False),
        ([series([1, 2], higher_is_better=False), series([1, 3], "v", higher_is_better=False)], True),
    ],
    ids=["equal", "better", "one row worse", "not scored", "another metric", "higher is worse"],
)
def test_outcomes_are_needed_only_where_a_row_got_worse(pair: list[Series], expected: bool) -> None:
    assert got_worse(pair) is expected
    outcomes = {0: outcome(a=1), 1: outcome(a=1), 2: outcome(a=1)}
    assert bool(attribute(pair, {"defaults": outcomes, "v": outcomes}, ["a"])) is expected


def test_a_flow_without_nodes_is_named_as_a_whole() -> None:
    assert first_difference({"outputs": {"x": 1}}, {"outputs": {"x": 2}}, []) == "(the flow)"
