"""An experiment's files, as a gate needs them: runs, metrics, and scores row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from genaiops.errors import DataError
from genaiops.records import record
from genaiops.stats import average_repeats


@record(frozen=True)
class Evidence:
    """What an experiment found.

    Attributes:
        result: The content of `experiment.json`.
        row_scores: The lines of its `row_scores.jsonl`; may be empty when only totals are known.
    """

    result: Mapping[str, Any]
    row_scores: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        return list(self.result.get("runs", ()))

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        return list(self.result.get("scores", ()))

    def variant_of(self, run_id: str) -> str:
        """The label of a run's variant; the run's id when it has none."""
        return next((label(run) for run in self.runs if run.get("id") == run_id), run_id)

    def metric_names(self) -> list[str]:
        """All metrics measured anywhere, also as `evaluator.metric`."""
        names = {(str(score.get("evaluator")), name) for score in self.scores for name in score.get("metrics", {})}
        return sorted({name for _, name in names} | {f"{evaluator}.{name}" for evaluator, name in names})

    def rows(self, evaluator: str, metric: str, runs: Iterable[str]) -> dict[Any, float]:
        """One score a row of these runs, repeats averaged; rows that were not scored are left out."""
        wanted = set(runs)
        return average_repeats(
            (line["row"], usable(value))
            for line, value in self._scored.get((evaluator, metric), ())
            if line.get("run") in wanted
        )

    def clusters(self, evaluator: str, runs: Iterable[str]) -> dict[Any, Any]:
        """The cluster of each row, where the dataset has a cluster column."""
        wanted = set(runs)
        return {
            line["row"]: line["cluster"]
            for line in self.row_scores
            if line.get("cluster") is not None and line.get("evaluator") == evaluator and line.get("run") in wanted
        }

    @cached_property
    def _scored(self) -> dict[tuple[str, str], list[tuple[Mapping[str, Any], Any]]]:
        found: dict[tuple[str, str], list[tuple[Mapping[str, Any], Any]]] = {}
        for line in self.row_scores:
            for name, value in (line.get("scores") or {}).items():
                found.setdefault((str(line.get("evaluator")), name), []).append((line, value))
        return found


def load_evidence(folder: Path) -> Evidence:
    """Read an experiment's folder.

    Args:
        folder: Holds `experiment.json`, or is that file.

    Raises:
        DataError: It is missing or cannot be read.
    """
    result = load_totals(folder).result
    name = Path(str(result.get("row_scores") or "row_scores.jsonl")).name  # never out of the folder
    rows = _experiment_file(folder).with_name(name)
    return Evidence(result, tuple(_lines(rows)) if rows.is_file() else ())


def load_totals(folder: Path) -> Evidence:
    """Read an experiment's record without its scores row by row, which are most of what there is to read.

    Args:
        folder: Holds `experiment.json`, or is that file.

    Raises:
        DataError: It is missing or cannot be read.
    """
    file = _experiment_file(folder)
    try:
        return Evidence(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError("There is no experiment here.", file=file, hint="List them with: genaiops runs list") from error
    except json.JSONDecodeError as error:
        raise DataError(f"This is not valid JSON: {error.msg}.", file=file, line=error.lineno) from error


def _experiment_file(folder: Path) -> Path:
    return folder if folder.suffix == ".json" else folder / "experiment.json"


def label(run: Mapping[str, Any]) -> str:
    """What people call a run's variant."""
    return str(run.get("variant_label") or run.get("id"))


def usable(value: Any) -> float | None:
    """A finite number, or None: a crash, a NaN and a missing score measure nothing."""
    if isinstance(value, (int, float)) and isfinite(value):
        return float(value)
    return None


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(f"This is not valid JSON: {error.msg}.", file=file, line=number) from error
