"""The runs of an experiment and the evaluations of each: names, and what exactly is asked of the room `runs`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.experiments._check import with_run_lookups
from genaiops.experiments._plan import Cell, Plan
from genaiops.experiments._request import ExperimentRequest
from genaiops.experiments._spec import DatasetSpec, EvaluatorSpec, ExperimentSpec
from genaiops.experiments._targets import flow_source
from genaiops.flows import Flow
from genaiops.records import record
from genaiops.runs import RunSpec
from genaiops.settings import Settings

_LONGEST_NAME = 60


@record(frozen=True, kw_only=True)
class RunTask:
    """One cell on one dataset, once.

    Args:
        id: The id of its run; the same for the same experiment, so that it can be found again.
        spec: What to run.
    """

    id: str
    cell: Cell
    dataset: DatasetSpec
    repeat: int
    spec: RunSpec


@record(frozen=True, kw_only=True)
class EvaluationTask:
    """One evaluator with one dataset on one run."""

    id: str
    evaluator: EvaluatorSpec
    dataset: DatasetSpec
    run: RunTask


def run_tasks(
    spec: ExperimentSpec,
    flow: Flow,
    plan: Plan,
    request: ExperimentRequest,
    settings: Settings,
    *,
    stamp: str,
    taken: set[str] | None = None,
) -> list[RunTask]:
    """Every run, cell by cell within a dataset, the baseline first.

    Args:
        spec: The use case.
        flow: The application.
        plan: Its cells.
        request: Limits and modes.
        settings: Whose state folder holds what we write for callables.
        stamp: Time and chance of the experiment, so that no two runs have one name.
        taken: Names of the experiment's other runs; those of these runs are added.
    """
    repeats = 1 if spec.logged else request.repeats or spec.repeats
    tasks: list[RunTask] = []
    taken = set() if taken is None else taken
    for repeat in range(repeats):
        for dataset in spec.datasets:
            for cell in plan.cells:
                name = _run_name(spec.name, cell, dataset.name, stamp, repeat if repeats > 1 else None, taken)
                run_spec = _run_spec(spec, flow, cell, dataset, request, settings)
                labels = _labels(spec, request, stamp) | {
                    "variant": cell.label,
                    "dataset": dataset.name,
                    "repeat": repeat,
                }
                named = replace(run_spec, name=name, repeat=repeat, labels=labels)
                tasks.append(RunTask(id=name, cell=cell, dataset=dataset, repeat=repeat, spec=named))
    return tasks


def evaluation_tasks(spec: ExperimentSpec, task: RunTask) -> list[EvaluationTask]:
    """The evaluations of a run: every evaluator that has a dataset which leads to the run's, by identity."""
    found = []
    for evaluator in spec.evaluators:
        for dataset in evaluator.datasets:
            if dataset.runs_of == task.dataset.name:
                name = _clean(f"{evaluator.name}_{dataset.name}_of_{task.id}")
                found.append(EvaluationTask(id=name, evaluator=evaluator, dataset=dataset, run=task))
    return found


def evaluation_spec(
    spec: ExperimentSpec,
    task: EvaluationTask,
    request: ExperimentRequest,
    *,
    flow: Path,
    run: Path,
    mapping: Mapping[str, Any] | None = None,
    data: Path | None = None,
) -> RunSpec:
    """What an evaluation flow is asked to do.

    Args:
        spec: The use case.
        task: The evaluation.
        request: Limits and modes.
        flow: The evaluator's flow.
        run: Folder of the run that is evaluated.
        mapping: Other mappings than those of the use case, for joined data.
        data: Joined rows instead of the dataset and the run.
    """
    joined = data is not None
    return RunSpec(
        flow=flow,
        data=data if joined else task.dataset.path,
        source_run=None if joined else run,
        mapping=mapping if mapping is not None else with_run_lookups(task.dataset.mappings),
        init=_init_of(spec, task.evaluator),
        environment_variables=spec.environment_variables,
        model_calls=request.model_calls or "live",
        recording=request.recording,
        keep=request.keep,
        repeat=task.run.repeat,
        limit=task.dataset.limit,
        concurrency=request.concurrency,
        row_timeout_s=request.row_timeout_s,
        strict_mapping=False,
        max_failed=1.0,
        name=task.id,
        environment=request.environment,
        imports=request.imports,
        labels={
            "experiment": task.run.spec.labels.get("experiment"),
            "evaluator": task.evaluator.name,
            "of": task.run.id,
        },
    )


def _run_spec(
    spec: ExperimentSpec,
    flow: Flow,
    cell: Cell,
    dataset: DatasetSpec,
    request: ExperimentRequest,
    settings: Settings,
) -> RunSpec:
    init = cell.init(spec.init)
    limits = [limit for limit in (dataset.limit, request.limit) if limit is not None]
    return RunSpec(
        flow=flow_source(spec, spec.flow, settings),
        variant=dict(cell.variant) or None,
        overrides=cell.overrides,
        environment_variables=spec.environment_variables,
        init=init if init and flow.kind in ("class", "prompty") else None,
        data=dataset.path,
        mapping=dict(dataset.mappings),
        limit=min(limits) if limits else None,
        concurrency=request.concurrency,
        processes=request.processes,
        row_timeout_s=request.row_timeout_s,
        model_calls=request.model_calls or "live",
        recording=request.recording,
        keep=request.keep,
        strict_mapping=False,
        # Failed rows are judged over the whole experiment; a run with some of them is still evaluated.
        max_failed=1.0,
        environment=request.environment,
        imports=request.imports,
    )


def _init_of(spec: ExperimentSpec, evaluator: EvaluatorSpec) -> dict[str, Any] | None:
    if evaluator.kind != "flow":
        return None
    return dict(spec.evaluator_init.get(evaluator.name) or {}) or None


def _labels(spec: ExperimentSpec, request: ExperimentRequest, stamp: str) -> dict[str, Any]:
    labels: dict[str, Any] = {"experiment": experiment_id(spec, stamp), "use_case": spec.name}
    if spec.env:
        labels["env"] = spec.env
    if request.build_id:
        labels["build_id"] = request.build_id
    return labels


def experiment_id(spec: ExperimentSpec, stamp: str) -> str:
    """`NAME_ENV_YYYYMMDD_HHMMSS_RANDOM`."""
    return _clean("_".join([spec.name, *([spec.env] if spec.env else []), stamp]))


def _run_name(experiment: str, cell: Cell, dataset: str, stamp: str, repeat: int | None, taken: set[str]) -> str:
    """`EXPERIMENT_VARIANT_TIME_DATASET`, cut to a length that every file system takes."""
    tail = f"_r{repeat}" if repeat is not None else ""
    base = f"{experiment[:_LONGEST_NAME]}_{cell.label[:_LONGEST_NAME]}_{stamp}_{dataset[:_LONGEST_NAME]}{tail}"
    name = _clean(base)
    number = 2
    while name in taken:
        name = _clean(f"{base}_{number}")
        number += 1
    taken.add(name)
    return name


def _clean(text: str) -> str:
    """As the room `runs` makes names of folders."""
    return re.sub(r"_+", "_", re.sub(r"[^\w-]", "_", text.lower())).strip("_")


def total_rows(tasks: Sequence[RunTask], counts: Mapping[Path, int]) -> int:
    """Rows of all runs together."""
    return sum(rows_of(task, counts) for task in tasks)


def rows_of(task: RunTask, counts: Mapping[Path, int]) -> int:
    """Rows of one run."""
    rows = counts.get(task.dataset.path, 0) if task.dataset.path is not None else 0
    return min(rows, task.spec.limit) if task.spec.limit is not None else rows
