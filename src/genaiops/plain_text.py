"""Text as it may be shown, and numbers with their nouns. Imports nothing of ours: commands and reports both use it."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_OVERRIDES: Final = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


def plain(text: str) -> str:
    """Without what moves a cursor, hides text, or turns its direction round: shown as ␛ or left out."""
    if text.isascii() and text.isprintable():  # by far the most, and nothing of it needs a look
        return text
    shown = _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 0x20 else "�", text)
    return _OVERRIDES.sub("", shown)


def plural(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> plural(1, "row"), plural(2000, "row"), plural(0, "reply", "replies")
    ('1 row', '2,000 rows', '0 replies')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"
