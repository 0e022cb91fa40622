"""Deterministic metrics by name: no model, no network, the same score every time.

Each looks at one row: the inputs that the use case maps to it and the facts of the run (time, tokens, cost).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from genaiops.errors import SettingsError, suggest
from genaiops.records import record

# What the use cases of others call the two sides of a comparison.
_ALIASES = {
    "prediction": ("answer", "output", "response", "actual", "completion", "entities"),
    "truth": ("groundtruth", "ground_truth", "expected", "reference", "target", "label"),
}


@record(frozen=True, kw_only=True)
class RowFacts:
    """What is known of the application's row beside its outputs."""

    duration_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


Scorer = Callable[[Mapping[str, Any], RowFacts, Mapping[str, Any]], dict[str, float | None]]


@record(frozen=True, kw_only=True)
class Builtin:
    """One metric, or a few that belong together.

    Args:
        name: What `flow: builtin:<name>` says.
        inputs: Inputs it must be given, by their first names; aliases are understood.
        score: Values of one row, its facts, the options -> scores.
        options: Names of the options it understands.
        higher_is_better: Which direction is good.
        is_rate: Scores are 0 or 1.
        summary: One line.
    """

    name: str
    score: Scorer
    inputs: tuple[str, ...] = ("prediction", "truth")
    options: tuple[str, ...] = ()
    higher_is_better: bool = True
    is_rate: bool = False
    summary: str = ""
    required_options: tuple[str, ...] = field(default=())


def builtin_names() -> list[str]:
    """Names of all metrics, sorted."""
    return sorted(BUILTINS)


def score_builtin(
    name: str, values: Mapping[str, Any], facts: RowFacts, options: Mapping[str, Any]
) -> dict[str, float | None]:
    """Score one row.

    Args:
        name: Name of the metric.
        values: The inputs that were mapped, under any of their names.
        facts: Time, tokens and cost of the application's row.
        options: Options of the metric, from `init:`.

    Raises:
        ValueError: The values cannot be scored (text where a number is needed).
    """
    metric = BUILTINS[name]
    return metric.score(_named(metric, values), facts, options)


def check_builtin(name: str, inputs: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse a metric that lacks an input or has an option nobody reads.

    Raises:
        SettingsError: With the nearest name.
    """
    metric = BUILTINS[name]
    for needed in metric.inputs:
        if not any(alias in inputs for alias in (needed, *_ALIASES.get(needed, ()))):
            raise SettingsError(
                f"The metric {name!r} needs the input {needed!r}; its mappings give {', '.join(inputs) or 'nothing'}.",
                hint=f"Map {needed!r}, for example to "
                + ("${run.outputs.answer}." if needed == "prediction" else "${data.answer}."),
                kind="MissingEvaluatorInput",
            )
    for option in options:
        if option not in metric.options:
            raise SettingsError(
                f"The metric {name!r} has no option {option!r}.",
                hint=suggest(option, metric.options),
                kind="UnknownOption",
            )
    for option in metric.required_options:
        if option not in options:
            raise SettingsError(f"The metric {name!r} needs the option {option!r} under init.", kind="MissingOption")


def _named(metric: Builtin, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under the metric's own input names."""
    found = dict(values)
    for needed in metric.inputs:
        if needed not in found:
            alias = next((alias for alias in _ALIASES.get(needed, ()) if alias in values), None)
            if alias is not None:
                found[needed] = values[alias]
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _prepared(value: Any, options: Mapping[str, Any]) -> str:
    text = _text(value)
    text = text if options.get("case_sensitive", True) else text.casefold()
    return text.strip() if options.get("strip", True) else text


def _pair(values: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[str, str]:
    return _prepared(values.get("prediction"), options), _prepared(values.get("truth"), options)


def _exact_match(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    prediction, truth = _pair(values, options)
    return {"exact_match": float(prediction == truth)}


def _contains(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    prediction, truth = _pair(values, options)
    wanted = values.get("truth")
    parts = [_prepared(part, options) for part in wanted] if isinstance(wanted, list) else [truth]
    return {"contains": float(all(part in prediction for part in parts))}


def _json_valid(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    value = values.get("prediction")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return {"json_valid": 0.0}
    keys = options.get("keys") or ()
    if keys and not (isinstance(value, dict) and all(key in value for key in keys)):
        return {"json_valid": 0.0}
    schema = options.get("schema")
    if schema is None:
        return {"json_valid": 1.0}
    import jsonschema

    return {"json_valid": float(jsonschema.Draft202012Validator(schema).is_valid(value))}


def _regex(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    flags = 0 if options.get("case_sensitive", True) else re.IGNORECASE
    find = re.fullmatch if options.get("full", False) else re.search
    return {"regex": float(find(str(options["pattern"]), _text(values.get("prediction")), flags) is not None)}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or value is None:
        raise ValueError(f"The {what} is {value!r} and not a number.")
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip().replace(",", "").rstrip("%").lstrip("$€£ ")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"The {what} {str(value)[:40]!r} is not a number.") from None


def _numeric_close(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    truth = _number(values.get("truth"), "truth")
    try:
        prediction = _number(values.get("prediction"), "prediction")
    except ValueError:
        return {"numeric_close": 0.0}  # an answer that is no number is a wrong answer, not a broken metric
    close = math.isclose(
        prediction, truth, rel_tol=float(options.get("relative", 1e-6)), abs_tol=float(options.get("absolute", 1e-9))
    )
    return {"numeric_close": float(close)}


def _absolute_error(values: Mapping[str, Any], _: RowFacts, __: Mapping[str, Any]) -> dict[str, float | None]:
    truth, prediction = _number(values.get("truth"), "truth"), _number(values.get("prediction"), "prediction")
    return {"absolute_error": abs(truth - prediction)}


def _levenshtein(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    from rapidfuzz.distance import Levenshtein

    prediction, truth = _pair(values, options)
    return {"levenshtein": Levenshtein.normalized_similarity(prediction, truth)}


def _token_f1(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    prediction, truth = (Counter(re.findall(r"\w+", text.casefold())) for text in _pair(values, options))
    if not prediction or not truth:
        return {"token_f1": float(prediction == truth)}
    shared = sum((prediction & truth).values())
    return {"token_f1": 2 * shared / (sum(prediction.values()) + sum(truth.values()))}


def _classification(values: Mapping[str, Any], _: RowFacts, options: Mapping[str, Any]) -> dict[str, float | None]:
    prediction, truth = _pair(values, {"case_sensitive": False, **options})
    return {"accuracy": float(prediction == truth)}


def _latency(_: Mapping[str, Any], facts: RowFacts, __: Mapping[str, Any]) -> dict[str, float | None]:
    return {"latency_s": facts.duration_s}


def _cost(_: Mapping[str, Any], facts: RowFacts, __: Mapping[str, Any]) -> dict[str, float | None]:
    return {"cost_usd": facts.cost_usd}


def _tokens(_: Mapping[str, Any], facts: RowFacts, __: Mapping[str, Any]) -> dict[str, float | None]:
    known = facts.input_tokens is not None and facts.output_tokens is not None
    return {"tokens": float((facts.input_tokens or 0) + (facts.output_tokens or 0)) if known else None}


def _length(values: Mapping[str, Any], _: RowFacts, __: Mapping[str, Any]) -> dict[str, float | None]:
    return {"length": float(len(_text(values.get("prediction"))))}


def classification_metrics(pairs: Sequence[tuple[str, str]], *, positive: str | None = None) -> dict[str, float]:
    """Precision, recall and F1 over rows: of one class, or the mean over all classes of the truth (macro).

    Args:
        pairs: (prediction, truth) of each row, compared without case.
        positive: The class to look at; by default all.

    Source:
        Sokolova & Lapalme (2009), Inf. Process. Manag. 45, 427–437, table 3.
    """
    rows = [(str(prediction).strip().casefold(), str(truth).strip().casefold()) for prediction, truth in pairs]
    classes = [positive.strip().casefold()] if positive else sorted({truth for _, truth in rows})
    figures = []
    for name in classes:
        hits = sum(p == t == name for p, t in rows)
        said, is_so = sum(p == name for p, _ in rows), sum(t == name for _, t in rows)
        precision, recall = hits / said if said else 0.0, hits / is_so if is_so else 0.0
        figures.append((precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0))
    count = len(figures) or 1
    names = ("precision", "recall", "f1")
    return {name: sum(figure[i] for figure in figures) / count for i, name in enumerate(names)}


_TEXT_OPTIONS = ("case_sensitive", "strip")

BUILTINS: dict[str, Builtin] = {
    metric.name: metric
    for metric in (
        Builtin(name="exact_match", score=_exact_match, options=_TEXT_OPTIONS, is_rate=True, summary="Equal texts."),
        Builtin(
            name="contains",
            score=_contains,
            options=_TEXT_OPTIONS,
            is_rate=True,
            summary="The truth, or each part of it, occurs.",
        ),
        Builtin(
            name="json_valid",
            score=_json_valid,
            inputs=("prediction",),
            options=("keys", "schema"),
            is_rate=True,
            summary="Parses as JSON, has the keys, fits the schema.",
        ),
        Builtin(
            name="regex",
            score=_regex,
            inputs=("prediction",),
            options=("pattern", "full", "case_sensitive"),
            required_options=("pattern",),
            is_rate=True,
            summary="A pattern is found.",
        ),
        Builtin(
            name="numeric_close",
            score=_numeric_close,
            options=("relative", "absolute"),
            is_rate=True,
            summary="Numbers agree within a tolerance.",
        ),
        Builtin(
            name="absolute_error", score=_absolute_error, higher_is_better=False, summary="Distance of two numbers."
        ),
        Builtin(
            name="levenshtein", score=_levenshtein, options=_TEXT_OPTIONS, summary="1 minus edit distance over length."
        ),
        Builtin(name="token_f1", score=_token_f1, options=_TEXT_OPTIONS, summary="Words that both texts share."),
        Builtin(
            name="classification",
            score=_classification,
            options=(*_TEXT_OPTIONS, "positive"),
            is_rate=True,
            summary="Accuracy, and precision, recall and F1 over all rows.",
        ),
        Builtin(name="latency", score=_latency, inputs=(), higher_is_better=False, summary="Seconds of a row."),
        Builtin(name="cost", score=_cost, inputs=(), higher_is_better=False, summary="Dollars of a row."),
        Builtin(name="tokens", score=_tokens, inputs=(), higher_is_better=False, summary="Tokens of a row."),
        Builtin(
            name="length",
            score=_length,
            inputs=("prediction",),
            higher_is_better=False,
            summary="Characters of the answer.",
        ),
    )
}
