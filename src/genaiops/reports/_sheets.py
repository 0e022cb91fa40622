"""Tables as files: CSV that no spreadsheet runs, HTML that shows text as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Final, TextIO

from genaiops.plain_text import plain

MOST_HTML_ROWS: Final = 2000
"""Rows of an HTML table: beyond it a browser crawls and the CSV file is the better tool."""

_FORMULA: Final = re.compile(r"^\s*[=+\-@\t\r＝＋－＠]")
_SUSPECT: Final = frozenset("=+-@\t\r＝＋－＠")
_NUMBER: Final = re.compile(r"^\s*[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?\s*$")
_RESERVED: Final = frozenset({"con", "prn", "aux", "nul"})
_SPECIAL: Final = re.compile(r'[",\r\n]').search
_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #1a1d21; background: #fff }}
h1 {{ font-size: 1.25rem }} p {{ color: #59616b; max-width: 70ch }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #dfe3e8; text-align: left; vertical-align: top;
  white-space: pre-wrap; overflow-wrap: anywhere; min-width: 4ch; max-width: 44ch }}
th {{ position: sticky; top: 0; background: #f4f5f7; white-space: nowrap }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e4e6e9; background: #15181c }} p {{ color: #a0a8b2 }}
  th {{ background: #20252b }} th, td {{ border-color: #323941 }} }}
</style></head><body><main><h1>{title}</h1><p>{note}</p>
<table><thead><tr>{columns}</tr></thead><tbody>
"""


class Block:
    """Rows of a table in each form, made once for as many tables as have them.

    Args:
        rows: Column -> cell, each a `safe_text`; columns of no table are passed over.
        columns: The columns of the table.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
        self._cells = [[row[column] for column in columns] for row in rows]

    @cached_property
    def csv(self) -> str:
        quoted = _Each(_quoted).__getitem__
        return "".join([",".join(map(quoted, cells)) + "\r\n" for cells in self._cells])

    @cached_property
    def html(self) -> list[str]:
        """A line for each row."""
        escaped = _Each(lambda cell: escape(plain(cell))).__getitem__
        return ["<tr><td>" + "</td><td>".join(map(escaped, cells)) + "</td></tr>\n" for cells in self._cells]


class _Each(dict[str, str]):
    """A text -> what becomes of it. Most of a row stands in the rows around it too: once for all is much faster."""

    def __init__(self, become: Callable[[str], str]) -> None:
        self._become = become

    def __missing__(self, text: str) -> str:
        self[text] = found = self._become(text)
        return found


class Sheet:
    """One table in the making."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.lines: TextIO | None = None
        self.page: TextIO | None = None
        self._page_room = MOST_HTML_ROWS

    def add(self, block: Block) -> None:
        """Write rows."""
        if self.lines is not None:
            self.lines.write(block.csv)
        if self.page is not None and self._page_room:
            rows = block.html[: self._page_room]
            self.page.write("".join(rows))
            self._page_room -= len(rows)


class Forms:
    """Which forms of tables are written, and where."""

    def __init__(self, folder: Path, *, as_csv: bool, as_html: bool) -> None:
        self.folder, self.as_csv, self.as_html = folder, as_csv, as_html

    def files(self, stem: str, what: str) -> list[Path]:
        """The files of a table."""
        wanted = {"csv": self.as_csv, "html": self.as_html}
        return [self.folder / f"{stem}_{what}.{form}" for form, is_wanted in wanted.items() if is_wanted]

    @contextmanager
    def sheet(self, stem: str, what: str, name: str, columns: Sequence[str]) -> Iterator[Sheet]:
        """A table that is open for rows, in each form that is wanted."""
        title = f"{name}: {'results row by row' if what == 'result' else 'metrics'}"
        with ExitStack() as stack:
            sheet = Sheet(columns)
            for file in self.files(stem, what):
                if file.suffix == ".csv":
                    sheet.lines = stack.enter_context(file.open("w", encoding="utf-8", newline=""))
                    sheet.lines.write(Block([{column: safe_text(column) for column in columns}], columns).csv)
                else:
                    sheet.page = stack.enter_context(file.open("w", encoding="utf-8", errors="replace"))
                    heads = "".join(f'<th scope="col">{escape(plain(column))}</th>' for column in columns)
                    note = f"The first {MOST_HTML_ROWS:,} rows at most; {escape(file.stem)}.csv has all of them."
                    sheet.page.write(_HEAD.format(title=escape(plain(title)), note=note, columns=heads))
            yield sheet
            if sheet.page is not None:
                sheet.page.write("</tbody></table></main></body></html>\n")


def safe_cell(value: Any) -> Any:
    """A value for a CSV cell; text that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> safe_cell('=HYPERLINK("http://x")'), safe_cell("-3.5"), safe_cell(None), safe_cell({"a": 1})
    ('\\'=HYPERLINK("http://x")', '-3.5', '', '{"a": 1}')
    """
    return value if type(value) in (int, float) else safe_text(value)


def safe_text(value: Any) -> str:
    """The text of a CSV cell; like `safe_cell`."""
    if value is None:
        return ""
    kind = type(value)
    if kind is int or kind is float:
        return str(value)
    text = value if kind is str else _AS_JSON(value)
    if text[:1].isalnum() and text.isascii() and text.isprintable():  # by far the most
        return text
    if not text.isascii():  # a lone surrogate cannot be written
        text = text.encode("utf-8", "replace").decode("utf-8")
    if "\0" in text:
        text = text.replace("\0", "")
    suspect = text[:1] in _SUSPECT or text[:1].isspace()
    return f"'{text}" if suspect and _FORMULA.match(text) and not _NUMBER.match(text) else text


def safe_name(name: str) -> str:
    """A file name from a name that a user gave: no folders, no characters that a file system refuses.

    >>> safe_name("../a:b"), safe_name("con")
    ('_a_b', '_con')
    """
    cleaned = re.sub(r"[^\w.\- ]+", "_", name).strip(". ") or "_"
    return f"_{cleaned}" if cleaned.lower().split(".")[0] in _RESERVED else cleaned[:120]


def _quoted(cell: str) -> str:
    """A cell of a CSV line (RFC 4180)."""
    return cell if _SPECIAL(cell) is None else '"' + cell.replace('"', '""') + '"'
