"""Text of a model, a flow or a file as it may be shown. Imports nothing of ours: servers and reports both use it."""

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
