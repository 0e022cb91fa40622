"""Does an answer hold one of the accepted words, and is it as short as it was asked to be?"""

from __future__ import annotations

from typing import Any

MAX_WORDS = 25


class Checklist:
    def __call__(self, answer: str, accepted: list) -> dict[str, int]:  # type: ignore[type-arg]
        said = answer.casefold()
        return {
            "right": int(any(str(word).casefold() in said for word in accepted)),
            "short": int(0 < len(answer.split()) <= MAX_WORDS),
        }

    def __aggregate__(self, line_results: list[Any]) -> dict[str, float]:
        total = len(line_results)
        return {f"{name}_rate": sum(row[name] for row in line_results) / total for name in ("right", "short")}
