"""An experiment's result as notebooks show it: tables, and intervals drawn as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from genaiops.plain_text import plural

_WIDTH, _HEIGHT = 200, 18
# Readable on the white and on the black pages of notebooks.
_COLOURS = {"better": "#3b82c4", "not worse": "#2f9e6e", "worse": "#d9622b"}
_PLAIN = "#8a929c"
_NUMBERS = ("value", "95 % interval", "rows", "difference", "p")


def result_to_html(data: Mapping[str, Any]) -> str:
    """Verdict with its reasons, metrics with their intervals, comparisons with their words; every text is escaped.

    Args:
        data: What `experiment.json` holds.
    """
    scores = _table(("metric", "dataset", "variant", "value", "95 % interval", "rows", "drawn"), _score_rows(data))
    comparisons = _table(
        ("metric", "dataset", "variant", "difference", "95 % interval", "p", "drawn", "verdict"), _comparison_rows(data)
    )
    title = (
        "<p style='margin:1em 0 .2em'><b>Against the default variant, on the same rows</b></p>" if comparisons else ""
    )
    return _head(data) + scores + title + comparisons


def _head(data: Mapping[str, Any]) -> str:
    verdict = data.get("verdict") or {}
    result = str(verdict.get("result", "not judged"))
    colour = {"passed": _COLOURS["not worse"], "failed": _COLOURS["worse"]}.get(result, _PLAIN)
    runs = data.get("runs") or ()
    rows = sum(int((run.get("rows") or {}).get("total") or 0) for run in runs)
    counts = {"run": len(runs), "row": rows, "model call": int(data.get("model_calls") or 0)}
    about = ", ".join(plural(count, noun) for noun, count in counts.items())
    about += f", {int(data.get('kept') or 0):,} kept"
    alert = data.get("alert") or {}
    sentences = [*(verdict.get("reasons") or ()), *(alert.get("reasons") or ())]
    reasons = "".join(f"<li>{escape(str(reason))}</li>" for reason in sentences)
    return (
        f"<p style='margin:.2em 0'><b>{escape(str(data['id']))}</b>: {escape(str(data.get('status')))}, "
        f"<b style='color:{colour}'>gate {escape(result)}</b>{_alert(alert)} · {about}</p>"
        + (f"<details><summary>Reasons</summary><ul>{reasons}</ul></details>" if reasons else "")
    )


def _alert(alert: Mapping[str, Any]) -> str:
    """What was found in production, where that was watched."""
    if not alert:
        return ""
    colour = {"passed": _COLOURS["not worse"], "failed": _COLOURS["worse"]}.get(str(alert.get("result")), _PLAIN)
    return f" · <b style='color:{colour}'>{escape(str(alert.get('words') or alert.get('result')))}</b>"


def interval_svg(low: float, value: float, high: float, *, start: float, end: float, colour: str = _PLAIN) -> str:
    """A point with its interval, on a scale from `start` to `end`; a dotted line stands at 0 when it is inside."""

    def at(number: float) -> float:
        return round(4 + (_WIDTH - 8) * (min(end, max(start, number)) - start) / ((end - start) or 1), 1)

    middle = _HEIGHT / 2
    zero = f'<path d="M{at(0)} 0V{_HEIGHT}" stroke="{_PLAIN}" stroke-dasharray="2 2"/>' if start < 0 < end else ""
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{value:.4g}, {low:.4g} to {high:.4g}">'
        f'<path d="M4 {_HEIGHT - 1}H{_WIDTH - 4}" stroke="{_PLAIN}" stroke-opacity=".25"/>'
        f'{zero}<path d="M{at(low)} {middle}H{at(high)}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{at(value)}" cy="{middle}" r="4.5" fill="{colour}"/></svg>'
    )


def _score_rows(data: Mapping[str, Any]) -> list[list[str]]:
    runs = {run["id"]: run for run in data.get("runs", ())}
    entries = [(name, score, form) for score in data.get("scores", ()) for name, form in score["metrics"].items()]
    rows = []
    # A metric's variants stand under each other, the default one first.
    for name, score, form in sorted(entries, key=lambda each: (each[1]["evaluator"], each[0], each[1]["dataset"])):
        run = runs.get(score["run"], {})
        label = f"{run.get('variant_label', '')}{' (default)' if run.get('is_baseline') else ''}"
        words = (name, score["dataset"], label, _number(form.get("value")), _interval(form), form.get("rows", ""))
        rows.append([*(escape(str(word)) for word in words), _drawn(form)])
    return rows


def _comparison_rows(data: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for found in data.get("comparisons", ()):
        low, value, high = found.get("low"), found.get("difference"), found.get("high")
        colour = _COLOURS.get(str(found.get("verdict")), _PLAIN)
        drawn = ""
        if low is not None and high is not None and value is not None:
            reach = max(abs(low), abs(high)) * 1.1 or 1.0
            drawn = interval_svg(low, value, high, start=-reach, end=reach, colour=colour)
        words = (
            found["metric"],
            found.get("dataset", ""),
            found["candidate"],
            _number(value, signed=True),
            _interval(found),
            _number(found.get("p_adjusted")),
        )
        verdict = f'<b style="color:{colour}">{escape(str(found.get("verdict")))}</b>'
        rows.append([*(escape(str(word)) for word in words), drawn, verdict])
    return rows


def _drawn(figures: Mapping[str, Any]) -> str:
    low, value, high = figures.get("low"), figures.get("value"), figures.get("high")
    if low is None or value is None or high is None:
        return ""
    start, end = (0.0, 1.0) if low >= 0 and high <= 1 else (min(0.0, low), max(0.0, high) * 1.1 or 1.0)
    return interval_svg(low, value, high, start=start, end=end)


def _number(value: Any, *, signed: bool = False) -> str:
    if value is None:
        return "not measured"
    return f"{value:+.4g}" if signed else f"{value:.4g}"


def _interval(form: Mapping[str, Any]) -> str:
    low, high = form.get("low"), form.get("high")
    return "" if low is None or high is None else f"{low:.3g} to {high:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    sides = ["right" if name in _NUMBERS else "left" for name in head]
    cells = "".join(f"<th style='text-align:{side}'>{name}</th>" for side, name in zip(sides, head, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td style='text-align:{side};white-space:nowrap'>{cell}</td>"
            for side, cell in zip(sides, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
