"""Was there a label at all, and was it the right one?"""

from __future__ import annotations

from genaiops.flows import tool


@tool
def inspect_label(label: str, category: str) -> dict[str, int]:
    return {"answered": int(category != "unknown"), "correct": int(category == label)}
