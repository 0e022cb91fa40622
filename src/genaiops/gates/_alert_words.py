"""An alert's verdict in one line: quality fell, held, or cannot be told; said alike wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from genaiops.gates._verdict import Check, Verdict


def alert_words(verdict: Verdict) -> str:
    """What an alert found, without its subject: the headline of a terminal, a report and a message.

    >>> alert_words(Verdict(result="passed", reasons=()))
    'quality holds'
    """
    if verdict.result == "failed":
        return next(words for holds, words in _FALLS if any(holds(check) for check in _failed(verdict)))
    if verdict.result == "not judged":
        return "it cannot be told whether quality fell"
    compared = [check.details["verdict"] for check in verdict.checks if check.details.get("verdict")]
    if not compared or "cannot tell" not in compared:
        return "quality holds"
    if set(compared) == {"cannot tell"}:
        return "no fall is proven, but nothing proves that quality held"
    return "quality holds as far as it can be told"


def _failed(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if check.result == "failed"]


def _by_value(check: Check) -> bool:
    """Compared without scores of rows: it failed because the value itself fell, not because nothing is proven."""
    return "verdict" in check.details and "p_value" not in check.details


def _of(*rules: str) -> Callable[[Check], bool]:
    return lambda check: check.rule in rules


_FALLS: Final[tuple[tuple[Callable[[Check], bool], str], ...]] = (
    (
        lambda check: check.details.get("verdict") == "worse" or _by_value(check),
        "quality fell below the accepted level",
    ),
    (_of("floor", "ceiling"), "quality is beyond a limit"),
    (lambda check: bool(check.details.get("verdict")), "nothing proves that quality held"),
    (_of("measured", "accepted level", "comparable"), "quality was not measured as demanded"),
    (_of("failed rows"), "too many requests failed"),
    (_of("unscored rows"), "too many requests could not be scored"),
    (lambda _: True, "a limit of cost or latency is broken"),
)
"""What a failed check means, the most telling first: one that failed requests is no fall of quality."""
