"""Numbers and values as people read them."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

from markupsafe import Markup, escape

from genaiops.plain_text import plain, plural

_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode


def number(value: Any) -> str:
    """Three digits that matter: 0.941, 12.3, 1,250; an en dash for what is not known.

    >>> number(0.94123), number(1250), number(None), number(-0.5)
    ('0.941', '1,250', '–', '−0.5')
    """
    if not isinstance(value, (int, float)) or not isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 10:
        text = f"{size:.1f}".rstrip("0").rstrip(".")
    elif size >= 0.001 or size == 0:
        text = f"{size:.3f}".rstrip("0").rstrip(".")
    else:
        text = f"{size:.1e}"
    return ("−" if value < 0 and text != "0" else "") + text


def metric(value: Any) -> str:
    """A value in a column of them: always as many digits, so that they stand under each other.

    >>> metric(0.8), metric(12), metric(-0.05)
    ('0.800', '12.00', '−0.050')
    """
    if not isinstance(value, (int, float)) or not isfinite(value):
        return "–"
    size = abs(value)
    digits = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0
    text = f"{size:,.{digits}f}"
    return ("−" if value < 0 and float(text.replace(",", "")) else "") + text


def signed(value: Any) -> str:
    """A difference with its sign: +0.020, −0.013."""
    return ("+" if isinstance(value, (int, float)) and value > 0 else "") + metric(value)


def between(low: Any, high: Any) -> str:
    """An interval: 0.838 to 0.979."""
    return "–" if low is None or high is None else f"{metric(low)} to {metric(high)}"


def percent(part: float, whole: float) -> str:
    """A share of a whole: 5 %, under 0.1 %; an en dash of nothing.

    >>> percent(1, 20), percent(1, 3), percent(0, 0)
    ('5 %', '33.3 %', '–')
    """
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    return f"{share:.1f}".rstrip("0").rstrip(".") + " %"


def count(value: Any) -> str:
    """A whole number with separators."""
    return f"{int(value):,}" if isinstance(value, (int, float)) and isfinite(value) else "–"


def money(value: Any) -> str:
    """Dollars: $0.84, $0.0004, unknown is an en dash.

    >>> money(12.5), money(0.5), money(0.125), money(0.0004), money(0)
    ('$12.50', '$0.50', '$0.125', '$0.0004', '$0')
    """
    if not isinstance(value, (int, float)) or not isfinite(value):
        return "–"
    if value == 0:
        return "$0"
    if abs(value) < 0.01:
        return f"${value:.2g}"
    text = f"${value:,.2f}" if abs(value) >= 1 else f"${value:.3f}"
    return text.removesuffix("0") if abs(value) < 1 else text


def duration(value: Any) -> str:
    """Seconds in the unit that suits: 85 µs, 12 ms, 1.4 s, 3 min 20 s."""
    if not isinstance(value, (int, float)) or not isfinite(value):
        return "–"
    if value < 1:
        return "0 s" if value == 0 else f"{1e6 * value:.0f} µs" if value < 0.001 else f"{1000 * value:.0f} ms"
    if value < 90:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def p_value(value: Any) -> str:
    """A p-value with the digits that matter."""
    if not isinstance(value, (int, float)):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def value_text(value: Any, limit: int | None = None) -> str:
    """A value of a flow as text: strings as they are, the rest as JSON; cut, with what was cut, beyond `limit`."""
    text = value if isinstance(value, str) else _AS_JSON(value)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({plural(len(text) - limit, 'more character')})"
    return plain(text)


def breakable(name: Any) -> Markup:
    """A name, escaped, that may be broken after its dots, dashes and underscores when it is long.

    >>> breakable("short.one"), breakable("summarize_text_content.shown_how")
    (Markup('short.one'), Markup('summarize_<wbr>text_<wbr>content.<wbr>shown_<wbr>how'))
    """
    text = str(escape(plain(str(name))))
    return Markup(text if len(text) < 14 else re.sub(r"([._/\-])(?=\w)", r"\1<wbr>", text))  # noqa: S704 - escaped above


def told(text: Any) -> Markup:
    """A sentence of ours, escaped; what stands between backticks is set as code.

    >>> told("name `best` <now>")
    Markup('name <code>best</code> &lt;now&gt;')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(plain(str(text))))))  # noqa: S704 - escaped above
