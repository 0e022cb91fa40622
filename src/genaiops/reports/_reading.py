"""From the files of an experiment and of its runs to its story."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from genaiops.errors import DataError
from genaiops.reports._outcomes import Outcomes, parse_line
from genaiops.reports._story import Cell, Failure, NodeUse, Row, Story, label

MOST_ROWS: Final = 20_000
"""Rows that are kept in memory for details; beyond that failures and changes first. Tables as CSV always have all."""


def read_story(folder: Path) -> Story:
    """Read an experiment's folder and the folders of its runs.

    Runs that are no longer there are left out of details; what the experiment says of them stays.

    Raises:
        DataError: There is no experiment, or a file of it is broken.
    """
    file = folder / "experiment.json"
    if not file.is_file():
        raise DataError("There is no experiment here.", file=file, hint="List them with: genaiops runs list")
    result = _json(file)
    scores = _row_scores(folder / Path(str(result.get("row_scores") or "row_scores.jsonl")).name)
    outcomes = Outcomes(folder)
    reader = _Reader(outcomes, result, scores)
    rows = reader.rows()
    return Story(
        folder,
        result,
        _whole(folder / "verdict.json", result.get("verdict")),
        scores,
        outcomes,
        rows,
        reader.total,
        sorted(reader.failures.values(), key=lambda failure: -len(failure.rows)),
        reader.node_use,
        reader.columns,
        list(reader.models),
        _whole(folder / "alert.json", result.get("alert")),
    )


def _whole(file: Path, short: Any) -> Mapping[str, Any]:
    """A verdict with all its checks, else what the experiment itself says of it."""
    return _json(file) if file.is_file() else short or {}


class _Reader:
    """Reads the runs' outcomes once and keeps what reports show."""

    def __init__(
        self,
        outcomes: Outcomes,
        result: Mapping[str, Any],
        scores: Mapping[tuple[str, int], Mapping[str, float | None]],
    ) -> None:
        self.outcomes, self.result, self.scores = outcomes, result, scores
        self.failures: dict[tuple[str, str | None, str, str], Failure] = {}
        self.node_use: dict[tuple[str, str], NodeUse] = {}
        self.columns: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self.models: dict[str, None] = {}
        self.found: dict[tuple[str, int], Row] = {}
        self.total = 0
        forms = [
            (f"{score.get('evaluator')}.{name}", form)
            for score in result.get("scores", ())
            for name, form in score.get("metrics", {}).items()
        ]
        rates = {name: bool(form.get("higher_is_better", True)) for name, form in forms if form.get("kind") == "rate"}
        # Graded scores move a little on every row: where rows pass or fail, that is what tells.
        self.telling = rates or {name: bool(form.get("higher_is_better", True)) for name, form in forms}

    def rows(self) -> list[Row]:
        runs = sorted(self.result.get("runs", ()), key=lambda run: (not run.get("is_baseline"), run.get("repeat") or 0))
        seen: set[tuple[str, int]] = set()
        for run in runs:
            self._read(run, seen)
        self.total = len(seen)
        baseline = next((label(run) for run in runs if run.get("is_baseline")), None)
        for row in self.found.values():
            row.change = _change(row, baseline, self.telling)
        datasets = list(dict.fromkeys(str(run.get("dataset")) for run in self.result.get("runs", ())))
        place = {name: index for index, name in enumerate(datasets)}
        return sorted(self.found.values(), key=lambda row: (place[row.dataset], row.number))

    def _read(self, run: Mapping[str, Any], seen: set[tuple[str, int]]) -> None:
        dataset, variant, run_id = str(run.get("dataset")), label(run), str(run.get("id"))
        inputs: dict[str, None] = {}
        outputs: dict[str, None] = {}
        for line in self.outcomes.of(run):
            key = (dataset, int(line["row"]))
            seen.add(key)
            inputs.update(dict.fromkeys(line.get("inputs") or {}))
            outputs.update(dict.fromkeys(line.get("outputs") or {}))
            # Lines may be held: no longer with what nodes were given, which is most of them.
            line["nodes"] = self._nodes(variant, line)
            if line.get("status") != "completed":
                self._count_failure(variant, key, line)
            row = self.found.get(key)
            if row is None and len(self.found) < MOST_ROWS:
                row = self.found[key] = Row(dataset, key[1], line.get("inputs") or {}, {})
            if row is not None and variant in row.cells:
                _add_repeat(row.cells[variant], self.scores.get((run_id, key[1]), {}))
            elif row is not None:
                row.cells[variant] = self._cell(run_id, line)
        self.columns[run_id] = (tuple(inputs), tuple(outputs))

    def _cell(self, run_id: str, line: Mapping[str, Any]) -> Cell:
        return Cell(
            run=run_id,
            status=str(line.get("status")),
            outputs=line.get("outputs") or {},
            error=line.get("error"),
            nodes=line["nodes"],
            duration_s=line.get("duration_s"),
            tokens=_tokens(line.get("tokens")),
            scores=self.scores.get((run_id, int(line["row"])), {}),
        )

    def _nodes(self, variant: str, line: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Count what the nodes of a row took; returns what reports show of them."""
        shown: dict[str, dict[str, Any]] = {}
        for name, node in (line.get("nodes") or {}).items():
            form = shown[name] = _shown_node(node)
            use = self.node_use.get((variant, name)) or self.node_use.setdefault((variant, name), NodeUse())
            use.rows += 1
            use.failed += form["status"] == "failed"
            use.kept += form["kept"]
            use.duration_s += form["duration_s"] or 0.0
            use.tokens += 0 if form["kept"] else form["tokens"]
            if node.get("model"):
                use.asks_model = True
                self.models[str(node["model"])] = None
        return shown

    def _count_failure(self, variant: str, key: tuple[str, int], line: Mapping[str, Any]) -> None:
        error = line.get("error") or {}
        kind, node = str(error.get("kind") or line.get("status")), error.get("node")
        message = str(error.get("message") or "")
        # Rows, positions and ids differ between failures of one cause.
        alike = "".join("#" if char.isdigit() else char for char in message[:200])
        group = self.failures.setdefault((variant, node, kind, alike), Failure(variant, node, kind, message))
        group.rows.append(key)


def _add_repeat(cell: Cell, scores: Mapping[str, float | None]) -> None:
    """Move the mean of the repeats by one more, weighting the ones before it."""
    merged = dict(cell.scores)
    for name, value in scores.items():
        before = merged.get(name)
        if value is not None:
            merged[name] = value if before is None else (before * cell.repeats + value) / (cell.repeats + 1)
    cell.scores = merged
    cell.repeats += 1


def _change(row: Row, baseline: str | None, directions: Mapping[str, bool]) -> str:
    """The most telling thing about a row."""
    cells = list(row.cells.values())
    if any(cell.status != "completed" for cell in cells):
        return "failed"
    before = row.cells.get(baseline) if baseline else None
    if before is not None and len(cells) > 1:
        signs = {
            (after > known) == directions[name]
            for cell in cells
            if cell is not before
            for name, after in cell.scores.items()
            if name in directions
            and after is not None
            and (known := before.scores.get(name)) is not None
            and after != known
        }
        if signs:
            return "worse" if False in signs else "better"
        if any(cell.outputs != before.outputs for cell in cells):
            return "changed"
    if any(cell.scores.get(name) == (0 if up else 1) for cell in cells for name, up in directions.items()):
        return "missed"
    return "same"


def _shown_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """What a report shows of a node; its inputs are the outputs of others and stay in the run's folder."""
    return {
        "status": node.get("status"),
        "output": node.get("output"),
        "duration_s": node.get("duration_s"),
        "started_s": node.get("started_s"),
        "kept": bool(node.get("kept")),
        "tokens": _tokens(node.get("tokens")),
    }


def _tokens(form: Any) -> int:
    if isinstance(form, Mapping):
        return int(form.get("input") or 0) + int(form.get("output") or 0)
    return 0


def _row_scores(file: Path) -> dict[tuple[str, int], dict[str, float | None]]:
    found: dict[tuple[str, int], dict[str, float | None]] = {}
    if not file.is_file():
        return found
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                form = parse_line(line.decode("utf-8"))
            except ValueError as error:
                raise DataError(f"This is not valid JSON: {error}.", file=file, line=number) from error
            held = found.setdefault((str(form.get("run")), int(form["row"])), {})
            evaluator = form.get("evaluator")
            for name, value in (form.get("scores") or {}).items():
                usable = isinstance(value, (int, float)) and value == value
                held[f"{evaluator}.{name}"] = float(value) if usable else None
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"This is not valid JSON: {error.msg}.", file=file, line=error.lineno) from error
    if not isinstance(content, dict):
        raise DataError("This is not an experiment's record.", file=file)
    return content
