"""From what an evaluator returned to scores: which of its outputs are numbers, and what they are called."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Words that evaluators use for pass and fail. Anything else that is text is an explanation, not a score.
_WORDS = {
    "correct": 1.0,
    "incorrect": 0.0,
    "true": 1.0,
    "false": 0.0,
    "yes": 1.0,
    "no": 0.0,
    "pass": 1.0,
    "fail": 0.0,
    "passed": 1.0,
    "failed": 0.0,
    "match": 1.0,
    "mismatch": 0.0,
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LOWER_IS_BETTER = re.compile(
    r"latency|duration|cost|tokens|error|_ms$|_s$|distance|loss|perplexity|toxic|hallucinat|violence|hate|self_harm"
    r"|sexual|defect|failure|missing|wer$|cer$|length",
    re.IGNORECASE,
)
_DEEPEST = 3


def flatten(outputs: Any, name: str) -> dict[str, Any]:
    """The leaves of what an evaluator returned, by dotted name; a bare value is called `name`.

    >>> flatten({"grade": {"score": 4, "why": "ok"}}, "judge")
    {'grade.score': 4, 'grade.why': 'ok'}
    >>> flatten(0.5, "judge")
    {'judge': 0.5}
    """
    if not isinstance(outputs, Mapping):
        return {name: outputs}
    if set(outputs) == {"output"}:
        return flatten(outputs["output"], name)
    found: dict[str, Any] = {}
    _collect(outputs, "", 1, found)
    return found


def _collect(values: Mapping[Any, Any], prefix: str, depth: int, found: dict[str, Any]) -> None:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            _collect(value, f"{name}.", depth + 1, found)
        else:
            found[name] = value


def as_score(value: Any) -> float | None:
    """A value as a score; `None` for what is no number: text, lists, NaN and infinity."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        return _WORDS.get(text.casefold())
    return None


def score_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the columns that hold scores: every value that is there is a number or a word for pass and fail.

    A column of nothing but NaN is one too: an evaluator that could tell of no row is not one that says nothing.

    Args:
        rows: Flattened outputs of rows, of all runs that one evaluator looked at.
    """
    verdicts: dict[str, bool] = {}
    for row in rows:
        for name, value in row.items():
            if value is None:
                continue
            if _is_missing(value):
                verdicts.setdefault(name, True)
                continue
            verdicts[name] = verdicts.get(name, True) and as_score(value) is not None
    return [name for name, is_score in verdicts.items() if is_score]


def link_aggregates(
    scores: Sequence[Mapping[str, Sequence[float]]], aggregates: Sequence[Mapping[str, float | None]]
) -> dict[str, str]:
    """Aggregate metrics that are the mean of a column of row scores, so that they get an interval and can be paired.

    An evaluation flow logs `accuracy` rounded to two digits and returns `grade` for each row: the two are one metric.

    Args:
        scores: For each run, column -> scores of its rows.
        aggregates: For each run, metric -> value.

    Returns:
        Metric -> column, where it holds in every run.
    """
    names = list(dict.fromkeys(name for metrics in aggregates for name in metrics))
    columns = list(dict.fromkeys(column for run in scores for column in run))
    links: dict[str, str] = {}
    for name in names:
        fitting = [column for column in columns if _fits(name, column, scores, aggregates)]
        # Two columns that fit equally well tell nothing about which one was meant.
        if name in fitting or len(fitting) == 1:
            links[name] = name if name in fitting else fitting[0]
    return links


def _fits(
    name: str,
    column: str,
    scores: Sequence[Mapping[str, Sequence[float]]],
    aggregates: Sequence[Mapping[str, float | None]],
) -> bool:
    runs = [(run.get(column), metrics.get(name)) for run, metrics in zip(scores, aggregates, strict=True)]
    known = [(values, value) for values, value in runs if values or value is not None]
    return bool(known) and all(_is_mean(values, value) for values, value in known)


def lower_is_better(name: str) -> bool:
    """A guess by the metric's name, for when nobody said."""
    return bool(_LOWER_IS_BETTER.search(name))


def _is_mean(values: Sequence[float] | None, value: float | None) -> bool:
    if not values or value is None or not math.isfinite(value):
        return False
    # Rounded to two digits, which is what evaluation flows do: half a hundredth is the most it can be off.
    return abs(sum(values) / len(values) - value) <= 0.005 + 1e-9


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
