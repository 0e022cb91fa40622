"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import groupby
from typing import Final, Literal, NamedTuple

_WORDS: Final = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
MOST_WORDS: Final = 1200
"""Beyond this a comparison word by word takes long and helps nobody."""
LEAST_SHARED: Final = 0.35
"""Texts that share less are shown one after the other: a patchwork of single words cannot be read."""

Kind = Literal["same", "gone", "new"]


class Piece(NamedTuple):
    """A stretch of text that both have, or that only one has."""

    kind: Kind
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces that turn one text into the other, in reading order.

    A single word that happens to be in both, between two changes, counts as changed: it reads better.

    Args:
        before: The baseline's text.
        after: The candidate's text.

    Returns:
        Pieces; all that is not `new` makes `before`, all that is not `gone` makes `after`.

    Example:
        >>> [piece.text for piece in word_diff("a small red house", "a small blue house") if piece.kind != "same"]
        ['red ', 'blue ']
    """
    if before == after:
        return [Piece("same", before)] if before else []
    whole = [piece for piece in (Piece("gone", before), Piece("new", after)) if piece.text]
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > 2 * MOST_WORDS:
        return whole
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    shared = sum(i2 - i1 for tag, i1, i2, *_ in codes if tag == "equal")
    if shared < LEAST_SHARED * max(len(old), len(new)):
        return whole
    ends = (0, len(codes) - 1)
    kept = [tag == "equal" and (i2 - i1 > 1 or at in ends) for at, (tag, i1, i2, *_) in enumerate(codes)]
    pieces: list[Piece] = []
    for same, group in groupby(zip(kept, codes, strict=True), key=lambda pair: pair[0]):
        spans = [code for _, code in group]
        gone = "".join(old[spans[0][1] : spans[-1][2]])
        added = "".join(new[spans[0][3] : spans[-1][4]])
        found = [Piece("same", gone)] if same else [Piece("gone", gone), Piece("new", added)]
        pieces += [piece for piece in found if piece.text]
    return pieces
