"""Marks around text that must stay text.

What a user typed is printed between marks, with one more at the start of each of its lines and inside each word that
opens a part of a message. A role marker or a `name:` line needs neighbours that only whitespace separates, so nothing
inside the marks, and nothing that reaches over them, can be one. After the messages are split the marks are dropped
and every character is as it was.

Cutting, comparing and filtering inside the template see the plain value: only what is printed gets marks.
"""

from __future__ import annotations

import re
from typing import Any

from genaiops.prompts._images import Image

ROLES = ("system", "user", "assistant", "function", "tool")

# Unicode noncharacters: never whitespace, never letters, and set aside for use inside a program.
GUARD = "\ufdd0"
_ESCAPE = "\ufdd1"
_ESCAPED = {GUARD: _ESCAPE + "0", _ESCAPE: _ESCAPE + "1"}
_OWN_MARKS = re.compile(f"[{GUARD}{_ESCAPE}]")
_WRITTEN_MARKS = re.compile(f"{_ESCAPE}([01])|[{GUARD}{_ESCAPE}]")
LABELS = re.compile(r"(?:name|content|tool_call_id|tool_calls)(?=\s*+:)")


class ChatList(list[Any]):
    """A list that prints one item per line, so that a template can write `{{chat_history}}`."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def as_chat_list(value: Any) -> Any:
    """The value with each list in it, at any depth, as one that prints an item per line.

    >>> str(as_chat_list(["a", "b"]))
    'a\\nb'
    """
    if isinstance(value, dict):
        return {key: as_chat_list(item) for key, item in value.items()}
    if isinstance(value, list):
        return ChatList(as_chat_list(item) for item in value)
    return value


def guard_text(text: str) -> str:
    """The text between marks; empty text stays empty."""
    if not text:
        return text
    return _between_marks(text if text.isascii() else _OWN_MARKS.sub(lambda mark: _ESCAPED[mark[0]], text))


def unguard(text: str) -> str:
    """The text without marks, as it was written."""
    if _ESCAPE not in text:
        return text.replace(GUARD, "")
    return _WRITTEN_MARKS.sub(lambda mark: {"0": GUARD, "1": _ESCAPE}[mark[1]] if mark[1] else "", text)


def guard_value(value: Any) -> Any:
    """What a template prints for a value that a user decides."""
    return _guard(value, guard_text)


def guard_mixed(value: Any) -> Any:
    """The same for text that already holds marked parts, cut or joined by the template."""
    return _guard(value, _between_marks)


def guard_role(value: Any) -> Any:
    """What a template prints for a field called `role`: a role as it is, anything else as text.

    Histories are written as `{{item.role}}:` in templates; there the author asks for the role that the item names.
    """
    word = str(value).strip()
    return word if word.lower() in ROLES else guard_value(value)


def _guard(value: Any, mark: Any) -> Any:
    # An image prints as its hash alone and has to stand unmarked on its line; an undefined value prints nothing.
    if isinstance(value, Image) or type(value).__name__.endswith("Undefined"):
        return value
    if isinstance(value, ChatList):
        return "\n".join(str(_guard(item, mark)) for item in value)
    return mark(str(value))


def _between_marks(text: str) -> str:
    if not text:
        return text
    broken = LABELS.sub(lambda label: label[0] + GUARD, text) if ":" in text else text
    return GUARD + broken.replace("\n", "\n" + GUARD) + GUARD
