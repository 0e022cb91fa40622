"""Scores made again without generating again: `genaiops evaluate`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import DataError, InputError, suggest
from genaiops.experiments._execute import run_prepared
from genaiops.experiments._plan import Cell
from genaiops.experiments._prepare import Prepared, prepare_experiment
from genaiops.experiments._request import (
    ExperimentRequest,
    OnExperimentEvent,
    ignore_experiment_event,
)
from genaiops.experiments._result import ExperimentResult
from genaiops.experiments._spec import DatasetSpec, ExperimentSpec
from genaiops.experiments._tasks import RunTask, experiment_id
from genaiops.runs import RunRecord
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore


def evaluate_runs(
    records: Mapping[str, RunRecord] | list[RunRecord],
    request: ExperimentRequest,
    settings: Settings,
    *,
    earlier: ExperimentResult | None = None,
    evaluators: tuple[str, ...] = (),
    store: ConnectionStore | None = None,
    on_event: OnExperimentEvent = ignore_experiment_event,
) -> ExperimentResult:
    """Score runs that exist with the evaluators of a use case as they are now; the application is not run.

    Args:
        records: The runs.
        request: The use case whose evaluators score.
        settings: The surroundings.
        earlier: The experiment that the runs belong to, which knows their variants.
        evaluators: Only these; by default all.
        store: Connections.
        on_event: Told what happens.

    Raises:
        InputError: The use case has no such evaluator, or no dataset of it is the one that a run had.
    """
    runs = list(records.values()) if isinstance(records, Mapping) else list(records)
    stamp = f"{datetime.now():%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"
    prepared = prepare_experiment(request, settings, stamp=stamp)
    spec = _with_evaluators(prepared.spec, evaluators)
    tasks, taken = [], {}
    for record in runs:
        task = _task(record, spec, prepared, earlier)
        tasks.append(task)
        taken[task.id] = record
    again = replace(prepared, id=f"{experiment_id(spec, stamp)}_again", spec=spec, tasks=tuple(tasks))
    return run_prepared(again, settings, store=store, on_event=on_event, taken=taken)


def _with_evaluators(spec: ExperimentSpec, names: tuple[str, ...]) -> ExperimentSpec:
    known = [evaluator.name for evaluator in spec.evaluators]
    for name in names:
        if name not in known:
            raise InputError(f"There is no evaluator {name!r}.", file=spec.file, hint=suggest(name, known))
    if not spec.evaluators:
        raise InputError("The use case has no evaluators.", file=spec.file)
    chosen = tuple(e for e in spec.evaluators if not names or e.name in names)
    return replace(spec, evaluators=chosen)


def _task(record: RunRecord, spec: ExperimentSpec, prepared: Prepared, earlier: ExperimentResult | None) -> RunTask:
    entry = next((run for run in earlier.runs if run["id"] == record.id), {}) if earlier is not None else {}
    dataset = _dataset(record, spec, entry)
    variant = dict(entry.get("variant") or record.variant)
    cell = next((cell for cell in prepared.plan.cells if not entry and dict(cell.variant) == variant), None)
    cell = cell or Cell(
        variant=variant,
        parameters=dict(entry.get("parameters") or {}),
        label=str(entry.get("variant_label") or record.labels.get("variant") or record.id),
        is_baseline=bool(entry.get("is_baseline", False)),
    )
    base = prepared.tasks[0].spec
    repeat = int(entry.get("repeat", record.labels.get("repeat", 0)) or 0)
    labels = {**base.labels, "variant": cell.label, "dataset": dataset.name, "repeat": repeat}
    return RunTask(
        # Evaluations are named after it, and there are some of this run already.
        id=f"{record.id}_{prepared.stamp[-6:]}",
        cell=cell,
        dataset=dataset,
        repeat=repeat,
        spec=replace(base, labels=labels),
    )


def _dataset(record: RunRecord, spec: ExperimentSpec, entry: Mapping[str, Any]) -> DatasetSpec:
    """The dataset of the use case that a run had: by the name on record, else by its file."""
    name = entry.get("dataset") or record.labels.get("dataset")
    found = spec.dataset(str(name)) if name else None
    path = record.dataset.get("path")
    if found is None and path:
        same = [d for d in spec.datasets if d.path is not None and d.path.resolve() == Path(str(path)).resolve()]
        found = same[0] if len(same) == 1 else None
    if found is None:
        known = [dataset.name for dataset in spec.datasets]
        raise DataError(
            f"The run {record.id!r} had the dataset {name or path!r}, which this use case does not have.",
            file=spec.file,
            hint=suggest(str(name or ""), known),
        )
    return found
