"""The share of pages with the right category."""

from __future__ import annotations

from genaiops.flows import log_metric, tool


@tool
def accuracy(correct: list[int]) -> float:
    share = sum(correct) / len(correct)
    log_metric("accuracy", share)
    return share
