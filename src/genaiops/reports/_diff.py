"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")
MOST_WORDS: Final = 1200
"""Beyond this a comparison word by word takes long and helps nobody."""


class Piece(NamedTuple):
    """A stretch of text that both have, or that only one has."""

    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces that turn one text into the other, in reading order.

    Args:
        before: The baseline's text.
        after: The candidate's text.

    Returns:
        Pieces; all that is not `new` makes `before`, all that is not `gone` makes `after`. Long texts are two pieces.

    Example:
        >>> [piece.text for piece in word_diff("a red house", "a blue house") if piece.kind != "same"]
        ['red', 'blue']
    """
    if before == after:
        return [Piece("same", before)] if before else []
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > 2 * MOST_WORDS:
        return [piece for piece in (Piece("gone", before), Piece("new", after)) if piece.text]
    pieces: list[Piece] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[i1:i2])))
        else:
            pieces += [Piece("gone", "".join(old[i1:i2]))] if i2 > i1 else []
            pieces += [Piece("new", "".join(new[j1:j2]))] if j2 > j1 else []
    return pieces
