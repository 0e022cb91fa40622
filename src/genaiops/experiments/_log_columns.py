"""How the columns of a dataset of production requests are called."""

from __future__ import annotations

from collections.abc import Iterable

OUTPUT = "output."
"""Columns with the outputs of a request, as `genaiops dataset from-logs` writes them."""
REQUEST = "request."
"""Columns with facts about a request: `request.id`, `request.duration_s`, `request.error`."""
FEEDBACK = "feedback"
"""What somebody said about an answer; what was said as an object stands in `feedback.NAME`."""


def logged_outputs(columns: Iterable[str]) -> list[str]:
    """Names of the outputs that stand in the columns of a dataset."""
    return [column.removeprefix(OUTPUT) for column in columns if column.startswith(OUTPUT)]


def is_input(column: str) -> bool:
    """Whether a column of logged requests holds an input of the application."""
    return not column.startswith((OUTPUT, REQUEST, f"{FEEDBACK}.")) and column != FEEDBACK


def has_feedback(columns: Iterable[str]) -> bool:
    """Whether somebody said something about this request."""
    return any(column == FEEDBACK or column.startswith(f"{FEEDBACK}.") for column in columns)
