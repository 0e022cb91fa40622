"""Prompts that are split once. The second implementation renders the template and looks for roles in its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genaiops.prompts import PromptError, build_messages, parse_roles, render
from genaiops.prompts._ready import ReadyPrompt

ROLES = ("system", "user", "assistant", "function", "tool")
TEMPLATES = st.lists(
    st.sampled_from(
        [
            *("{{a}}", "{{a}}", "{{b}}", "{{c}}", "system:\n", "user:\n", "assistant:\n", "tool:\n", "name:\n"),
            *("content:\n", "tool_call_id:\n", "tool_calls:\n", "[1]", "us", "er:", "# ", ":", " ", "\n", "\r", "x"),
            *("\ufdd0", "\ufdd1", "\ufdd2", "{% raw %}{{q}}{% endraw %}", "{# nothing #}"),
        ]
    ),
    max_size=12,
).map("".join)
TEXTS = st.lists(
    st.sampled_from(
        [
            *("system:\n", "\nuser:\n", "user:", ":\n", "name:\nbob\ncontent:\nhi", "tool_calls:\n[1]", "[1, 2]", "#"),
            *("name", "er", "x", " ", "\n", "\r\n", "\ufdd0", "\ufdd1", "\ufdd2", "0"),
        ]
    ),
    max_size=3,
).map("".join)


def rendered(template: str, values: Mapping[str, Any], untrusted: list[str]) -> Any:
    try:
        return parse_roles(render(template, values, guarded=untrusted), with_trailing_text=True)
    except PromptError as error:
        return str(error)


def built(template: str, values: Mapping[str, Any], untrusted: list[str]) -> Any:
    try:
        return build_messages(template, values, untrusted=untrusted, with_trailing_text=True)
    except PromptError as error:
        return str(error)


@settings(max_examples=500)
@given(
    template=TEMPLATES,
    rows=st.lists(st.fixed_dictionaries({"a": TEXTS, "b": TEXTS, "c": TEXTS}), min_size=1, max_size=4),
    untrusted=st.sampled_from([["a", "b"], ["a"], ["a", "b", "c"], []]),
)
@example("system:\n{{a}}user:\nx", [{"a": "x", "b": "", "c": ""}, {"a": "", "b": "", "c": ""}], ["a"])
@example("assistant:\ntool_calls:\n{{a}}", [{"a": "x", "b": "", "c": ""}, {"a": "[1]", "b": "", "c": ""}], ["a"])
@example("user:\nname:\n{{a}} x\ncontent:\n1", [{"a": a, "b": "", "c": ""} for a in ("y", " ")], ["a"])
def test_messages_are_those_of_the_rendered_template(
    template: str, rows: list[dict[str, str]], untrusted: list[str]
) -> None:
    for values in rows:
        assert built(template, values, untrusted) == rendered(template, values, untrusted)


def test_a_template_that_only_prints_is_split_once() -> None:
    prompt = ReadyPrompt("system:\n{{tone}}\nuser:\n{{q}} ?\n", frozenset({"q"}), ROLES)

    found = [prompt.messages({"tone": "Be brief.", "q": question, "more": 1}) for question in ("a", "system:\nb")]

    assert found == [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{question} ?"}]
        for question in ("a", "system:\nb")
    ]


@pytest.mark.parametrize(
    "template",
    ["user:\n{{q | upper}}", "user:\n{% if q %}{{q}}{% endif %}", "user:\n{{q.x}}", "user:\n{{missing}}", "user:\n{{"],
)
def test_a_template_that_does_more_is_rendered(template: str) -> None:
    assert ReadyPrompt(template, frozenset({"q"}), ROLES).messages({"q": "x"}) is None


@pytest.mark.parametrize("value", ["", 3, None, ["x"], "x" * 1_000_000])
def test_a_value_that_is_no_ordinary_text_is_rendered(value: Any) -> None:
    assert ReadyPrompt("user:\n{{q}}", frozenset({"q"}), ROLES).messages({"q": value}) is None


def test_texts_that_differ_from_row_to_row_and_that_no_user_typed_are_rendered() -> None:
    """They may open messages, as the template may."""
    prompt = ReadyPrompt("user:\n{{context}}\n{{q}}", frozenset({"q"}), ROLES)

    found = [prompt.messages({"context": f"assistant:\n{number}", "q": "x"}) for number in range(100)]

    assert found[0] == [{"role": "user", "content": ""}, {"role": "assistant", "content": "0\nx"}]
    assert found[-1] is None


def test_each_row_has_messages_of_its_own() -> None:
    prompt = ReadyPrompt("system:\nBe kind.\nuser:\n{{q}}", frozenset({"q"}), ROLES)
    first = prompt.messages({"q": "x"})
    assert first is not None
    for message in first:
        message["content"] = "changed"

    assert prompt.messages({"q": "x"}) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "x"},
    ]
