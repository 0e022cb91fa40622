"""What commands print: one JSON object, tables, short texts. Results on standard output, all else on standard error."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from genaiops.errors import GenaiopsError
from genaiops.plain_text import plain

_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_RETURN = re.compile(r"\r(?!\n)")


def safe(text: str) -> str:
    """Text of a model, a flow or a file as a terminal may show it: nothing in it moves the cursor or hides the rest."""
    return _RETURN.sub("␍", plain(text))


def echo_json(value: object) -> None:
    """Print one JSON object; a number that JSON does not have (NaN, infinity) is null."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, indent=2, default=str)
    # Escapes are the same JSON; bare, these would steer the terminal or turn round what follows.
    click.echo(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def echo_error(error: GenaiopsError) -> None:
    """`error: FILE:LINE: what was found and expected`, and the hint on a line of its own."""
    where = f"{error.file}:{error.line}: " if error.file and error.line else f"{error.file}: " if error.file else ""
    say("error", f"{where}{error.message}", color="red")
    if error.hint:
        click.echo(f"  hint: {safe(error.hint)}", err=True)


def say(word: str, text: str, *, color: str) -> None:
    """One line on standard error that starts with a word: `error: …`, `warning: …`."""
    from genaiops.cli._session import color_allowed

    head = click.style(f"{word}:", fg=color, bold=True) if color_allowed() else f"{word}:"
    click.echo(f"{head} {safe(text)}", err=True)


def note(text: str) -> None:
    """A remark on standard error."""
    click.echo(safe(text), err=True)


def one_line(value: object, width: int = 60) -> str:
    """A value as one short line: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = safe(" ".join(text.split()))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def money(value: float | None) -> str:
    """Dollars with as many digits as small prices need; a dash when nobody knows."""
    if value is None:
        return "–"
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"


def seconds(value: float) -> str:
    """A duration a person reads at a glance."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """A table on standard output: drawn when a terminal looks, aligned text otherwise."""
    rows = [[safe(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(headers, rows, title)
        return
    if title:
        click.echo(title)
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from genaiops.cli._session import color_allowed

    drawn = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        drawn.add_column(header, overflow="fold")
    for row in rows:
        # Text, not markup: a model's reply may hold square brackets.
        drawn.add_row(*(Text(cell) for cell in row))
    Console(no_color=not color_allowed(), highlight=False).print(drawn)


def assignments(pairs: Sequence[str], *, option: str) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; the last of one name wins.

    Raises:
        click.UsageError: A word has no `=` or no name.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option} expects NAME=VALUE, found {pair!r}.")
        found[name.strip()] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    """Quotes that a shell left around a value are not part of it."""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" else value
