"""Is this a follow-up question?"""

from __future__ import annotations

from genaiops.flows import tool


@tool
def has_history(chat_history: list[object]) -> bool:
    return bool(chat_history)
