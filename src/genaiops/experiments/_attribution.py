"""Where a regression starts: for rows that got worse, the first node whose output differs from the baseline's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from genaiops.experiments._compare import Series

_NO_NODE = "(the flow)"
_NO_CHANGE = "(no node differs)"
_LISTED = 50


def worse_rows(baseline: Series, candidate: Series) -> list[int]:
    """Rows that both have a score for and on which the candidate's is worse."""
    before, after = baseline.by_row(), candidate.by_row()
    sign = 1 if baseline.higher_is_better else -1
    return [row for row in before if row in after and sign * (after[row] - before[row]) < 0]


def got_worse(series: Sequence[Series]) -> bool:
    """Whether any row of any metric is worse than with the baseline; where none is, nobody needs the outcomes."""
    return any(worse_rows(baseline, candidate) for baseline, candidate in _pairs(series))


def _pairs(series: Sequence[Series]) -> Iterator[tuple[Series, Series]]:
    """Each candidate's series with the baseline's of the same metric."""
    baselines = {item.key: item for item in series if item.is_baseline}
    for candidate in series:
        baseline = baselines.get(candidate.key)
        if baseline is not None and not candidate.is_baseline:
            yield baseline, candidate


def first_difference(before: Mapping[str, Any], after: Mapping[str, Any], order: Sequence[str]) -> str:
    """The first node, in the order of the flow, that gave something else.

    Args:
        before: The baseline's outcome of a row, as `outcomes.jsonl` holds it.
        after: The candidate's.
        order: Nodes in the order they run.
    """
    old, new = before.get("nodes") or {}, after.get("nodes") or {}
    if not order:
        order = list(dict.fromkeys([*old, *new]))
    for node in order:
        if _gave(old.get(node)) != _gave(new.get(node)):
            return node
    if not order:
        return _NO_NODE
    return _NO_CHANGE if before.get("outputs") == after.get("outputs") else _NO_NODE


def attribute(
    series: Sequence[Series], outcomes: Mapping[str, Mapping[int, Mapping[str, Any]]], order: Sequence[str]
) -> list[dict[str, Any]]:
    """Per metric and candidate: which node the rows that got worse begin to differ at, the most frequent first.

    Args:
        series: All metrics of all variants.
        outcomes: Label of the variant -> row -> outcome, of one dataset.
        order: Nodes in the order they run.
    """
    found = []
    for baseline, candidate in _pairs(series):
        rows = worse_rows(baseline, candidate)
        old, new = outcomes.get(baseline.variant, {}), outcomes.get(candidate.variant, {})
        grouped = _by_node(((row, old[row], new[row]) for row in rows if row in old and row in new), order)
        if grouped:
            found.append(
                {
                    "metric": candidate.metric,
                    "evaluator": candidate.evaluator,
                    "dataset": candidate.dataset,
                    "candidate": candidate.variant,
                    "worse": len(rows),
                    "by_node": grouped,
                }
            )
    return found


def _by_node(
    rows: Iterable[tuple[int, Mapping[str, Any], Mapping[str, Any]]], order: Sequence[str]
) -> list[dict[str, Any]]:
    groups: dict[str, list[int]] = {}
    for row, before, after in rows:
        groups.setdefault(first_difference(before, after, order), []).append(row)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [{"node": node, "rows": found[:_LISTED], "count": len(found)} for node, found in ranked]


def _gave(node: Mapping[str, Any] | None) -> str:
    if node is None:
        return ""
    return json.dumps([node.get("status"), node.get("output")], sort_keys=True, default=str)
