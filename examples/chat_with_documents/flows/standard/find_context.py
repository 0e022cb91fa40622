"""The documents that fit a question best, by BM25 over the words of each document.

Source: Robertson and Zaragoza (2009), The Probabilistic Relevance Framework, k1 = 1.2, b = 0.75.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from genaiops.flows import tool

K1, B = 1.2, 0.75
STOP_WORDS = frozenset(
    {"a", "an", "and", "are", "at", "be", "by", "can", "do", "does", "for", "from", "how", "in", "is", "it", "of"}
    | {"on", "or", "the", "to", "what", "when", "where", "which", "who"}
)


class Document(NamedTuple):
    name: str
    text: str
    words: Counter[str]


def words_of(text: str) -> list[str]:
    # A plural "s" is dropped, so that "tickets" finds "ticket".
    return [word.rstrip("s") or word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP_WORDS]


@lru_cache(maxsize=1)
def load_documents() -> tuple[Document, ...]:
    files = sorted((Path(__file__).parent / "documents").glob("*.md"))
    texts = [(file.stem, file.read_text(encoding="utf-8")) for file in files]
    return tuple(Document(name, text, Counter(words_of(text))) for name, text in texts)


def rank(question: str) -> list[Document]:
    documents = load_documents()
    average = sum(document.words.total() for document in documents) / len(documents)

    def score(document: Document) -> float:
        total = 0.0
        for word in set(words_of(question)):
            holders = sum(word in other.words for other in documents)
            rarity = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            count = document.words[word]
            length = 1 - B + B * document.words.total() / average
            total += rarity * count * (K1 + 1) / (count + K1 * length)
        return total

    return sorted(documents, key=score, reverse=True)


@tool
def find_context(question: str, has_history: bool = False, rewritten: str = "", number: int = 1) -> dict[str, object]:
    # `has_history` is always there: a node whose only node input was bypassed would be bypassed too.
    # The question as it was asked stays in: a poor rewriting may add words but cannot lose any.
    found = rank(f"{question} {rewritten}" if has_history else question)[:number]
    return {"documents": [document.name for document in found], "text": "\n".join(d.text for d in found)}
