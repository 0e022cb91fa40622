"""Rows for the page's script: compact JSON, texts cut to what the page may weigh."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from genaiops.reports._format import value_text
from genaiops.reports._story import Cell, Row, Story

PLAIN_BYTES: Final = 250_000
"""Rows up to this size stay readable in the page's source; larger ones are compressed."""

_LIMITS: Final = (4000, 2000, 1000, 600, 350, 200, 120, 60, 30)
_SAME: Final = 0
_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_STATUSES: Final = {"completed": 0, "failed": 1, "bypassed": 2, "canceled": 3, "skipped": 3}


class Packed(NamedTuple):
    """Rows as text for a data block of the page.

    Attributes:
        text: JSON with `<` escaped, or base64 of deflated JSON.
        encoding: `json` or `deflate`.
        cut_at: Characters of a value that are kept; the rest is said to be cut.
        rows: Rows in it.
    """

    text: str
    encoding: str
    cut_at: int
    rows: int


def pack_rows(story: Story, *, budget: int) -> Packed:
    """Pack as many rows, with texts as long, as fit.

    Args:
        story: The experiment.
        budget: Largest size of the text in bytes.

    Returns:
        The rows; all of them unless even short texts would not fit.
    """
    rows = list(story.rows)
    while True:
        for limit in _LIMITS:
            if not _may_fit(story, rows, limit, budget):
                continue
            packed = _pack(story, rows, limit)
            if len(packed.text) <= budget:
                return packed
        # Not even the shortest texts fit: keep the rows that say most.
        rows = telling(rows)[: max(1, len(rows) // 2)]
        if len(rows) == 1:
            return _pack(story, [], _LIMITS[-1])


def dataset_anchor(dataset: str) -> str:
    """A dataset in an address of the page: stable, and free of what a name may hold."""
    return hashlib.sha256(dataset.encode("utf-8", "replace")).hexdigest()[:6]


def telling(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order in which they should be read: failures, losses, gains, changes, misses, the rest."""
    order = {"failed": 0, "worse": 1, "better": 2, "missed": 3, "changed": 4, "same": 5}
    return sorted(rows, key=lambda row: order.get(row.change, 6))


def _may_fit(story: Story, rows: Sequence[Row], limit: int, budget: int) -> bool:
    """Pack a sample first: packing all rows only to see that they are too many takes long."""
    if len(rows) <= 400:
        return True
    if _estimate(story, rows, limit, of=20) <= budget / 4:  # then a larger sample would tell nothing else
        return True
    return _estimate(story, rows, limit, of=200) <= budget * 1.02


def _estimate(story: Story, rows: Sequence[Row], limit: int, *, of: int) -> float:
    """The size of all rows by that of some."""
    sample = rows[:: max(1, len(rows) // of)]
    return len(_pack(story, sample, limit).text) * len(rows) / len(sample)


def _pack(story: Story, rows: Sequence[Row], limit: int) -> Packed:
    nodes: dict[str, int] = {}
    datasets = {name: place for place, name in enumerate(story.datasets)}
    cuts = _Cuts(limit, max(30, limit // 3))
    form = {
        "datasets": story.datasets,
        "anchors": [dataset_anchor(name) for name in story.datasets],
        "variants": story.variants,
        "baseline": story.baseline,
        "scores": story.score_names,
        "up": [story.directions.get(name, True) for name in story.score_names],
        "rows": [_row(story, row, datasets, nodes, cuts) for row in rows],
    }
    form["nodes"] = list(nodes)
    text = _AS_JSON(form)
    if len(text) <= PLAIN_BYTES:
        # In a data block only these can end it or begin a comment; as escapes they are the same JSON.
        safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        return Packed(safe.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"), "json", limit, len(rows))
    squeezed = zlib.compress(text.encode("utf-8"), 6)
    return Packed(base64.b64encode(squeezed).decode("ascii"), "deflate", limit, len(rows))


class _Cuts(NamedTuple):
    """How long texts may be."""

    value: int
    node: int


def _row(story: Story, row: Row, datasets: Mapping[str, int], nodes: dict[str, int], cuts: _Cuts) -> list[Any]:
    before = row.cells.get(story.baseline or "")
    cells = [
        _cell(story, cell, None if cell is before else before, nodes, cuts) if (cell := row.cells.get(name)) else 0
        for name in story.variants
    ]
    return [datasets[row.dataset], row.number, row.change, _texts(row.inputs, cuts.value), cells]


def _cell(story: Story, cell: Cell, before: Cell | None, nodes: dict[str, int], cuts: _Cuts) -> list[Any]:
    """[status, outputs or 0 when as the default variant's, scores, error, seconds, tokens, nodes, repeats]."""
    error = None
    if cell.error:
        error = [str(cell.error.get("kind")), cell.error.get("node"), value_text(cell.error.get("message") or "", 600)]
    same = before is not None and before.status == cell.status and before.outputs == cell.outputs
    return [
        _STATUSES.get(cell.status, 3),
        _SAME if same else _texts(cell.outputs, cuts.value),
        [_round(cell.scores.get(name)) for name in story.score_names],
        error,
        _round(cell.duration_s),
        cell.tokens,
        [_node(name, node, before, nodes, cuts) for name, node in cell.nodes.items()],
        cell.repeats,
    ]


def _node(name: str, node: Mapping[str, Any], before: Cell | None, nodes: dict[str, int], cuts: _Cuts) -> list[Any]:
    """[name's place, status, output or 0 when as the default variant's, seconds, kept, tokens, begun after seconds]."""
    other = before.nodes.get(name) if before is not None else None
    same = other is not None and other.get("output") == node.get("output") and other.get("status") == node.get("status")
    return [
        nodes.setdefault(name, len(nodes)),
        _STATUSES.get(str(node.get("status")), 3),
        _SAME if same else value_text(node.get("output"), cuts.node),
        _round(node.get("duration_s")),
        int(bool(node.get("kept"))),
        node.get("tokens") or 0,
        _round(node.get("started_s")),
    ]


def _texts(values: Mapping[str, Any], limit: int) -> list[list[str]]:
    return [[str(name), value_text(value, limit)] for name, value in values.items()]


def _round(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
