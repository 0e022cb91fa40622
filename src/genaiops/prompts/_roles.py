"""Role sections of a prompt as chat messages.

A marker is a line that holds a role, a colon and nothing else, after at most one `#`; blank lines around it belong to
it. All scanning is linear in the text, whatever it holds: prompts carry what strangers typed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import GUARD, ROLES, unguard
from genaiops.prompts._images import Image

_MAX_TOOL_CALLS = 1_000_000  # characters handed to the literal parser
# Marks count as blank between a label and its value: labels that a user typed are broken by marks inside.
_VALUE = rf"\s*+:(?=\s*\n)[\s{GUARD}]*+(\S+)[\s{GUARD}]*+(?:\#{{1,2}}\s*+)?content\s*+:\s*+(.*)"
_NAME = re.compile("name" + _VALUE, re.DOTALL)
_TOOL_CALL_ID = re.compile("tool_call_id" + _VALUE, re.DOTALL)
_TOOL_CALLS = re.compile(rf"tool_calls\s*+:(?=\s*\n)[\s{GUARD}]*+(?=\[)")
_LABEL_END = re.compile(r":\s*\n")  # to the last line end of the blank lines behind it
_IMAGE_IN_MARKDOWN = re.compile(r"!\[\s*image\s*\]\(\{\{(\s*[^\s{}]+\s*)\}\}\)")


class Section(NamedTuple):
    """A role and the text of its message, marks included."""

    role: str
    text: str


def parse_roles(
    text: str,
    *,
    images: Iterable[Image] = (),
    roles: Sequence[str] = ROLES,
    image_detail: str = "auto",
    with_trailing_text: bool = False,
) -> list[dict[str, Any]]:
    """Chat messages from text with role markers.

    >>> parse_roles("system:\\nBe kind.\\n\\nuser:\\nHi\\n")
    [{'role': 'system', 'content': 'Be kind.'}, {'role': 'user', 'content': 'Hi'}]

    Args:
        text: May hold marks (see `_guards`), which never reach a message.
        images: Where a line is nothing but `str(image)`, the message gets that image as a part.
        roles: Words that can be roles.
        image_detail: `auto`, `low` or `high`, sent with each image.
        with_trailing_text: Drop what follows the list of tool calls in a section, as llm nodes do; otherwise a
            section with more text is no list of tool calls.

    Raises:
        PromptError: Text before the first marker (kind `ChatAPIInvalidRole`), or a function or tool section without
            its parts (`ChatAPIFunctionRoleInvalidFormat`, `ChatAPIToolRoleInvalidFormat`).
    """
    known = {str(image): image for image in images}
    return [
        message_of(*section, images=known, image_detail=image_detail, with_trailing_text=with_trailing_text)
        for section in sections_of(text, tuple(roles))
    ]


def message_of(
    role: str,
    text: str,
    *,
    images: Mapping[str, Image] = MappingProxyType({}),
    image_detail: str = "auto",
    with_trailing_text: bool = False,
) -> dict[str, Any]:
    """The message of a section; `images` are by the text that stands for them, the rest is as in `parse_roles`."""
    calls = _tool_calls(text, with_trailing_text) if role == "assistant" else None
    if calls is not None:
        return {"role": role, "tool_calls": calls}
    head, content = _head(role, text)
    return {"role": role, **head, "content": _content(content, images, image_detail)}


def place_images(template: str) -> str:
    """The template with each `![image]({{name}})` as `{{name}}` on a line of its own.

    >>> place_images("Look: ![image]({{cat}})!")
    'Look: \\n{{cat}}\\n!'
    """
    return _IMAGE_IN_MARKDOWN.sub(r"\n{{\1}}\n", template)


def image_variables(template: str) -> frozenset[str]:
    """The variables that a template places as images.

    >>> sorted(image_variables("![image]({{ cat }}) ![image]({{dog}}) {{bird}}"))
    ['cat', 'dog']
    """
    return frozenset(name.strip() for name in _IMAGE_IN_MARKDOWN.findall(template))


def sections_of(text: str, roles: tuple[str, ...]) -> list[Section]:
    """The sections of a prompt: the role and the text up to the next marker.

    Raises:
        PromptError: Text before the first marker (kind `ChatAPIInvalidRole`).
    """
    markers = list(_markers(text, roles))
    ends = [marker.start for marker in markers] + [len(text)]
    _refuse_text(text[: ends[0]], roles)
    return [Section(marker.role, text[marker.end : end]) for marker, end in zip(markers, ends[1:], strict=True)]


def _refuse_text(before: str, roles: tuple[str, ...]) -> None:
    """Nothing may stand before the first marker."""
    if found := unguard(before).strip():
        first = found.splitlines()[0][:80]
        raise PromptError(
            f"A chat prompt starts with a role on a line of its own, found {first!r}.",
            hint=f"Begin with one of: {', '.join(f'{word}:' for word in roles)} and put the text on the next line.",
            kind="ChatAPIInvalidRole",
        )


class _Marker(NamedTuple):
    start: int
    end: int
    role: str


def _markers(text: str, roles: tuple[str, ...]) -> Iterator[_Marker]:
    end = 0
    # From the colons backwards: few of them end a line, and one character is found faster than one of many words.
    for label in _LABEL_END.finditer(text):
        stop = _blank_start(text, label.start(), end)
        line = text[max(end, text.rfind("\n", end, stop) + 1) : stop]
        word = line.strip().removeprefix("#").lstrip()
        role = word.lower()
        start = _line_start(text, stop - len(word), end) if role in roles else None
        if start is not None:
            end = label.end()
            yield _Marker(start, end, role)


def _line_start(text: str, position: int, floor: int) -> int | None:
    """Where the line of a marker starts, blank lines and one `#` before it included; None inside a line."""
    blank = _blank_start(text, position, floor)
    if blank > floor and text[blank - 1] == "#":
        before = _blank_start(text, blank - 1, floor)
        if before == floor or "\n" in text[before : blank - 1]:
            return before
    return blank if blank == floor or "\n" in text[blank:position] else None


def _blank_start(text: str, position: int, floor: int) -> int:
    while position > floor and text[position - 1].isspace():
        position -= 1
    return position


def _head(role: str, text: str) -> tuple[dict[str, Any], str]:
    """What stands before the content: a name, or the call that a tool message answers."""
    if role == "tool":
        match = _TOOL_CALL_ID.search(text)
        if match is None:
            raise PromptError(
                "A tool section needs the id of the call it answers.",
                hint="Write 'tool_call_id:', the id on the next line, then 'content:' and the result.",
                kind="ChatAPIToolRoleInvalidFormat",
            )
        return {"tool_call_id": unguard(match[1])}, match[2]
    match = _NAME.search(text)
    if match is not None:
        return {"name": unguard(match[1])}, match[2]
    if role == "function":
        raise PromptError(
            "A function section needs the name of the function that gave the content.",
            hint="Write 'name:', the name on the next line, then 'content:' and the result.",
            kind="ChatAPIFunctionRoleInvalidFormat",
        )
    return {}, text


def _tool_calls(text: str, with_trailing_text: bool) -> list[Any] | None:
    match = _TOOL_CALLS.search(text)
    if match is None:
        return None
    written = unguard(text[match.end() :]).strip()
    calls = _literal_list(written) if written.endswith("]") else None
    if calls is None and with_trailing_text:
        calls = _literal_list(written[: written.find("]") + 1])
    return calls


def _literal_list(text: str) -> list[Any] | None:
    if not text or len(text) > _MAX_TOOL_CALLS:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _content(text: str, images: Mapping[str, Image], detail: str) -> str | list[dict[str, Any]]:
    whole = unguard(text).strip()
    if not images or not any(line.strip() in images for line in text.split("\n")):
        return whole
    parts: list[dict[str, Any]] = []
    for line in text.strip().split("\n"):
        image = images.get(line.strip())
        if image is not None:
            url = image.source_url or image.to_base64(with_type=True)
            parts.append({"type": "image_url", "image_url": {"url": url, "detail": detail}})
        elif (written := unguard(line)).strip():
            parts.append({"type": "text", "text": written})
    return parts
