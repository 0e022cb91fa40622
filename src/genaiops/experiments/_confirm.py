"""The winner of many on rows that did not choose it: the best of nine equal variants looks better than it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genaiops.evaluators import Evaluation, RawEvaluation, settle
from genaiops.experiments._assemble import Finished, gate_metrics, merge_repeats, metric_rules, series_of
from genaiops.experiments._compare import Series, compare_series, rank
from genaiops.experiments._evaluate import Evaluations
from genaiops.experiments._metrics import settle_names
from genaiops.experiments._paths import find_data
from genaiops.experiments._spec import DatasetSpec, ExperimentSpec, Place
from genaiops.experiments._tasks import EvaluationTask, RunTask
from genaiops.runs import RunRecord

RunTaskNow = Callable[[RunTask], Awaitable[RunRecord | None]]


async def confirm_winner(
    spec: ExperimentSpec,
    finished: Sequence[Finished],
    raws: Sequence[RawEvaluation],
    run_task: RunTaskNow,
    evaluations: Evaluations,
) -> list[dict[str, Any]]:
    """Compare the winner with the baseline once more, on held-out rows.

    Args:
        spec: The use case, with its block `confirm`.
        finished: The runs.
        raws: Their evaluations.
        run_task: Runs one more cell.
        evaluations: Scores it.

    Returns:
        Comparisons in the published form; empty when the baseline won, or nothing was measured.
    """
    confirm = spec.confirm or {}
    held_out = str(confirm.get("dataset") or "confirmation")
    known = spec.dataset(held_out)
    chosen_on = [item for item in finished if known is None or item.task.dataset.name != held_out]
    series = _series(spec, chosen_on, raws)
    best = _winner(spec, series)
    baseline = next((item for item in chosen_on if item.task.cell.is_baseline and item.task.repeat == 0), None)
    if best is None or baseline is None or best == baseline.task.cell.label:
        return []
    if known is not None and "source" not in confirm:
        measured = [item for item in finished if item.task.dataset.name == held_out]
        return _compared(spec, _series(spec, measured, raws), best)
    winner = next(i for i in chosen_on if i.task.cell.label == best and i.task.dataset == baseline.task.dataset)
    dataset = _dataset(spec, confirm, held_out, baseline.task.dataset)
    more: list[Finished] = []
    scored: list[RawEvaluation] = []
    for item in (baseline, winner):
        task = _task(item.task, dataset)
        record = await run_task(task)
        if record is None:
            return []
        more.append(Finished(task, record))
        waiting = [evaluations.evaluate(found, record) for found in _evaluation_tasks(spec, task, item.task.dataset)]
        scored += [raw for found in await asyncio.gather(*waiting) for raw in found]
    return _compared(spec, _series(spec, more, scored), best)


def _series(spec: ExperimentSpec, finished: Sequence[Finished], raws: Sequence[RawEvaluation]) -> list[Series]:
    runs = {item.record.id: item for item in finished}
    evaluations: Iterable[Evaluation] = settle_names(settle([raw for raw in raws if raw.run in runs]))
    rules = metric_rules(spec)
    return merge_repeats(s for e in evaluations for s in series_of(e, runs[str(e.run)], rules, {}))


def _winner(spec: ExperimentSpec, series: Sequence[Series]) -> str | None:
    """The best variant by the first metric of the gate, else by the first metric at all."""
    ranks = rank(series)
    wanted = gate_metrics(spec)
    for name in wanted:
        found = [r for r in ranks if name in (r["metric"], f"{r['evaluator']}.{r['metric']}")]
        if found:
            return str(found[0]["best"])
    return str(ranks[0]["best"]) if ranks else None


def _compared(spec: ExperimentSpec, series: Sequence[Series], best: str) -> list[dict[str, Any]]:
    pair = [item for item in series if item.is_baseline or item.variant == best]
    return compare_series(pair, metric_rules(spec), judged=gate_metrics(spec))


def _dataset(spec: ExperimentSpec, confirm: Mapping[str, Any], name: str, model: DatasetSpec) -> DatasetSpec:
    """The held-out rows, mapped as the block says, else as the dataset that the winner was chosen on."""
    source = str(confirm.get("source"))
    place = spec.places.get("confirm", Place(file=spec.file))
    return replace(
        model,
        name=name,
        source=source,
        path=find_data(spec.folder, source),
        mappings=dict(confirm.get("mappings") or model.mappings),
        limit=confirm.get("limit"),
        place=place,
    )


def _task(task: RunTask, dataset: DatasetSpec) -> RunTask:
    name = f"{task.id}_confirm"
    labels = {**task.spec.labels, "dataset": dataset.name}
    spec = replace(
        task.spec, name=name, data=dataset.path, mapping=dict(dataset.mappings), limit=dataset.limit, labels=labels
    )
    return replace(task, id=name, dataset=dataset, spec=spec)


def _evaluation_tasks(spec: ExperimentSpec, task: RunTask, model: DatasetSpec) -> list[EvaluationTask]:
    """Every evaluator that looked at the dataset which the winner was chosen on, now on the held-out rows."""
    found = []
    for evaluator in spec.evaluators:
        dataset = next((d for d in evaluator.datasets if d.runs_of == model.name), None)
        if dataset is not None:
            held_out = replace(
                dataset, name=task.dataset.name, path=task.dataset.path, reference=None, key=None, limit=None
            )
            name = f"{evaluator.name}_of_{task.id}".lower()
            found.append(EvaluationTask(id=name, evaluator=evaluator, dataset=held_out, run=task))
    return found
