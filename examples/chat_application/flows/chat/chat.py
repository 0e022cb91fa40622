"""A chat: the talk so far and a question in, an answer out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genaiops.prompts import AsyncPrompty

HERE = Path(__file__).parent
STYLES = ("short", "shown_how")


class Chat:
    def __init__(self, style: str = "short", max_tokens: int = 32) -> None:
        if style not in STYLES:
            raise ValueError(f"Expected a style among {', '.join(STYLES)}, found {style!r}.")
        self.prompt = AsyncPrompty.load(
            HERE / f"chat_{style}.prompty", model={"parameters": {"max_tokens": max_tokens}}
        )

    async def __call__(self, question: str, chat_history: list[dict[str, Any]] | None = None) -> str:
        answer = await self.prompt(question=question, chat_history=chat_history or [])
        return str(answer).strip()
