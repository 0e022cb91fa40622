"""Accuracy over all questions, and the share of answers that could not be computed."""

from __future__ import annotations

from genaiops.flows import log_metric, tool


@tool
def aggregate(results: list[dict[str, int]]) -> None:
    log_metric("accuracy", sum(result["correct"] for result in results) / len(results))
    log_metric("error_rate", 1 - sum(result["computed"] for result in results) / len(results))
