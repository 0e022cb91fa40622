"""Drawings as SVG text: scales, intervals, points, bars. Everything drawn has words for those who cannot see it.

Drawn here rather than by an inlined chart library: the library alone is more than half of what a report of 1,000 rows
may weigh, needs a script where a CI server forbids one, and these few shapes are all that a report shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10
from typing import NamedTuple

from markupsafe import Markup, escape

from genaiops.plain_text import plain
from genaiops.reports._format import number


class Scale(NamedTuple):
    """From values to a share of the width.

    Attributes:
        start: The value at the left edge.
        end: The value at the right edge.
        ticks: Values worth a label.
    """

    start: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Per cent of the width, inside it with a little room at both edges."""
        return round(2 + 96 * min(1.0, max(0.0, (value - self.start) / (self.end - self.start))), 2)


def scale_over(values: Iterable[float | None], *, low: float | None = None, high: float | None = None) -> Scale:
    """A scale that shows all values, with round ticks.

    Args:
        values: What must be seen.
        low: The scale does not begin below this, for example 0 for a rate.
        high: The scale does not end above this.
    """
    known = [value for value in values if value is not None]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    room = (most - least) * 0.08 or abs(most) * 0.05 or 0.05
    start = least - room if low is None else max(low, least - room)
    end = most + room if high is None else min(high, most + room)
    if end <= start:
        start, end = start - room, end + room
    return Scale(start, end, _ticks(start, end))


def interval_plot(
    scale: Scale,
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    tone: str,
    words: str,
    reference: float | None = None,
    band: tuple[float, float] | None = None,
) -> Markup:
    """A point with its interval on a scale, as wide as the place it stands in.

    Args:
        scale: Shared by all that is to be compared.
        value: The point; nothing but the reference is drawn without one.
        low: Lower end.
        high: Upper end.
        tone: Which colour: base, better, fine, worse, unsure.
        words: The same for a screen reader.
        reference: A value to compare with, drawn as a line.
        band: A range that is accepted, drawn as a shade.
    """
    parts = []
    if band is not None:
        left, right = scale.at(band[0]), scale.at(band[1])
        parts.append(
            _tag("rect", x=f"{left}%", y="2", width=f"{max(0.0, right - left):.2f}%", height="24", class_="band")
        )
    if reference is not None:
        place = f"{scale.at(reference)}%"
        parts.append(_tag("line", x1=place, x2=place, y1="0", y2="28", class_="reference"))
    if value is not None:
        if low is not None and high is not None:
            ends = {"x1": f"{scale.at(low)}%", "x2": f"{scale.at(high)}%"}
            parts.append(_tag("line", **ends, y1="14", y2="14", class_=f"whisker {tone}"))
            parts += [_tag("line", x1=x, x2=x, y1="10", y2="18", class_=f"cap {tone}") for x in ends.values()]
        parts.append(_tag("circle", cx=f"{scale.at(value)}%", cy="14", r="5", class_=f"point {tone}"))
    return _svg("".join(parts), words, height="28", class_="plot")


def axis_plot(scale: Scale) -> Markup:
    """The labels of a scale, to stand above or below its plots; hidden from screen readers, who get the numbers."""
    parts = []
    for tick in scale.ticks:
        place = f"{scale.at(tick)}%"
        parts.append(_tag("line", x1=place, x2=place, y1="14", y2="18", class_="tick"))
        parts.append(_tag("text", number(tick), x=place, y="11", text_anchor="middle", class_="tick-label"))
    return Markup('<svg class="plot axis" width="100%" height="18" aria-hidden="true">{}</svg>').format(
        Markup("".join(parts))  # noqa: S704
    )


def bar_plot(share: float, words: str, *, tone: str = "base") -> Markup:
    """A bar as long as a share between 0 and 1."""
    width = f"{100 * min(1.0, max(0.0, share)):.2f}%"
    return _svg(
        _tag("rect", width=width, height="8", rx="2", class_=f"fill-bar {tone}"), words, height="8", class_="plot"
    )


class Point(NamedTuple):
    """A variant on the cost–quality chart."""

    name: str
    cost: float
    quality: float
    low: float | None
    high: float | None
    is_baseline: bool
    on_frontier: bool


def cost_quality_chart(
    points: Iterable[Point], *, cost_name: str, quality_name: str, cost_text: object = number
) -> Markup:
    """Each variant by what a row costs and how good it is; the frontier joins those that no other beats in both.

    Args:
        points: The variants.
        cost_name: What the horizontal axis shows, with its unit.
        quality_name: What the vertical axis shows.
        cost_text: A function from a cost to its label.
    """
    show = cost_text if callable(cost_text) else number
    shown = sorted(points, key=lambda point: point.cost)
    width, height, left, right, top, bottom = 640, 360, 60, 24, 46, 52
    across = scale_over([0.0, *(point.cost for point in shown)], low=0.0)
    up = scale_over([each for point in shown for each in (point.quality, point.low, point.high)])

    def x(value: float) -> float:
        return round(left + (width - left - right) * (value - across.start) / (across.end - across.start), 1)

    def y(value: float) -> float:
        return round(height - bottom - (height - top - bottom) * (value - up.start) / (up.end - up.start), 1)

    parts = [_tag("rect", x=left, y=top, width=width - left - right, height=height - top - bottom, class_="frame",
                  fill="none", stroke="#8a929c", stroke_opacity="0.35")]  # fmt: skip
    for tick in up.ticks:
        parts.append(_tag("line", x1=left, x2=width - right, y1=y(tick), y2=y(tick), class_="grid",
                          stroke="#8a929c", stroke_opacity="0.25"))  # fmt: skip
        parts.append(_label(number(tick), left - 8, y(tick) + 4, anchor="end"))
    parts += [_label(str(show(tick)), x(tick), height - bottom + 18) for tick in across.ticks]
    parts.append(_label(cost_name, (left + width - right) / 2, height - 10, strong=True))
    parts.append(_label(quality_name, left, 24, anchor="start", strong=True))
    front = [point for point in shown if point.on_frontier]
    if len(front) > 1:
        line = " ".join(f"{x(point.cost)},{y(point.quality)}" for point in front)
        parts.append(_tag("polyline", points=line, class_="frontier", fill="none", stroke="#0a66a8",
                          stroke_width="1.5", stroke_dasharray="5 4"))  # fmt: skip
    for point in shown:
        parts.append(_point(point, x(point.cost), y, width - right))
    words = "; ".join(
        f"{point.name}: {show(point.cost)}, {number(point.quality)}"
        + (" (default)" if point.is_baseline else "")
        + (", on the frontier" if point.on_frontier else "")
        for point in shown
    )
    return _svg(
        "".join(parts), f"{quality_name} against {cost_name}. {words}.", viewBox=f"0 0 {width} {height}",
        class_="chart", width=str(width), height=str(height), xmlns="http://www.w3.org/2000/svg",
        font_family="system-ui, sans-serif", font_size="12",
    )  # fmt: skip


def frontier(points: Iterable[tuple[str, float, float]]) -> set[str]:
    """Names of (name, cost, quality) that no other beats in both; of equals all.

    >>> sorted(frontier([("a", 1, 0.8), ("b", 2, 0.9), ("c", 2, 0.7)]))
    ['a', 'b']
    """
    known = list(points)
    return {
        name
        for name, cost, quality in known
        if not any(c <= cost and q >= quality and (c < cost or q > quality) for _, c, q in known)
    }


def _point(point: Point, at: float, y: object, edge: float) -> str:
    place = y(point.quality) if callable(y) else 0.0
    ink = "#4a525c" if point.is_baseline else "#0a66a8"
    tone = "base" if point.is_baseline else "accent"
    parts = []
    if point.low is not None and point.high is not None and callable(y):
        parts.append(_tag("line", x1=at, x2=at, y1=y(point.low), y2=y(point.high), class_=f"whisker {tone}", stroke=ink,
                          stroke_width="2"))  # fmt: skip
    if point.is_baseline:  # shape as well as colour tells the default variant
        parts.append(_tag("rect", x=at - 5.5, y=place - 5.5, width=11, height=11, class_=f"point {tone}", fill=ink))
    else:
        parts.append(_tag("circle", cx=at, cy=place, r=6, class_=f"point {tone}", fill=ink))
    # Below and right of the point, away from the frontier, which rises to the right; left of it near the edge.
    name = point.name + (" (default)" if point.is_baseline else "")
    fits = at + 14 + 7.2 * len(name) < edge
    parts.append(
        _label(
            name,
            at + 12 if fits else at - 12,
            place + (18 if fits else -10),
            anchor="start" if fits else "end",
            strong=True,
        )
    )
    return "".join(parts)


def _label(text: str, x: float, y: float, *, anchor: str = "middle", strong: bool = False) -> str:
    return _tag(
        "text", text, x=x, y=y, text_anchor=anchor, class_="label strong" if strong else "label",
        fill="#59616b", font_weight="600" if strong else "400",
    )  # fmt: skip


def _svg(content: str, words: str, **attributes: str) -> Markup:
    size = {"width": "100%", **attributes}
    said = plain(words)
    title = f"<title>{escape(said)}</title>"
    return Markup(_tag("svg", Markup(title + content), role="img", aria_label=said, **size))  # noqa: S704


def _tag(name: str, content: str = "", **attributes: object) -> str:
    """One element; every attribute and every text is escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(plain(str(value)))}"' for key, value in attributes.items()
    )
    content = content if isinstance(content, Markup) else plain(content)
    return f"<{name}{written}>{escape(content)}</{name}>" if content else f"<{name}{written}/>"


def _ticks(start: float, end: float) -> tuple[float, ...]:
    """Three to six round numbers between two ends."""
    rough = (end - start) / 5
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
    first = floor(start / step + 0.999) * step
    ticks = []
    while first <= end + step * 1e-6:
        ticks.append(round(first, 10))
        first += step
    return tuple(ticks)
