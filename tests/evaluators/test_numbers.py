"""Which outputs of an evaluator are scores."""

from __future__ import annotations

import math

from genaiops.evaluators import as_score, flatten, link_aggregates, lower_is_better, score_columns


def test_words_for_pass_and_fail_are_scores_and_other_text_is_not() -> None:
    values = ["Correct", "incorrect", True, 3, "4", " 2.5 ", "because", None, math.nan, [1], ""]

    assert [as_score(value) for value in values] == [1, 0, 1, 3, 4, 2.5, None, None, None, None, None]


def test_a_column_is_a_score_when_every_value_that_is_there_is_one() -> None:
    rows = [
        {"grade": "Correct", "score": 1, "why": "5", "empty": None},
        {"grade": "Incorrect", "score": math.nan, "why": "it is short", "empty": None},
    ]

    assert score_columns(rows) == ["grade", "score"]


def test_nested_outputs_get_dotted_names() -> None:
    assert flatten({"output": {"a": {"score": "4"}}}, "judge") == {"a.score": "4"}
    assert flatten({"output": 1}, "judge") == {"judge": 1}


def test_an_aggregate_that_is_the_rounded_mean_of_a_column_is_that_column() -> None:
    runs = [{"grade": [1.0, 0.0, 0.0]}, {"grade": [1.0, 1.0, 0.0]}]

    assert link_aggregates(runs, [{"accuracy": 0.33, "rows": 3}, {"accuracy": 0.67, "rows": 3}]) == {
        "accuracy": "grade"
    }


def test_an_aggregate_that_fits_only_one_of_two_runs_is_not_linked() -> None:
    runs = [{"grade": [1.0, 0.0]}, {"grade": [1.0, 1.0]}]

    assert link_aggregates(runs, [{"f": 0.5}, {"f": 0.5}]) == {}


def test_names_tell_where_less_is_better() -> None:
    assert [lower_is_better(name) for name in ("latency_p95", "cost_usd", "accuracy", "f1", "token_f1")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_column_of_nan_alone_is_a_score_that_nobody_got() -> None:
    rows = [{"grounded": float("nan"), "why": None}, {"grounded": float("nan"), "why": None}]

    assert score_columns(rows) == ["grounded"]
    assert score_columns([{"grounded": float("nan")}, {"grounded": "no idea"}]) == []
