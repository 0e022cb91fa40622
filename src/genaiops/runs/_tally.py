"""Counting what rows gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from genaiops.runs._outcome_lines import LineIndex
from genaiops.runs._record import FailureKind

_MAX_KINDS = 100


class Tally:
    """Rows, model calls, tokens, cost and failures so far.

    Costs are dollars; None until somebody knows a price.
    """

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.model_calls = 0
        self.kept = 0
        self.tokens = {"input": 0, "output": 0, "cached": 0}
        self.cost_usd: float | None = None
        self.simulated = False
        self.recorded = False
        self._failures: dict[tuple[str, str, str | None], list[Any]] = {}

    def add(self, header: Mapping[str, Any]) -> None:
        """Count a row by the header that came with its line."""
        self._spend(header["calls"], header["kept"], header["tokens"], header.get("cost"))
        self.simulated = self.simulated or bool(header.get("simulated"))
        self.recorded = self.recorded or bool(header.get("recorded"))
        if header["ok"]:
            self.completed += 1
        else:
            self.failed += 1
            self._fail(header["row"], header["error"])

    def add_line(self, line: bytes) -> None:
        """Count a row by its line, as an earlier attempt wrote it."""
        form = json.loads(line)
        tokens = form.get("tokens") or {}
        used = [int(tokens.get(key) or 0) for key in ("input", "output", "cached")]
        self._spend(form.get("model_calls") or 0, form.get("kept") or 0, used, form.get("cost_usd"))
        nodes = (form.get("nodes") or {}).values()
        self.simulated = self.simulated or any(node.get("simulated") for node in nodes)
        self.recorded = self.recorded or any(node.get("recorded") is not None for node in nodes)
        if form["status"] == "completed":
            self.completed += 1
        else:
            self.failed += 1
            self._fail(form["row"], form.get("error") or {})

    def failures(self) -> tuple[FailureKind, ...]:
        """Failed rows by kind, the most frequent first."""
        kinds = [
            FailureKind(
                kind=kind,
                count=count,
                row=row,
                message=str(error.get("message") or ""),
                node=node,
                file=error.get("file"),
                line=error.get("line"),
                hint=error.get("hint"),
            )
            for (kind, _, node), (count, row, error) in self._failures.items()
        ]
        return tuple(sorted(kinds, key=lambda item: (-item.count, item.row if item.row is not None else -1)))

    def _spend(self, calls: int, kept: int, tokens: list[int], cost: float | None) -> None:
        self.model_calls += calls
        self.kept += kept
        for key, value in zip(self.tokens, tokens, strict=True):
            self.tokens[key] += value
        if cost is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost

    def _fail(self, row: int, error: Mapping[str, Any]) -> None:
        key = (str(error.get("kind")), str(error.get("type")), error.get("node"))
        if key not in self._failures and len(self._failures) >= _MAX_KINDS:
            key = ("other failures", "", None)
        found = self._failures.setdefault(key, [0, row, {k: error.get(k) for k in ("message", "file", "line", "hint")}])
        found[0] += 1
        if row is not None and row < found[1]:
            found[1:] = [row, {k: error.get(k) for k in ("message", "file", "line", "hint")}]


def tally_of_file(index: LineIndex) -> Tally:
    """Count the lines of an index."""
    tally = Tally()
    for _, line in index.lines():
        tally.add_line(line)
    return tally
