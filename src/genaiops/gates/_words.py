"""Numbers as people read them."""

from __future__ import annotations

from math import isfinite

from genaiops.plain_text import plural


def number(value: float | None) -> str:
    """Three digits that matter, no exponent: 0.941, 12.3, 1,250.

    >>> number(0.94123), number(1250), number(0.0)
    ('0.941', '1,250', '0')
    """
    if value is None or not isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 3 if abs(value) < 10 else 1
    if abs(value) < 0.001:
        return f"{value:.1e}"
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "−" + text[1:] if text.startswith("-") else text


def signed(value: float | None) -> str:
    """A difference with its sign: +0.02, −0.013."""
    if value is None:
        return "unknown"
    return ("+" if value > 0 else "") + number(value)


def between(low: float | None, high: float | None) -> str:
    """An interval: 0.838 to 0.979."""
    return "no interval" if low is None or high is None else f"{number(low)} to {number(high)}"


def percent(share: float) -> str:
    """A share: 5 %, 2.5 %, under 0.1 %: one failed row of many is not none."""
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.1f}".rstrip("0").rstrip(".") + " %"


def effort(rows: int, *, cost_usd: float | None, duration_s: float | None) -> str:
    """What more rows would take: 310 more rows ($0.84, 4 min)."""
    parts = []
    if cost_usd:
        parts.append(f"${cost_usd:.2f}" if cost_usd >= 0.01 else "under $0.01")
    if duration_s:
        parts.append(f"{duration_s / 60:.0f} min" if duration_s >= 90 else f"{max(1, round(duration_s))} s")
    return plural(rows, "more row") + (f" ({', '.join(parts)})" if parts else "")
