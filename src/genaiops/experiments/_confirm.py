"""The winner of many on rows that did not choose it."""

from __future__ import annotations

from typing import Any


async def confirm_winner(experiment: Any, together: Any, evaluations: Any) -> list[dict[str, Any]]:
    """Compare the winner with the baseline once more, on held-out rows."""
    return []
