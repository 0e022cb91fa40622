"""Flow inputs converted to their types (vectors of the format reference, C.5)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import RowError
from genaiops.flows import InputDef
from genaiops.flows._conversion import InputConverter

PARSE, TYPE = "InputParseError", "InputTypeError"


def convert(value: Any, type_name: str) -> Any:
    return InputConverter({"x": InputDef(type=type_name)}).convert({"x": value})["x"]


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("int", "3", 3),
        ("int", "3.0", TYPE),
        ("int", 3.9, 3),
        ("int", True, 1),
        ("int", None, TYPE),
        ("int", math.inf, TYPE),
        ("bool", "TRUE", True),
        ("bool", "false", False),
        ("bool", 1, TYPE),
        ("bool", 0, TYPE),
        ("bool", "yes", TYPE),
        ("string", 4, "4"),
        ("string", None, "None"),
        ("string", {"a": 1}, "{'a': 1}"),
        ("list", "[1,2]", [1, 2]),
        ("list", "a,b", PARSE),
        ("list", "{}", TYPE),
        ("list", (1, 2), TYPE),
        ("object", '{"a":1}', {"a": 1}),
        ("object", "plain", "plain"),
        ("object", "[1]", [1]),
        ("object", "7", 7),
        ("double", "1e3", 1000.0),
        ("double", 2, 2.0),
        ("secret", 5, 5),
        ("file_path", "a/b", "a/b"),
    ],
)
def test_a_value_becomes_its_declared_type(type_name: str, value: Any, expected: Any) -> None:
    if expected in (PARSE, TYPE):
        with pytest.raises(RowError) as caught:
            convert(value, type_name)
        assert caught.value.kind == expected
    else:
        result = convert(value, type_name)
        assert result == expected
        assert type(result) is type(expected)


def test_a_missing_value_takes_the_default_which_is_converted_too() -> None:
    converter = InputConverter({"n": InputDef(type="int", default="7", has_default=True)})

    assert converter.convert({}) == {"n": 7}


def test_null_does_not_take_the_default() -> None:
    converter = InputConverter({"s": InputDef(type="string", default="d", has_default=True)})

    assert converter.convert({"s": None}) == {"s": "None"}


@pytest.mark.parametrize("declared", [InputDef(type="string"), InputDef(type="string", default=None, has_default=True)])
def test_without_a_default_a_missing_value_fails_and_names_the_line(declared: InputDef) -> None:
    with pytest.raises(RowError, match="'q' has no value in line 4 of input data") as caught:
        InputConverter({"q": declared}).convert({"Q": "x"}, row=4)

    assert caught.value.kind == "InputNotFound"
    assert caught.value.hint == "Did you mean 'Q'?"


def test_undeclared_values_pass_through_untouched() -> None:
    assert InputConverter({}).convert({"extra": [1]}) == {"extra": [1]}


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.lists(st.integers()), st.booleans()))
def test_conversion_gives_the_type_or_a_row_error(value: Any) -> None:
    expected = {"int": int, "double": float, "bool": bool, "string": str, "list": list}
    for type_name, python_type in expected.items():
        result = convert_or_kind(value, type_name)
        assert result in (PARSE, TYPE) or type(result) is python_type


def convert_or_kind(value: Any, type_name: str) -> Any:
    try:
        return convert(value, type_name)
    except RowError as error:
        return error.kind
