"""The shares over all rows."""

from __future__ import annotations

from genaiops.flows import log_metric, tool


@tool
def log_metrics(matches: list[dict[str, int]]) -> None:
    for name in ("exact_match", "partial_match"):
        log_metric(f"{name}_rate", sum(match[name] for match in matches) / len(matches))
