"""The Python nodes of the flow do what the flow relies on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("standard", "evaluation")]

from find_context import find_context, rank, words_of  # noqa: E402 - the flow's folders come first
from inspect_answer import inspect_answer  # noqa: E402

ROWS = [json.loads(line) for line in (USE_CASE / "data/questions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_question_finds_the_document_that_holds_its_words() -> None:
    assert rank("How long is the pool?")[0].name == "swimming-pool"


def test_plural_and_stop_words_do_not_matter() -> None:
    assert words_of("The tickets are on the desk") == ["ticket", "desk"]


def test_a_rewriting_adds_words_to_the_question() -> None:
    assert find_context("How much is it?", True, "What does a day ticket for the bus cost?")["documents"] == ["tickets"]


def test_most_questions_find_their_document_as_they_stand() -> None:
    hits = sum(find_context(row["question"])["documents"] == [row["document"]] for row in ROWS)

    assert hits / len(ROWS) >= 0.8


def test_every_expected_answer_stands_in_its_document() -> None:
    for row in ROWS:
        text = (USE_CASE / "flows/standard/documents" / f"{row['document']}.md").read_text(encoding="utf-8")
        assert row["answer"].casefold() in text.casefold()


def test_an_answer_is_right_when_it_holds_the_expected_words() -> None:
    result = inspect_answer("It opens at 10.", ["opening-hours"], "10", "opening-hours")

    assert result == {"answered": 1, "retrieved": 1}
