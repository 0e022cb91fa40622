"""Was the right document found, and does the answer hold what it should?"""

from __future__ import annotations

from genaiops.flows import tool


@tool
def inspect_answer(answer: str, documents: list[str], expected_answer: str, expected_document: str) -> dict[str, int]:
    return {
        "answered": int(expected_answer.casefold() in answer.casefold()),
        "retrieved": int(expected_document in documents),
    }
