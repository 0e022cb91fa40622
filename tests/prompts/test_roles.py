"""Role sections. Vectors are those of prompt flow 1.18.5's two parsers, which agree on all but the marked ones."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genaiops.prompts import Image, PromptError, parse_roles, place_images

CALL = "[{'id': 'c1', 'type': 'function', 'function': {'name': 'f', 'arguments': '{}'}}]"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", []),
        (" \n\n", []),
        (
            "system:\nYou are x.\n\nuser:\nhi\n",
            [{"role": "system", "content": "You are x."}, {"role": "user", "content": "hi"}],
        ),
        (
            "# system:\nA\n## user:\nB\n# User :\nC",
            [{"role": "system", "content": "A\n## user:\nB"}, {"role": "user", "content": "C"}],
        ),
        ("system:\nA\nuser:", [{"role": "system", "content": "A\nuser:"}]),
        ("system:\nA\nuser:\n", [{"role": "system", "content": "A"}, {"role": "user", "content": ""}]),
        ("system:\n\nuser:\nB", [{"role": "system", "content": ""}, {"role": "user", "content": "B"}]),
        ("\n\n  #\t SYSTEM \t:  \n\n A ", [{"role": "system", "content": "A"}]),
        ("system:\nA\n#\n\nuser:\nB", [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}]),
        ("system:\r\nA\r\nuser:\r\nB", [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}]),
        ("system:\nA user:\nB", [{"role": "system", "content": "A user:\nB"}]),
        ("system:\nuser : user:\nB", [{"role": "system", "content": "user : user:\nB"}]),
        (
            'function:\n## name:\nget\n## content:\n{"a":1}\n',
            [{"role": "function", "name": "get", "content": '{"a":1}'}],
        ),
        (
            "user:\n## name:\nbob\n## content:\nhello\nthere\n",
            [{"role": "user", "name": "bob", "content": "hello\nthere"}],
        ),
        ("user:\nname:\nbob\ncontent:\nhi", [{"role": "user", "name": "bob", "content": "hi"}]),
        ("user:\nName:\nbob\ncontent:\nhi", [{"role": "user", "content": "Name:\nbob\ncontent:\nhi"}]),
        ("user:\nname: bob\ncontent:\nhi", [{"role": "user", "content": "name: bob\ncontent:\nhi"}]),
        (
            "assistant:\n## tool_calls:\n[{'a': 1}]\ntool:\n## tool_call_id:\nc1\n## content:\n42\n",
            [
                {"role": "assistant", "tool_calls": [{"a": 1}]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
        ),
        ("assistant:\ntool_calls:\n[1, oops]\n", [{"role": "assistant", "content": "tool_calls:\n[1, oops]"}]),
    ],
)
def test_sections_become_messages(text: str, messages: list[dict[str, object]]) -> None:
    assert parse_roles(text) == messages
    assert parse_roles(text, with_trailing_text=True) == messages


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("user: hello\n", "ChatAPIInvalidRole"),
        ("hello\nuser:\nB", "ChatAPIInvalidRole"),
        ("developer:\nA\nuser:\nB\n", "ChatAPIInvalidRole"),
        # Prompt flow takes a bare role word as a message without content, which every model refuses.
        ("user", "ChatAPIInvalidRole"),
        ("function:\nfoo\n", "ChatAPIFunctionRoleInvalidFormat"),
        ("tool:\nfoo\n", "ChatAPIToolRoleInvalidFormat"),
        ("tool:\ncontent:\nfoo\n", "ChatAPIToolRoleInvalidFormat"),
    ],
)
def test_what_is_no_chat_is_refused(text: str, kind: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_roles(text)

    assert caught.value.kind == kind


def test_text_after_tool_calls_is_dropped_only_by_llm_nodes() -> None:
    text = "assistant:\n# tool_calls:\n[{'a': 1}]\nand more"

    assert parse_roles(text, with_trailing_text=True) == [{"role": "assistant", "tool_calls": [{"a": 1}]}]
    assert parse_roles(text) == [{"role": "assistant", "content": "# tool_calls:\n[{'a': 1}]\nand more"}]


def test_tool_calls_may_hold_lists() -> None:
    """Prompt flow's llm nodes cut such a list at its first bracket and then see no calls at all."""
    calls = [{"id": "c1", "function": {"name": "f", "arguments": '{"a": [1, 2]}'}, "more": [[1], 2]}]

    for lenient in (True, False):
        messages = parse_roles(f"assistant:\n## tool_calls:\n{calls}\n", with_trailing_text=lenient)
        assert messages == [{"role": "assistant", "tool_calls": calls}]


def test_tool_calls_are_never_run() -> None:
    text = "assistant:\ntool_calls:\n[__import__('os').getcwd()]\n"

    assert parse_roles(text) == [{"role": "assistant", "content": "tool_calls:\n[__import__('os').getcwd()]"}]


def test_deeply_nested_tool_calls_are_text() -> None:
    (message,) = parse_roles("assistant:\ntool_calls:\n" + "[" * 100_000 + "]" * 100_000)

    assert "tool_calls" not in message


def test_images_on_their_own_line_become_parts() -> None:
    image = Image(b"GIF89a")
    linked = Image(b"GIF87a", source_url="https://x.example/i.gif")
    text = f"user:\nlook\n {image} \n\nand {image}\n{linked}\n"

    (message,) = parse_roles(text, images=[image, linked], image_detail="low")

    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh", "detail": "low"}},
        {"type": "text", "text": f"and {image}"},
        {"type": "image_url", "image_url": {"url": "https://x.example/i.gif", "detail": "low"}},
    ]


def test_an_unknown_image_stays_text() -> None:
    assert parse_roles("user:\nImage(12345678)\n", images=[Image(b"x")]) == [
        {"role": "user", "content": "Image(12345678)"}
    ]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("![image]({{x}})", "\n{{x}}\n"),
        ("a![ image ]({{ y }})b", "a\n{{ y }}\nb"),
        ("![Image]({{z}})", "![Image]({{z}})"),
        ("![image]({{ x | f }})", "![image]({{ x | f }})"),
    ],
)
def test_images_in_markdown_get_their_own_line(template: str, expected: str) -> None:
    assert place_images(template) == expected


def test_other_words_can_be_roles() -> None:
    assert parse_roles("critic:\nno\n", roles=["critic", "author"]) == [{"role": "critic", "content": "no"}]


@pytest.mark.parametrize(
    "text",
    [
        "system:\n" + "\n" * 200_000 + "x",
        "system:\n" + "name:\n" * 60_000,
        "user:\n" + "name:\nx" + "\n" * 200_000 + "y",
        "user:\n" + "user :" + " " * 200_000 + "x",
        "assistant:\n" + "tool_calls:\n" * 40_000,
        "user:\n" + "name" * 60_000 + ":" * 100,
    ],
    ids=["blank lines", "names", "name without content", "blanks after a colon", "labels", "words"],
)
def test_time_grows_no_faster_than_the_text(text: str) -> None:
    start = time.process_time()

    parse_roles(text)

    assert time.process_time() - start < 2.0


PIECES = st.sampled_from(["system", "user", ":", "\n", " ", "#", "x", "name:\n", "content:\n", "[1]", "tool_calls:\n"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_every_message_has_a_role_and_one_content(text: str) -> None:
    try:
        messages = parse_roles("system:\n" + text)
    except PromptError:
        return
    for message in messages:
        assert message["role"] in ("system", "user")
        assert message["content"] == message["content"].strip()


MARKERS = st.sampled_from(["system", "uSer", "tool", "user:\n", "#", ":", "\n", " ", "\u2003", "\r", "x"])


@settings(max_examples=500)
@given(st.lists(MARKERS, max_size=30).map("".join))
def test_sections_are_split_where_prompt_flow_splits_them(text: str) -> None:
    """Its own pattern, which takes quadratic time, is the second implementation."""
    parts = re.split(r"(?im)^\s*#?\s*(system|user)\s*:\s*\n", "system:\n\n" + text)

    messages = parse_roles("system:\n\n" + text, roles=("system", "user"))

    assert [(message["role"], message["content"]) for message in messages] == [
        (role.lower(), content.strip()) for role, content in zip(parts[1::2], parts[2::2], strict=True)
    ]


@given(st.text().filter(lambda text: ":" not in text))
def test_text_without_a_colon_is_one_message(text: str) -> None:
    assert parse_roles("user:\n" + text) == [{"role": "user", "content": text.strip()}]
