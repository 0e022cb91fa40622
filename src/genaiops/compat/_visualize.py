"""An HTML page of one or several runs: metrics side by side, then each row's inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from genaiops.compat._runs import detail_rows, label_of, status_of

if TYPE_CHECKING:
    from genaiops.runs import RunRecord

MAX_ROWS = 1000
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { border: 1px solid #c8c8c8; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td { white-space: pre-wrap; max-width: 40rem; overflow-wrap: anywhere; }
th { background: #f2f2f2; position: sticky; top: 0; }
td.failed { color: #a00000; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #eee; } th { background: #333; } }
"""


def runs_page(records: Sequence[RunRecord]) -> str:
    """The page. Everything in it that a model or a dataset wrote is escaped; it loads nothing."""
    parts = [_overview(records), *(_details(record) for record in records)]
    title = ", ".join(record.id for record in records)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def _overview(records: Sequence[RunRecord]) -> str:
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    head = ["run", "name", "status", "rows", "failed", "tokens", "seconds", *metrics]
    rows = [
        [
            record.id,
            label_of(record).get("display_name") or record.id,
            status_of(record),
            record.rows.total,
            record.rows.failed,
            int(record.tokens.get("input") or 0) + int(record.tokens.get("output") or 0),
            round(record.duration_s, 2),
            *(record.metrics.get(name) for name in metrics),
        ]
        for record in records
    ]
    return f"<h2>Runs</h2>{_table(head, rows)}"


def _details(record: RunRecord) -> str:
    rows = detail_rows(record, limit=MAX_ROWS)
    head = list(dict.fromkeys(name for row in rows for name in row))
    total = record.rows.completed + record.rows.failed
    note = f"<p>The first {MAX_ROWS} of {total} rows.</p>" if total > MAX_ROWS else ""
    return f"<h2>{escape(record.id)}</h2>{note}{_table(head, ([row.get(name) for name in head] for row in rows))}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    mark = ' class="failed"' if value in ("(Failed)", "Failed") else ""
    return f"<td{mark}>{escape(text)}</td>"
