"""The shares over all questions, and the share of answers that are right where the right document was found."""

from __future__ import annotations

from genaiops.flows import log_metric, tool


@tool
def shares(results: list[dict[str, int]]) -> None:
    found = [result for result in results if result["retrieved"]]
    log_metric("retrieval_rate", len(found) / len(results))
    log_metric("answer_rate", sum(result["answered"] for result in results) / len(results))
    if found:
        log_metric("answer_rate_when_retrieved", sum(result["answered"] for result in found) / len(found))
