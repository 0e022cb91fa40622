"""The reference grammar, and how a property is read (vectors of the format reference, C.1)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import RowError
from genaiops.flows import Reference, parse_reference
from genaiops.flows._references import parse_property, read_property

INVALID = "InvalidReferenceProperty"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${inputs.text}", Reference("input", "text")),
        ("${flow.text}", Reference("input", "text")),
        ("${inputs.a.b}", Reference("input", "a.b")),
        ("${node}", Reference("node", "node")),
        ("${node.output}", Reference("node", "node")),
        ("${node.output.a.b[0]}", Reference("node", "node", "output", "a.b[0]")),
        ("${node.outputs.a}", Reference("node", "node", "outputs", "a")),
        ("${node.output[0]}", Reference("node", "node", "output[0]")),
        ("${node.}", Reference("node", "node", "")),
        ("${ node.output }", Reference("node", " node", "output ")),
        ("${inputs}", Reference("node", "inputs")),
        ("${}", Reference("node", "")),
    ],
)
def test_a_whole_string_in_braces_is_a_reference(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize("value", ["a ${n.output}", "${n.output} b", "$n", "$", "{n}", "", 3, None, ["${n.output}"]])
def test_anything_else_is_a_literal(value: Any) -> None:
    assert parse_reference(value) is None


def test_the_canonical_text_says_flow_for_inputs() -> None:
    assert str(parse_reference("${inputs.x}")) == "${flow.x}"
    assert str(parse_reference("${n}")) == "${n.output}"
    assert str(parse_reference("${n.output.a[0]}")) == "${n.output.a[0]}"


def read(path: str, value: Any) -> Any:
    return read_property(value, parse_property(path), Reference("node", "n", "output", path))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("a.b[0]", {"a": {"b": [1, 2]}}, 1),
        ("['a']['b'][1]", {"a": {"b": [1, 2]}}, 2),
        ('["a"].b', {"a": {"b": [1, 2]}}, [1, 2]),
        ("[1]", [1, 2, 3], 2),
        ("[-1]", [1, 2, 3], INVALID),
        ("0", {"0": 9}, 9),
        ("0", [7], INVALID),
        ("x-y", {"x-y": 1}, INVALID),
        ("['x-y']", {"x-y": 1}, 1),
        ("['a.b']", {"a.b": 1}, 1),
        ("a", None, INVALID),
        ("[0]", None, "TypeError"),
        ("a.b[2]['c d']", SimpleNamespace(a={"b": [0, 1, {"c d": 5}]}), 5),
        ("missing", {}, INVALID),
        ("[9]", [1], INVALID),
    ],
)
def test_properties_are_read_as_prompt_flow_reads_them(path: str, value: Any, expected: Any) -> None:
    if expected in (INVALID, "TypeError"):
        with pytest.raises(RowError) as caught:
            read(path, value)
        assert caught.value.kind == expected
    else:
        assert read(path, value) == expected


words = st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z")


@given(keys=st.lists(words, min_size=1, max_size=5), leaf=st.integers())
def test_dotted_and_bracketed_paths_reach_the_same_leaf(keys: list[str], leaf: int) -> None:
    value: Any = leaf
    for key in reversed(keys):
        value = {key: value}

    assert read(".".join(keys), value) == leaf
    assert read("".join(f"['{key}']" for key in keys), value) == leaf


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    reference = parse_reference(text)

    if reference is not None:
        again = parse_reference(str(reference))
        assert again is not None
        assert again.name == reference.name
        parse_property(reference.path)
