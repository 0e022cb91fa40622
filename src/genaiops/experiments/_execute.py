"""An experiment under way: run, evaluate, compare, write."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from genaiops.evaluators import Evaluation, RawEvaluation, settle
from genaiops.experiments._assemble import Finished, assemble, row_score_lines, write_row_scores
from genaiops.experiments._budget import Budget
from genaiops.experiments._confirm import confirm_winner
from genaiops.experiments._evaluate import Evaluations, EvaluatorDigests, evaluator_digests
from genaiops.experiments._logged import logged_run
from genaiops.experiments._metrics import metric_names, settle_names
from genaiops.experiments._own_metrics import own_metrics
from genaiops.experiments._plan import Cell, Plan, cell_maker
from genaiops.experiments._prepare import (
    Prepared,
    doubtful_connections,
    needed_connections,
    open_connections,
    prepare_again,
    prepare_experiment,
)
from genaiops.experiments._progress import Progress
from genaiops.experiments._record import evaluation_form, first_form, now, status_of, totals
from genaiops.experiments._request import (
    ExperimentEvent,
    ExperimentRequest,
    OnExperimentEvent,
    ignore_experiment_event,
)
from genaiops.experiments._result import (
    EXPERIMENT_FILE,
    FOLDER,
    LOCK_FILE,
    ROW_SCORES_FILE,
    ExperimentResult,
    load_result,
    write_experiment,
)
from genaiops.experiments._search import partial_task, search, search_plan
from genaiops.experiments._tasks import (
    EvaluationTask,
    RunTask,
    evaluation_spec,
    evaluation_tasks,
    run_tasks,
)
from genaiops.plain_text import plural
from genaiops.runs import FolderLock, RunRecord, RunSpec, RunTogether, find_run, run_together
from genaiops.settings import Settings, load_settings, state_folder

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

_SIDE_BY_SIDE = 4


def run_experiment(
    request: ExperimentRequest | Prepared | str | Path,
    settings: Settings | None = None,
    *,
    store: ConnectionStore | None = None,
    on_event: OnExperimentEvent = ignore_experiment_event,
    **options: Any,
) -> ExperimentResult:
    """Run every cell over every dataset, score the runs, compare the variants.

    Args:
        request: A use case's folder, a request, or what `prepare_experiment` made of one.
        settings: The surroundings; by default those of the current process.
        store: Connections; by default those of the environment, the use case and connection files.
        on_event: Told what happens.
        options: Fields of `ExperimentRequest`, when only a folder is given.

    Raises:
        InputError: Something is wrong with the use case; nothing was started.
        HostError: A flow's process could not be started.

    Example:
        >>> result = run_experiment("web_classification", env="dev")  # doctest: +SKIP
        >>> result.comparisons[0]["verdict"]  # doctest: +SKIP
        'not worse'
    """
    if isinstance(request, (str, Path)):
        request = ExperimentRequest(use_case=Path(request), **options)
    use_case = request.spec.folder if isinstance(request, Prepared) else request.use_case
    folder = use_case if use_case.is_dir() else use_case.parent
    settings = settings or load_settings(cwd=folder if folder.is_dir() else None, extra_dotenv_folders=[folder])
    prepared = request if isinstance(request, Prepared) else prepare_experiment(request, settings)
    return run_prepared(prepared, settings, store=store, on_event=on_event)


def run_prepared(
    prepared: Prepared,
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    on_event: OnExperimentEvent = ignore_experiment_event,
    taken: Mapping[str, RunRecord] | None = None,
) -> ExperimentResult:
    """Run what was prepared.

    Args:
        prepared: The plan.
        settings: The surroundings.
        store: Connections; by default those of the environment, the use case and connection files.
        on_event: Told what happens.
        taken: Runs that are there already, by the id of their task; only their evaluations are made.

    Raises:
        ConnectionSettingsError: Connections lack values: all of them in one error; nothing was started.
    """
    if prepared.spec.logged and not taken:
        taken = {task.id: logged_run(task, prepared.spec, settings) for task in prepared.tasks}
    store = store or open_connections(prepared.spec, settings)
    if prepared.request.model_calls != "replay":
        store.require(needed_connections(prepared, with_application=not taken))
        for message in doubtful_connections(prepared, store) if not taken else ():
            on_event(ExperimentEvent(kind="warning", message=message))
    return _Experiment(prepared, settings, store, on_event, taken or {}).run()


def resume_experiment(
    result: ExperimentResult,
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    on_event: OnExperimentEvent = ignore_experiment_event,
    changes: Mapping[str, Any] | None = None,
) -> ExperimentResult:
    """Do what an earlier experiment left undone: runs, rows, evaluations.

    Args:
        result: The earlier experiment.
        settings: The surroundings.
        store: Connections.
        on_event: Told what happens.
        changes: Fields of the request to change, such as the budget.

    Raises:
        InputError: The use case has changed so that it cannot be run any more.
    """
    return run_experiment(prepare_again(result, settings, changes=changes), settings, store=store, on_event=on_event)


class _Experiment:
    """One experiment under way."""

    def __init__(
        self,
        prepared: Prepared,
        settings: Settings,
        store: ConnectionStore,
        on_event: OnExperimentEvent,
        taken: Mapping[str, RunRecord],
    ) -> None:
        self._prepared = prepared
        self._spec = prepared.spec
        self._request = prepared.request
        self._settings = settings
        self._store = store
        self._tell = on_event
        self._taken = taken
        self._tasks = list(prepared.tasks)
        self._searched: dict[str, Any] | None = None
        self._folder = state_folder(settings, FOLDER) / prepared.id
        self._finished: dict[str, Finished] = {}
        self._raws: list[RawEvaluation] = []
        self._digests: dict[str, EvaluatorDigests] = {}
        self._began = monotonic() - _spent_before(self._folder, prepared)
        self._budget = Budget(prepared.request.max_calls, prepared.request.budget_usd)
        self._progress = Progress(on_event, self._total_rows())
        self._interrupted = False
        self._confirmed: list[dict[str, Any]] = []
        self._later = 0  # runs that a search has not chosen yet
        self._looked_at: list[RunRecord] = []  # first rows of a search's trials: they stand in no result, and cost

    def run(self) -> ExperimentResult:
        """Everything, and what came of it on disk.

        Raises:
            SettingsError: Another process is at it.
        """
        with FolderLock(self._folder / LOCK_FILE, what=f"The experiment {self._prepared.id!r}"):
            return self._run()

    def _run(self) -> ExperimentResult:
        self._base = first_form(self._prepared, self._settings)
        write_experiment(self._folder, {**self._base, "status": "running"})
        self._tell(ExperimentEvent(kind="planned", total=self._total_rows(), name=self._prepared.id))
        try:
            run_together(self._work, self._settings, store=self._store, on_event=self._progress.see)
        except BaseException:
            if self._has_begun():
                write_experiment(self._folder, {**self._base, "status": "interrupted", "duration_s": self._spent()})
            else:
                # There is nothing to resume: a mistake was found before the first row.
                shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._tell(ExperimentEvent(kind="comparing", name=self._prepared.id))
        result = self._conclude()
        self._tell(ExperimentEvent(kind="finished", name=self._prepared.id, message=result.status))
        return result

    def _has_begun(self) -> bool:
        return any((self._settings.state / "runs" / task.id).exists() for task in self._tasks)

    # Running

    async def _work(self, together: RunTogether) -> None:
        evaluations = Evaluations(self._spec, self._request, self._settings, together, self._folder)
        warming = asyncio.create_task(self._warm(together, evaluations))
        gate = asyncio.Semaphore(1 if self._budget.is_set else _SIDE_BY_SIDE)
        try:
            if self._prepared.plan.kind == "search":
                self._searched = await self._search(together, evaluations, gate)
            else:
                await self._all(self._tasks, together, evaluations, gate)
        finally:
            # What keeps an evaluator from starting is told where its evaluation fails.
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
        if not together.interrupted and self._spec.confirm and not self._budget.is_spent:
            finished = [self._finished[task.id] for task in self._tasks if task.id in self._finished]
            self._confirmed = await confirm_winner(
                self._spec, finished, self._raws, lambda task: self.run_task(task, together), evaluations
            )
        self._interrupted = together.interrupted

    async def _all(
        self, tasks: Sequence[RunTask], together: RunTogether, evaluations: Evaluations, gate: asyncio.Semaphore
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(self._one(task, together, evaluations, gate))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _search(self, together: RunTogether, evaluations: Evaluations, gate: asyncio.Semaphore) -> dict[str, Any]:
        """Cells chosen one after the other, each by what came of the ones before."""
        request, spec = self._request, self._spec
        rows = [count for path, count in self._prepared.counts.items() if any(d.path == path for d in spec.datasets)]
        trials = self._prepared.plan.of
        limited = min([*rows, *([request.limit] if request.limit else [])], default=0)
        # Where results are kept a second look costs only its new rows; elsewhere it would run all rows again.
        shares = (0.25, 0.5) if request.keep and self._prepared.flow.kind == "graph" else (0.25,)
        plan = search_plan(
            spec,
            trials,
            self._prepared.plan.seed or 0,
            limited,
            objectives=request.plan.objectives,
            shares=shares,
        )
        maker = cell_maker(spec, self._prepared.flow, request.plan)
        first, self._tasks = self._tasks, []
        tasks_of = {first[0].cell.label: first}
        taken = {task.id for task in first}

        async def run_cell(cell: Cell, limit: int | None) -> tuple[list[Finished], list[RawEvaluation]] | None:
            if together.interrupted or self._budget.is_spent:
                return None
            if cell.label not in tasks_of:
                one = Plan(kind="list", cells=(cell,), of=1)
                flow, stamp = self._prepared.flow, self._prepared.stamp
                # Two labels may make one name: without the names that are taken a trial would find another's run.
                tasks_of[cell.label] = run_tasks(spec, flow, one, request, self._settings, stamp=stamp, taken=taken)
            tasks = tasks_of[cell.label]
            self._later = max(0, trials - len(tasks_of)) * len(first)
            if limit is not None:
                return await self._part([partial_task(task, limit) for task in tasks], together, evaluations)
            self._tasks += tasks
            await self._all(tasks, together, evaluations, gate)
            done = [self._finished[task.id] for task in tasks if task.id in self._finished]
            ids = {item.record.id for item in done}
            return done, [raw for raw in self._raws if raw.run in ids]

        return await search(plan, spec, maker, run_cell, folder=self._folder)

    async def _part(
        self, tasks: Sequence[RunTask], together: RunTogether, evaluations: Evaluations
    ) -> tuple[list[Finished], list[RawEvaluation]] | None:
        """The first rows of a cell; they decide whether the rest is worth it and stand in no result."""
        done: list[Finished] = []
        raws: list[RawEvaluation] = []
        for task in tasks:
            record = await self.run_task(task, together)
            if record is None or together.interrupted:
                return None
            done.append(Finished(task, record))
            raws += await self.evaluate(task, record, evaluations)
        self._looked_at += [*(item.record for item in done), *(raw.record for raw in raws if raw.record is not None)]
        return done, raws

    async def _warm(self, together: RunTogether, evaluations: Evaluations) -> None:
        """Start the hosts of evaluators while the application runs."""
        if not self._request.evaluate:
            return
        flows: dict[Path, RunSpec] = {}
        for evaluation in evaluation_tasks(self._spec, self._tasks[0]):
            flow = evaluations.flow_of(evaluation)
            if flow is not None:
                flows[flow] = evaluation_spec(self._spec, evaluation, self._request, flow=flow, run=self._folder)
        # Not before: everybody waits for the first host of the application.
        await self._progress.started.wait()
        await asyncio.gather(*(together.warm(spec) for spec in flows.values()), return_exceptions=True)
        # New answers of the application are new questions to its judges.
        await self._progress.called.wait()
        warming = (together.warm(spec, will_call=True) for spec in flows.values())
        await asyncio.gather(*warming, return_exceptions=True)

    async def _one(
        self, task: RunTask, together: RunTogether, evaluations: Evaluations, gate: asyncio.Semaphore
    ) -> None:
        """One cell on one dataset, and its evaluations."""
        async with gate:
            record = await self.run_task(task, together)
        if record is None:
            return
        finished = self._finished[task.id] = Finished(task, record)
        self._tell(ExperimentEvent(kind="run", name=task.id, message=_run_in_words(task, record)))
        if together.interrupted or not self._request.evaluate:
            return
        # Now, while other processes are at work, and in a thread: rows of other runs must not wait for it.
        latency = asyncio.to_thread(finished.latency)
        raws, _ = await asyncio.gather(self.evaluate(task, record, evaluations), latency)
        self._raws += raws

    async def run_task(self, task: RunTask, together: RunTogether) -> RunRecord | None:
        """Run a task, or take what an earlier attempt has finished of it."""
        earlier = self._earlier(task)
        if earlier is not None and (task.id in self._taken or _is_done(earlier)):
            self._progress.count(earlier)
            return earlier
        if self._budget.is_spent:
            return None
        spec = self._budget.limited(task.spec, left=len(self._tasks) - len(self._finished) + self._later)
        record = await together.run(spec, earlier)
        if record is not None:
            self._budget.spend(record)
        return record

    async def evaluate(self, task: RunTask, record: RunRecord, evaluations: Evaluations) -> list[RawEvaluation]:
        """All evaluations of a run, side by side, and what its own aggregation logged."""
        own = own_metrics(record, task.dataset.name, evaluators=[e.name for e in self._spec.evaluators])
        wanted = evaluation_tasks(self._spec, task)
        for evaluation in wanted:
            self._digests.setdefault(evaluation.evaluator.name, evaluator_digests(evaluation))
        found = await asyncio.gather(*(evaluations.evaluate(evaluation, record) for evaluation in wanted))
        for evaluation, raws in zip(wanted, found, strict=True):
            for raw in raws:
                if raw.record is not None:
                    self._budget.spend(raw.record)
                self._tell_evaluation(evaluation, raw)
        return [*([own] if own is not None else []), *(raw for raws in found for raw in raws)]

    def _tell_evaluation(self, task: EvaluationTask, raw: RawEvaluation) -> None:
        text = f"{task.evaluator.name} of {task.run.cell.label} on {task.run.dataset.name}: {raw.status}"
        self._tell(ExperimentEvent(kind="evaluation", name=raw.id, message=text))
        if raw.status == "failed":
            text = f"The evaluator {task.evaluator.name!r} failed on {task.run.cell.label}: {raw.error}"
            self._tell(ExperimentEvent(kind="warning", name=raw.id, message=text))

    def _earlier(self, task: RunTask) -> RunRecord | None:
        if task.id in self._taken:
            return self._taken[task.id]
        folder = self._settings.state / "runs" / task.id
        return find_run(folder, self._settings) if (folder / "run.json").is_file() else None

    def _total_rows(self) -> int:
        return self._prepared.estimate.rows

    def _spent(self) -> float:
        """Seconds, those of earlier attempts included."""
        return round(monotonic() - self._began, 3)

    # Concluding

    def _warn_of_silence(self, evaluations: Sequence[Evaluation]) -> None:
        """An evaluator that ran and measured nothing must not look like one that found nothing wrong."""
        for evaluation in evaluations:
            if evaluation.status == "completed" and evaluation.rows and not metric_names(evaluation):
                who = f"The evaluator {evaluation.evaluator!r}"
                text = f"{who} gave no number on {evaluation.dataset}: nothing was measured."
                self._tell(ExperimentEvent(kind="warning", name=evaluation.id, message=text))

    def _conclude(self) -> ExperimentResult:
        finished = [self._finished[task.id] for task in self._tasks if task.id in self._finished]
        order_of = {item.record.id: index for index, item in enumerate(finished)}
        raws = sorted(self._raws, key=lambda raw: (order_of.get(str(raw.run), 0), raw.evaluator))
        evaluations = settle_names(settle(raws))
        self._warn_of_silence(evaluations)
        found = assemble(self._spec, finished, evaluations, [node.name for node in self._prepared.flow.row_nodes])
        facts = found.pop("facts")
        labels = {item.record.id: item.task.cell.label for item in finished}
        is_cut = self._interrupted or (len(finished) < len(self._tasks) and not self._budget.is_spent)
        write_row_scores(self._folder / ROW_SCORES_FILE, row_score_lines(evaluations, facts, labels))
        data = {
            **self._base,
            "status": "interrupted" if is_cut else status_of(finished, evaluations, self._request),
            "runs": [item.to_json() for item in finished],
            "evaluations": [evaluation_form(e, self._digests.get(e.evaluator)) for e in evaluations],
            **found,
            "confirmation": self._confirmed,
            "search": self._searched,
            "row_scores": ROW_SCORES_FILE,
            "partial": self._budget.reason,
            **totals([*(item.record for item in finished), *self._looked_at], evaluations, self._request),
            "duration_s": self._spent(),
            "finished": now(),
        }
        return write_experiment(self._folder, data)


def _spent_before(folder: Path, prepared: Prepared) -> float:
    """Seconds that earlier attempts took, as far as they came to an end."""
    if not prepared.created or not (folder / EXPERIMENT_FILE).is_file():
        return 0.0
    return float(load_result(folder).data.get("duration_s") or 0.0)


def _is_done(record: RunRecord) -> bool:
    return record.status in ("completed", "failed") and not record.stopped


def _run_in_words(task: RunTask, record: RunRecord) -> str:
    """`defaults on pages: completed, 24 of 25 rows`."""
    again = f", repetition {task.repeat + 1}" if task.repeat else ""
    rows = f"{record.rows.completed} of {plural(record.rows.total, 'row')}"
    return f"{task.cell.label} on {task.dataset.name}{again}: {record.status}, {rows}"
