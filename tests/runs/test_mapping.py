from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import DataError
from genaiops.runs import InputShape, Lookup, plan_mapping

REQUIRED = InputShape("string")
OPTIONAL = InputShape("string", has_default=True)


def test_columns_of_both_sources_and_literals_become_inputs() -> None:
    """Vector C.4 of the format reference, one line of it."""
    plan = plan_mapping(
        {"x": "${data.q}", "y": "${run.outputs.o}", "z": "lit"},
        inputs={"x": REQUIRED, "y": REQUIRED, "z": REQUIRED},
        columns={"data": ["q"], "run.outputs": ["line_number", "o"]},
    )

    assert plan.apply({"data": {"q": 1}, "run.outputs": {"line_number": 0, "o": "a"}}) == {"x": 1, "y": "a", "z": "lit"}


def test_an_input_with_a_default_is_not_read_from_data_unless_mapped() -> None:
    plan = plan_mapping({}, inputs={"q": REQUIRED, "lang": OPTIONAL}, columns={"data": ["q", "lang"]})

    assert plan.apply({"data": {"q": 1, "lang": "fr"}}) == {"q": 1}


def test_a_column_that_a_row_lacks_leaves_its_input_out() -> None:
    plan = plan_mapping({}, inputs={"q": REQUIRED, "w": REQUIRED}, columns={"data": ["q", "w"]})

    assert plan.apply({"data": {"q": 1}}) == {"q": 1}


def test_the_rest_of_a_lookup_is_one_column_dots_included() -> None:
    plan = plan_mapping({"x": "${run.outputs.a.b}"}, inputs={"x": REQUIRED}, columns={"run.outputs": ["a.b", "a"]})

    assert plan.lookups["x"] == Lookup("run.outputs", "a.b")
    with pytest.raises(DataError):
        plan_mapping({"x": "${data.a.b}"}, inputs={"x": REQUIRED}, columns={"data": ["a"]})


def test_all_lookups_that_lead_nowhere_are_one_error_with_the_nearest_column() -> None:
    with pytest.raises(DataError) as caught:
        plan_mapping(
            {"a": "${data.questoin}", "b": "${run.outputs.x}"},
            inputs={"a": REQUIRED, "b": REQUIRED, "c": REQUIRED},
            columns={"data": ["question", "answer"]},
        )

    error = caught.value
    assert (error.kind, error.exit_code) == ("ApplyInputMappingError", 2)
    assert "${data.questoin}, ${run.outputs.x}" in error.message or "${data.c}" in error.message
    for text in ("Did you mean 'question'?", "no earlier run with outputs", "has no default and no mapping"):
        assert text in error.message
    assert "data has question, answer" in str(error.hint)


@pytest.mark.parametrize(
    "text",
    [
        *("$data.text", "{data.text}", "${data.text", "${data.text}}", "${{data.text}}", "{${data.text}}"),
        *("$(data.text)", "Say ${data.text}!", "$ {data.text}", "${run.outputs.text}}"),
    ],
)
def test_what_is_almost_a_lookup_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="looks like a lookup") as caught:
        plan_mapping({"x": text}, inputs={"x": REQUIRED}, columns={"data": ["text"]})

    assert ".text}" in str(caught.value.hint)


@pytest.mark.parametrize("value", ["data.csv", "costs $5", "{a}", "[1]", 7, None, True, {"a": "${data.x}"}])
def test_other_values_are_literals(value: object) -> None:
    plan = plan_mapping({"x": "${data.x}", "y": value}, inputs={"x": REQUIRED, "y": REQUIRED}, columns={"data": ["x"]})

    assert plan.literals == {"y": value}


def test_an_input_that_the_flow_lacks_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(DataError, match="Did you mean 'question'"):
        plan_mapping({"qestion": "${data.q}"}, inputs={"question": OPTIONAL}, columns={"data": ["q"]})


def test_an_input_that_the_flow_lacks_is_let_through_where_that_was_asked() -> None:
    options = {"inputs": {"a": OPTIONAL}, "columns": {"data": ["q"]}}

    assert plan_mapping({"b": "${data.q}"}, **options, strict=False).unknown == ("b",)  # type: ignore[arg-type]
    assert plan_mapping({"b": "${data.q}"}, **options, takes_any=True).unknown == ()  # type: ignore[arg-type]


def test_a_mapping_of_literals_alone_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        plan_mapping({"x": "one"}, inputs={"x": REQUIRED}, columns={"data": ["q"]})

    assert caught.value.kind == "ValidationException"


def test_line_number_is_no_input() -> None:
    plan = plan_mapping(
        {"x": "${data.q}", "line_number": "${data.line_number}"}, inputs={"x": REQUIRED}, columns={"data": ["q"]}
    )

    assert list(plan.lookups) == ["x"]


@given(column=st.text(alphabet=st.characters(blacklist_characters="{}", blacklist_categories=["Cs"]), min_size=1))
def test_any_column_without_braces_can_be_looked_up(column: str) -> None:
    if column != column.strip():
        return

    plan = plan_mapping({"x": f"${{data.{column}}}"}, inputs={"x": REQUIRED}, columns={"data": [column]})

    assert plan.apply({"data": {column: 5}}) == {"x": 5}
