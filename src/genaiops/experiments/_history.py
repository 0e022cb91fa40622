"""Two experiments, or two runs, against each other from their files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from genaiops.errors import DataError
from genaiops.experiments._compare import Series, compare_series
from genaiops.experiments._result import ExperimentResult
from genaiops.records import record
from genaiops.runs import RunRecord

_DIFFERENCES = 200


@record(frozen=True, kw_only=True)
class Comparison:
    """What differs between a baseline and a candidate.

    Args:
        comparisons: Metrics on the same rows, in the published form.
        rows: Rows whose outputs differ, at most two hundred: both outputs and both sets of scores.
        differing: How many rows differ in all.
        compared: Rows that both have.
        warnings: Why the comparison may mean less than it seems.
    """

    comparisons: list[dict[str, Any]]
    rows: list[dict[str, Any]] = field(default_factory=list)
    differing: int = 0
    compared: int = 0
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "schema_version": 1,
            "comparisons": self.comparisons,
            "compared": self.compared,
            "differing": self.differing,
            "rows": self.rows,
            "warnings": list(self.warnings),
        }


@record(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: a run, and the experiment that scored it.

    Args:
        run: The run's entry in `experiment.json`; of a run that belongs to none, its `id` and `path`.
        experiment: The experiment; without one there are outputs to compare and no scores.
    """

    run: Mapping[str, Any]
    experiment: ExperimentResult | None = None

    @property
    def label(self) -> str:
        """What people call it."""
        return (
            str(self.run["id"]) if self.experiment is None else f"{self.run['variant_label']} of {self.experiment.id}"
        )

    def row_scores(self) -> Iterator[dict[str, Any]]:
        """The lines of `row_scores.jsonl` that are about it."""
        lines = self.experiment.row_scores() if self.experiment is not None else ()
        return (line for line in lines if line.get("run") == self.run["id"])

    def outcomes(self) -> Iterator[dict[str, Any]]:
        """The outcomes of its rows."""
        return RunRecord.load(Path(str(self.run["path"]))).outcomes()


def compare_sides(baseline: Side, candidate: Side) -> Comparison:
    """Compare two runs on the rows that both have.

    Raises:
        DataError: A run's files are gone.
    """
    warnings = []
    digests = baseline.run.get("dataset_digest"), candidate.run.get("dataset_digest")
    if all(digests) and digests[0] != digests[1]:
        warnings.append("The two runs had different data, so rows of one number may be different rows.")
    series = [*_series(baseline, is_baseline=True), *_series(candidate, is_baseline=False)]
    before = {int(outcome["row"]): outcome for outcome in baseline.outcomes()}
    scores = _scores(baseline), _scores(candidate)
    rows: list[dict[str, Any]] = []
    differing = compared = 0
    for outcome in candidate.outcomes():
        row = int(outcome["row"])
        other = before.get(row)
        if other is None:
            continue
        compared += 1
        if (other["status"], other.get("outputs")) != (outcome["status"], outcome.get("outputs")):
            differing += 1
            if len(rows) < _DIFFERENCES:
                rows.append(_difference(row, other, outcome, scores))
    return Comparison(
        comparisons=compare_series(series, {}),
        rows=rows,
        differing=differing,
        compared=compared,
        warnings=tuple(warnings),
    )


def default_side(experiment: ExperimentResult, *, dataset: str | None = None, variant: str | None = None) -> Side:
    """The run of an experiment that stands for it: its baseline on its first dataset, unless more is said.

    Raises:
        DataError: There is no such run.
    """
    for run in experiment.runs:
        fits = run["variant_label"] == variant if variant is not None else run.get("is_baseline")
        if fits and dataset in (None, run["dataset"]) and run.get("repeat", 0) == 0:
            return Side(run=run, experiment=experiment)
    labels = sorted({str(run["variant_label"]) for run in experiment.runs})
    raise DataError(
        f"The experiment {experiment.id!r} has no run of {variant or 'its baseline'}.",
        hint=f"It has: {', '.join(labels)}." if labels else None,
    )


def side_of_run(run_id: str, experiments: list[ExperimentResult]) -> Side | None:
    """A run by its id, with the latest experiment that scored it."""
    for experiment in experiments:
        for run in experiment.runs:
            if run["id"] == run_id:
                return Side(run=run, experiment=experiment)
    return None


def _scores(side: Side) -> dict[int, dict[str, float | None]]:
    found: dict[int, dict[str, float | None]] = {}
    for line in side.row_scores():
        held = found.setdefault(int(line["row"]), {})
        held.update({f"{line['evaluator']}.{name}": value for name, value in line["scores"].items()})
    return found


def _series(side: Side, *, is_baseline: bool) -> Iterator[Series]:
    values: dict[tuple[str, str, str], list[tuple[int, float | None]]] = {}
    for line in side.row_scores():
        for name, value in line["scores"].items():
            values.setdefault((line["evaluator"], line["dataset"], name), []).append((int(line["row"]), value))
    better = {
        (score["evaluator"], score["dataset"], name): bool(figures.get("higher_is_better", True))
        for score in (side.experiment.scores if side.experiment is not None else ())
        for name, figures in score["metrics"].items()
    }
    for (evaluator, dataset, metric), scores in values.items():
        yield Series(
            evaluator=evaluator,
            dataset=dataset,
            metric=metric,
            variant=side.label,
            is_baseline=is_baseline,
            higher_is_better=better.get((evaluator, dataset, metric), True),
            scores=scores,
        )


def _difference(
    row: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    scores: tuple[Mapping[int, Mapping[str, float | None]], Mapping[int, Mapping[str, float | None]]],
) -> dict[str, Any]:
    return {
        "row": row,
        "inputs": after.get("inputs"),
        "baseline": {
            "status": before["status"],
            "outputs": before.get("outputs"),
            "scores": dict(scores[0].get(row, {})),
        },
        "candidate": {
            "status": after["status"],
            "outputs": after.get("outputs"),
            "scores": dict(scores[1].get(row, {})),
        },
    }
