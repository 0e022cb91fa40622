"""Everything that a report tells, read from an experiment's files; nothing is computed that a statistic could be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from genaiops.records import record
from genaiops.reports._outcomes import Outcomes


@dataclass(slots=True)
class Cell:
    """What one variant gave for one row; of repeats the first, with the mean of their scores."""

    run: str
    status: str
    outputs: Mapping[str, Any]
    error: Mapping[str, Any] | None
    nodes: Mapping[str, Mapping[str, Any]]
    duration_s: float | None
    tokens: int
    scores: Mapping[str, float | None] = field(default_factory=dict)
    repeats: int = 1


@dataclass(slots=True)
class Row:
    """One row of a dataset with what each variant gave.

    Attributes:
        change: failed, worse, better, changed, missed or same: what it means against the default variant.
    """

    dataset: str
    number: int
    inputs: Mapping[str, Any]
    cells: dict[str, Cell]
    change: str = "same"


@dataclass(slots=True)
class NodeUse:
    """What a node of one variant took over all rows; results that were kept took no tokens."""

    rows: int = 0
    failed: int = 0
    kept: int = 0
    duration_s: float = 0.0
    tokens: int = 0
    asks_model: bool = False


@dataclass(slots=True)
class Failure:
    """Failures that read alike."""

    variant: str
    node: str | None
    kind: str
    message: str
    rows: list[tuple[str, int]] = field(default_factory=list)


@record(frozen=True)
class Story:
    """An experiment as a report sees it.

    Attributes:
        folder: The experiment's folder.
        result: The content of `experiment.json`.
        verdict: The content of `verdict.json`, else the short verdict of the experiment.
        scores: (run, row) -> score name -> score; a name is `evaluator.metric`.
        outcomes: All rows of the runs, as tables have them.
        rows: Rows with details, in the order of datasets and numbers.
        total_rows: Rows of all datasets, also those without details.
        failures: Grouped, the most frequent first.
        node_use: (variant, node) -> what it took.
        columns: Run -> names of its inputs and of its outputs, in order of appearance.
        models: Who answered, as the replies say.
        alert: The content of `alert.json`, else the short alert of the experiment; empty when nothing is watched.
    """

    folder: Path
    result: Mapping[str, Any]
    verdict: Mapping[str, Any]
    scores: Mapping[tuple[str, int], Mapping[str, float | None]] = field(repr=False)
    outcomes: Outcomes = field(repr=False)
    rows: Sequence[Row] = field(repr=False)
    total_rows: int
    failures: Sequence[Failure]
    node_use: Mapping[tuple[str, str], NodeUse]
    columns: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    models: Sequence[str] = ()
    alert: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.result.get("experiment") or self.result.get("id") or "experiment")

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        return list(self.result.get("runs", ()))

    @cached_property
    def variants(self) -> list[str]:
        """Labels, the default variant first."""
        ordered = sorted(self.runs, key=lambda run: not run.get("is_baseline"))
        return list(dict.fromkeys(label(run) for run in ordered))

    @property
    def baseline(self) -> str | None:
        """The default variant, when one is marked."""
        return next((label(run) for run in self.runs if run.get("is_baseline")), None)

    @cached_property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(str(run.get("dataset")) for run in self.runs))

    @cached_property
    def score_names(self) -> list[str]:
        """`evaluator.metric` of every score of rows, in the order of the experiment."""
        listed = [
            f"{score.get('evaluator')}.{name}"
            for score in self.result.get("scores", ())
            for name in score.get("metrics", {})
        ]
        found = {name for scores in self.scores.values() for name in scores}
        return [*dict.fromkeys(name for name in listed if name in found), *sorted(found - set(listed))]

    @cached_property
    def scored_rows(self) -> dict[str, list[int]]:
        """Run -> its rows that have scores."""
        found: dict[str, list[int]] = {}
        for run, row in self.scores:
            found.setdefault(run, []).append(row)
        return found

    @cached_property
    def directions(self) -> dict[str, bool]:
        """`evaluator.metric` -> whether higher is better."""
        return {
            f"{score.get('evaluator')}.{name}": bool(form.get("higher_is_better", True))
            for score in self.result.get("scores", ())
            for name, form in score.get("metrics", {}).items()
        }

    def run(self, run_id: str) -> Mapping[str, Any]:
        """A run's record; empty when there is none of this id."""
        return next((run for run in self.runs if run.get("id") == run_id), {})


def label(run: Mapping[str, Any]) -> str:
    """What people call a run's variant."""
    return str(run.get("variant_label") or run.get("id"))
