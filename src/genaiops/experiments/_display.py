"""An experiment's result as notebooks show it: tables, and intervals drawn as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 180, 16
_VERDICT_COLOURS = {"better": "#1b6e4b", "not worse": "#1b6e4b", "worse": "#b3261e"}


def result_to_html(data: Mapping[str, Any]) -> str:
    """Metrics with their intervals, and comparisons with their verdicts; every text is escaped.

    Args:
        data: What `experiment.json` holds.
    """
    verdict = (data.get("verdict") or {}).get("result", "not judged")
    head = f"<p><b>{escape(str(data['id']))}</b>: {escape(str(data.get('status')))}, gate: {escape(str(verdict))}</p>"
    scores = _table(("variant", "dataset", "evaluator", "metric", "value", ""), _score_rows(data))
    comparisons = _table(("metric", "candidate", "baseline", "difference", "", "verdict"), _comparison_rows(data))
    return head + scores + comparisons


def interval_svg(low: float, value: float, high: float, *, start: float, end: float, colour: str = "#33556b") -> str:
    """A point with its interval, on a scale from `start` to `end`; a dotted line stands at 0 when it is inside."""

    def at(number: float) -> float:
        return round(4 + (_WIDTH - 8) * (min(end, max(start, number)) - start) / ((end - start) or 1), 1)

    middle = _HEIGHT / 2
    zero = f'<path d="M{at(0)} 0V{_HEIGHT}" stroke="#999" stroke-dasharray="2 2"/>' if start < 0 < end else ""
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{value:.4g}, {low:.4g} to {high:.4g}">'
        f'{zero}<path d="M{at(low)} {middle}H{at(high)}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{at(value)}" cy="{middle}" r="4" fill="{colour}"/></svg>'
    )


def _score_rows(data: Mapping[str, Any]) -> list[list[str]]:
    labels = {run["id"]: run.get("variant_label", "") for run in data.get("runs", ())}
    rows = []
    for score in data.get("scores", ()):
        for name, figures in score["metrics"].items():
            words = (labels.get(score["run"], ""), score["dataset"], score["evaluator"], name, _figure(figures))
            rows.append([*(escape(str(word)) for word in words), _drawn(figures)])
    return rows


def _comparison_rows(data: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for found in data.get("comparisons", ()):
        low, value, high = found.get("low"), found.get("difference"), found.get("high")
        drawn, difference = "", "not measured" if value is None else f"{value:+.4g}"
        colour = _VERDICT_COLOURS.get(str(found.get("verdict")), "#777777")
        if low is not None and high is not None and value is not None:
            reach = max(abs(low), abs(high)) * 1.1 or 1.0
            drawn = interval_svg(low, value, high, start=-reach, end=reach, colour=colour)
        words = [found["metric"], found["candidate"], found["baseline"], difference]
        verdict = f'<b style="color:{colour}">{escape(str(found.get("verdict")))}</b>'
        rows.append([*(escape(str(word)) for word in words), drawn, verdict])
    return rows


def _drawn(figures: Mapping[str, Any]) -> str:
    low, value, high = figures.get("low"), figures.get("value"), figures.get("high")
    if low is None or value is None or high is None:
        return ""
    start, end = (0.0, 1.0) if low >= 0 and high <= 1 else (min(0.0, low), max(0.0, high) * 1.1 or 1.0)
    return interval_svg(low, value, high, start=start, end=end)


def _figure(figures: Mapping[str, Any]) -> str:
    if figures.get("value") is None:
        return "not measured"
    value = f"{figures['value']:.4g}"
    if figures.get("low") is None:
        return value
    return f"{value} [{figures['low']:.4g}, {figures['high']:.4g}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"
