"""Prompts that are split into messages once, so that all a row does is put its texts in.

That is possible for templates that print variables and do nothing else. What a user typed stands between marks (see
`_guards`) and opens no message, so that where messages start does not depend on what it says. It must say something:
around nothing there are no marks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import LABELS, unguard
from genaiops.prompts._render import printed_variables, render
from genaiops.prompts._roles import message_of, sections_of

_MOST_SPLITS = 8
_MOST_CHARACTERS = 100_000
_SLOT = "\ufdd2"  # a noncharacter, as the marks are; two of them stand around the number of a text
_SLOTS = re.compile(f"{_SLOT}([0-9]+){_SLOT}")


class _Message(NamedTuple):
    """A message that waits for texts.

    Args:
        head: All but the content.
        pieces: Of the content: text that is always the same, or the number of a text.
    """

    head: Mapping[str, str]
    pieces: Sequence[str | int]


class ReadyPrompt:
    """A template, split into messages for each choice of the texts that no user typed.

    Args:
        template: Jinja text with role markers.
        untrusted: Variables whose text has to stay text.
        roles: Words that can be roles.
    """

    def __init__(self, template: str, untrusted: frozenset[str], roles: tuple[str, ...]) -> None:
        printed = printed_variables(template)
        self._template = template
        self._untrusted = untrusted
        self._roles = roles
        self._is_plain = printed is not None
        self._typed = sorted((printed or frozenset()) & untrusted)
        self._others = sorted((printed or frozenset()) - untrusted)
        self._splits: dict[tuple[str, ...], list[_Message] | None] = {}

    def messages(self, values: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The messages of a row; None when rendering must tell them."""
        if not self._is_plain:
            return None
        typed, others = _texts(values, self._typed), _texts(values, self._others)
        if typed is None or others is None:
            return None
        if others not in self._splits:
            if len(self._splits) == _MOST_SPLITS:
                return None  # they are other ones in each row
            self._splits[others] = self._split(others)
        split = self._splits[others]
        return None if split is None else [_filled(message, typed) for message in split]

    def _split(self, others: tuple[str, ...]) -> list[_Message] | None:
        slots = {name: f"{_SLOT}{number}{_SLOT}" for number, name in enumerate(self._typed)}
        if _SLOT in self._template or any(_SLOT in text for text in others):
            return None
        values = slots | dict(zip(self._others, others, strict=True))
        try:
            sections = sections_of(render(self._template, values, guarded=self._untrusted), self._roles)
            return [_message(role, text) for role, text in sections]
        except (PromptError, _NotReadyError):
            return None  # said where the row is rendered


def _texts(values: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...] | None:
    texts = []
    for name in names:
        text = values.get(name)
        if type(text) is not str or not 0 < len(text) < _MOST_CHARACTERS:
            return None
        texts.append(text)
    return tuple(texts)


class _NotReadyError(Exception):
    """What a user types decides more than the content of a message."""


def _message(role: str, text: str) -> _Message:
    if not _SLOTS.search(text):
        message = message_of(role, text, with_trailing_text=True)  # finds tool calls wherever anybody would
        content = message.pop("content", None)
        if not isinstance(content, str):
            raise _NotReadyError
        return _Message(message, [content])
    # A label of a part of a message (`name:`, `tool_calls:`) reads what follows it, which may be what a user typed.
    if role in ("function", "tool") or LABELS.search(text):
        raise _NotReadyError
    pieces = _SLOTS.split(unguard(text))
    return _Message({"role": role}, [int(piece) if at % 2 else piece for at, piece in enumerate(pieces)])


def _filled(message: _Message, texts: Sequence[str]) -> dict[str, Any]:
    pieces = [piece if isinstance(piece, str) else texts[piece] for piece in message.pieces]
    return {**message.head, "content": "".join(pieces).strip()}


ready_prompt = lru_cache(maxsize=512)(ReadyPrompt)
