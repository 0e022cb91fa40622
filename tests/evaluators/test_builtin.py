"""The built-in metrics; expected values are closed forms or worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from genaiops.errors import SettingsError
from genaiops.evaluators import (
    BUILTINS,
    RowFacts,
    builtin_names,
    check_builtin,
    classification_metrics,
    score_builtin,
)

NO_FACTS = RowFacts()


def score(name: str, prediction: object = None, truth: object = None, **options: object) -> float | None:
    (value,) = score_builtin(name, {"prediction": prediction, "truth": truth}, NO_FACTS, options).values()
    return value


@pytest.mark.parametrize(
    ("name", "prediction", "truth", "options", "expected"),
    [
        ("exact_match", " App ", "App", {}, 1),
        ("exact_match", "app", "App", {}, 0),
        ("exact_match", "app", "App", {"case_sensitive": False}, 1),
        ("contains", "the capital is Paris", "Paris", {}, 1),
        ("contains", "a and b", ["a", "b"], {}, 1),
        ("contains", "a", ["a", "b"], {}, 0),
        ("json_valid", '{"a": 1}', None, {}, 1),
        ("json_valid", "{a: 1}", None, {}, 0),
        ("json_valid", '{"a": 1}', None, {"keys": ["b"]}, 0),
        ("json_valid", '{"a": 1}', None, {"schema": {"properties": {"a": {"type": "string"}}}}, 0),
        ("regex", "order 42", None, {"pattern": r"\d+"}, 1),
        ("regex", "order 42", None, {"pattern": r"\d+", "full": True}, 0),
        ("numeric_close", "1,000.0", 1000, {}, 1),
        ("numeric_close", "about 3", 3, {}, 0),
        ("numeric_close", 3.1, 3, {"absolute": 0.2}, 1),
        ("absolute_error", "3.5", 3, {}, 0.5),
        ("levenshtein", "kitten", "sitting", {}, 1 - 3 / 7),  # the distance of the textbook
        ("token_f1", "a b c", "b c d", {}, 2 * 2 / (3 + 3)),
        ("token_f1", "", "", {}, 1),
        ("token_f1", "", "x", {}, 0),
        ("classification", "APP", "app", {}, 1),
        ("length", "four", None, {}, 4),
    ],
)
def test_scores_are_what_the_definition_says(
    name: str, prediction: object, truth: object, options: dict, expected: float
) -> None:
    assert score(name, prediction, truth, **options) == pytest.approx(expected)


def test_facts_of_the_run_are_metrics() -> None:
    facts = RowFacts(duration_s=1.5, input_tokens=3, output_tokens=4, cost_usd=0.01)

    assert score_builtin("latency", {}, facts, {}) == {"latency_s": 1.5}
    assert score_builtin("tokens", {}, facts, {}) == {"tokens": 7}
    assert score_builtin("cost", {}, facts, {}) == {"cost_usd": 0.01}
    assert score_builtin("tokens", {}, NO_FACTS, {}) == {"tokens": None}


def test_a_truth_that_is_no_number_is_a_failure_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="is not a number"):
        score("numeric_close", "3", "three")


def test_inputs_are_understood_under_their_usual_names() -> None:
    assert score_builtin("exact_match", {"answer": "x", "groundtruth": "x"}, NO_FACTS, {}) == {"exact_match": 1.0}


def test_a_missing_input_and_an_unknown_option_are_named() -> None:
    with pytest.raises(SettingsError, match="needs the input 'truth'"):
        check_builtin("exact_match", ["prediction"], {})
    with pytest.raises(SettingsError) as caught:
        check_builtin("exact_match", ["prediction", "truth"], {"case_sensitiv": True})
    assert caught.value.hint == "Did you mean 'case_sensitive'?"
    with pytest.raises(SettingsError, match="needs the option 'pattern'"):
        check_builtin("regex", ["prediction"], {})


def test_precision_recall_and_f1_of_one_class_and_of_all() -> None:
    """Confusion by hand: a: 2 hits, 3 said, 3 are; b: 1 hit, 2 said, 2 are."""
    pairs = [("a", "a"), ("a", "a"), ("b", "a"), ("a", "b"), ("b", "b")]

    assert classification_metrics(pairs, positive="a") == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    )
    assert classification_metrics(pairs)["precision"] == pytest.approx((2 / 3 + 1 / 2) / 2)


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    text=st.text(max_size=20),
    other=st.text(max_size=20),
    name=st.sampled_from(["exact_match", "levenshtein", "token_f1"]),
)
def test_agreement_is_between_nought_and_one_and_full_with_itself(text: str, other: str, name: str) -> None:
    assert score(name, text, text) == 1
    value = score(name, text, other)
    assert value is not None
    assert 0 <= value <= 1


def test_every_metric_has_a_summary_and_a_place_in_the_list() -> None:
    assert builtin_names() == sorted(BUILTINS)
    assert all(metric.summary for metric in BUILTINS.values())
