"""1 when the category is the label, else 0."""

from __future__ import annotations

from genaiops.flows import tool


@tool
def grade(label: str, category: str) -> int:
    return int(label.strip().lower() == category.strip().lower())
