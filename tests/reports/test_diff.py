"""Word by word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genaiops.reports._diff import Piece, word_diff

TEXTS = st.lists(st.sampled_from(["the ", "cat ", "sat", ".", " on", "\n", "mat "]), max_size=30).map("".join)


@given(TEXTS, TEXTS)
def test_pieces_make_both_texts(before: str, after: str) -> None:
    pieces = word_diff(before, after)

    assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after


@given(TEXTS)
def test_same_texts_have_no_change(text: str) -> None:
    assert {piece.kind for piece in word_diff(text, text)} <= {"same"}


def test_changed_words_stand_between_what_stayed() -> None:
    assert word_diff("The answer is 42 today.", "The answer is 43 today.") == [
        Piece("same", "The answer is "),
        Piece("gone", "42 "),
        Piece("new", "43 "),
        Piece("same", "today."),
    ]


def test_texts_with_little_in_common_stand_one_after_the_other() -> None:
    pieces = word_diff("A recipe archive sells tickets.", "The museum of the city opens in May for all.")

    assert [piece.kind for piece in pieces] == ["gone", "new"]


def test_long_texts_are_not_compared_word_by_word() -> None:
    assert [piece.kind for piece in word_diff("a " * 3000, "a " * 2999 + "b")] == ["gone", "new"]
