"""One evaluator on one run: an evaluation flow, plain Python, a library's evaluator or a metric of ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from genaiops.errors import GenaiopsError, SettingsError
from genaiops.evaluators import (
    EvalFunction,
    RawEvaluation,
    RawRow,
    contract_rows,
    eval_functions,
    evaluate_builtin,
    rows_of_record,
    write_adapter_flow,
    write_contract_flow,
    write_joined,
    write_row_flow,
)
from genaiops.experiments._request import ExperimentRequest
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._targets import flow_source
from genaiops.experiments._tasks import EvaluationTask, evaluation_spec
from genaiops.registry import tree_digest
from genaiops.runs import RunRecord, RunSpec, RunTogether, find_run
from genaiops.settings import Settings, state_folder

_OWN_TARGET = re.compile(r"\$\{target\.")
_RUN_LOOKUP = re.compile(r"\$\{run\.")


class Evaluations:
    """Evaluates runs of one experiment.

    Args:
        spec: The use case.
        request: Limits and modes.
        settings: The surroundings.
        together: Starts runs.
        folder: The experiment's folder, for joined data and the flows that we write.
    """

    def __init__(
        self, spec: ExperimentSpec, request: ExperimentRequest, settings: Settings, together: RunTogether, folder: Path
    ) -> None:
        self._spec = spec
        self._request = request
        self._settings = settings
        self._together = together
        self._folder = folder

    async def evaluate(self, task: EvaluationTask, record: RunRecord) -> list[RawEvaluation]:
        """Score one run; what fails as a whole is an evaluation with the status `failed`."""
        if record.rows.completed == 0:
            return [self._failed(task, record, "The run has no completed row.")]
        try:
            if task.evaluator.kind == "builtin":
                # In a thread: rows of other runs must not wait while files are read.
                return [await asyncio.to_thread(self._builtin, task, record)]
            if task.evaluator.kind == "python":
                return await self._python(task, record)
            return [await self._flow(task, record, self._flow_of(task))]
        except GenaiopsError as error:
            return [self._failed(task, record, str(error))]

    def flow_of(self, task: EvaluationTask) -> Path | None:
        """The flow that will be opened, to start its host early; `None` when there is none."""
        if task.evaluator.kind not in ("flow", "adapter"):
            return None
        return self._flow_of(task)

    def _flow_of(self, task: EvaluationTask) -> Path:
        evaluator = task.evaluator
        if evaluator.kind == "adapter":
            assert evaluator.entry is not None
            inputs = list(task.dataset.mappings)
            target = self._generated(evaluator.name, task.dataset.name)
            return write_adapter_flow(target, evaluator.entry, inputs=inputs, options=evaluator.options)
        source = evaluator.path if evaluator.path is not None else evaluator.entry or evaluator.flow
        return flow_source(self._spec, source, self._settings)

    def _builtin(self, task: EvaluationTask, record: RunRecord) -> RawEvaluation:
        evaluator, dataset = task.evaluator, task.dataset
        assert evaluator.entry is not None
        assert dataset.path is not None
        return evaluate_builtin(
            evaluator.entry,
            record,
            dataset.path,
            id=task.id,
            evaluator=evaluator.name,
            dataset=dataset.name,
            mappings=dataset.mappings,
            options=evaluator.options,
            key=dataset.key,
        )

    async def _flow(self, task: EvaluationTask, record: RunRecord, flow: Path, *, name: str = "") -> RawEvaluation:
        """An evaluation flow of any type over the rows of a run."""
        numbers = None
        if task.dataset.key is not None or record.status == "interrupted":
            # A run that a budget ended is no source for another run; its finished rows are.
            assert task.dataset.path is not None
            target = self._folder / "joined" / f"{task.id}.jsonl"
            mapping, numbers = write_joined(
                record, task.dataset.path, task.dataset.mappings, target, key=task.dataset.key
            )
            spec = evaluation_spec(
                self._spec, task, self._request, flow=flow, run=record.path, mapping=mapping, data=target
            )
        else:
            spec = evaluation_spec(self._spec, task, self._request, flow=flow, run=record.path)
        done = await self._run(spec, record)
        name = name or task.evaluator.name
        rows = await asyncio.to_thread(lambda: list(rows_of_record(done, name, numbers)))
        return self._raw(task, record, done, rows)

    async def _python(self, task: EvaluationTask, record: RunRecord) -> list[RawEvaluation]:
        """Every `eval_*` function of a folder or file; their scores stand side by side under the evaluator's name."""
        assert task.evaluator.path is not None
        functions = eval_functions(task.evaluator.path)
        by_row = [function for function in functions if function.is_row_wise(task.dataset.mappings)]
        waiting = [self._contract(task, record, function) for function in functions if function not in by_row]
        if by_row:
            name = _short(by_row[0]) if len(by_row) == 1 else task.evaluator.name
            waiting.insert(0, self._flow(task, record, self._row_flow(task, by_row), name=name))
        return [_merged(task, record, list(await asyncio.gather(*waiting)))]

    def _row_flow(self, task: EvaluationTask, functions: Sequence[EvalFunction]) -> Path:
        target = self._generated(task.evaluator.name, task.dataset.name, "rows")
        return write_row_flow(target, functions, inputs=list(task.dataset.mappings), folders=self._folders())

    async def _contract(self, task: EvaluationTask, record: RunRecord, function: EvalFunction) -> RawEvaluation:
        """A function that the template would call: run name, data, mappings, output folder."""
        assert task.dataset.path is not None
        mappings: dict[str, Any] = dict(task.dataset.mappings)
        data, numbers = task.dataset.path, None
        texts = [value for value in mappings.values() if isinstance(value, str)]
        if any(_RUN_LOOKUP.search(text) for text in texts) and not any(_OWN_TARGET.search(text) for text in texts):
            # It looks at a run's outputs, so it gets one file that holds them beside the data.
            data = self._folder / "joined" / f"{task.id}.jsonl"
            mappings, numbers = write_joined(record, task.dataset.path, mappings, data, key=task.dataset.key)
        output = self._folder / "outputs" / task.evaluator.name
        output.mkdir(parents=True, exist_ok=True)
        name = f"{task.id}_{_short(function)}"
        call = {"run_name": name, "data_path": str(data.resolve()), "mapping": mappings, "output_path": str(output)}
        rows = self._folder / "joined" / f"{name}.call.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        rows.write_text(json.dumps(call) + "\n", encoding="utf-8")
        flow = write_contract_flow(
            self._generated(task.evaluator.name, task.dataset.name, function.name),
            function,
            workdir=self._spec.folder.parent,
            folders=self._folders(),
        )
        mapping = {key: f"${{data.{key}}}" for key in call}
        spec = evaluation_spec(self._spec, task, self._request, flow=flow, run=record.path, mapping=mapping, data=rows)
        done = await self._run(_renamed(spec, name, limit=None), record)
        (outcome,) = list(done.outcomes()) or [{}]
        if outcome.get("status") != "completed":
            error = outcome.get("error") or {}
            return self._failed(task, record, f"{function.name}: {error.get('message', 'failed')}")
        scored, metrics = contract_rows(outcome["outputs"].get("result"), numbers)
        raw = self._raw(task, record, done, scored)
        return _with_metrics(raw, metrics)

    async def _run(self, spec: RunSpec, scored: RunRecord) -> RunRecord:
        """The evaluation's run: done already, half done, or new."""
        earlier = self._earlier(spec)
        if earlier is not None and earlier.created < (scored.finished or ""):
            # The application's run went on since: what was scored then is only a part of it.
            shutil.rmtree(earlier.path)
            earlier = None
        if earlier is not None and earlier.status in ("completed", "failed") and not earlier.stopped:
            return earlier
        record = await self._together.run(spec, earlier)
        if record is None:
            raise SettingsError("The experiment was interrupted.", kind="Interrupted")
        return record

    def _earlier(self, spec: RunSpec) -> RunRecord | None:
        assert spec.name is not None
        folder = self._settings.state / "runs" / spec.name
        return find_run(folder, self._settings) if (folder / "run.json").is_file() else None

    def _raw(self, task: EvaluationTask, record: RunRecord, done: RunRecord, rows: list[RawRow]) -> RawEvaluation:
        broken = done.aggregation.get("error") if done.aggregation else None
        stopped = (done.stopped or {}).get("message")
        failed = done.rows.completed == 0 and done.rows.failed > 0
        status = (
            "interrupted"
            if done.status in ("interrupted", "running")
            else "failed"
            if failed or broken
            else "completed"
        )
        return RawEvaluation(
            id=done.id,
            evaluator=task.evaluator.name,
            run=record.id,
            dataset=task.dataset.name,
            path=done.path,
            rows=rows,
            metrics=done.metrics,
            status=status,
            error=str(stopped or (broken or {}).get("message") or "") or (_first_failure(done) if failed else None),
            expected=record.rows.completed,
            record=done,
        )

    def _failed(self, task: EvaluationTask, record: RunRecord, message: str) -> RawEvaluation:
        interrupted = self._together.interrupted
        return RawEvaluation(
            id=task.id,
            evaluator=task.evaluator.name,
            run=record.id,
            dataset=task.dataset.name,
            status="interrupted" if interrupted else "failed",
            error=message,
            expected=record.rows.completed,
        )

    def _folders(self) -> list[Path]:
        """Import path of Python evaluators: the repository's root, the use case, the application's flow."""
        flow = self._spec.flow
        own = [] if isinstance(flow, str) else [flow if flow.is_dir() else flow.parent]
        return [self._spec.folder.parent, self._spec.folder, *own]

    def _generated(self, *names: str) -> Path:
        """A folder for a flow that we write: the same for the same use case, so that results can be kept."""
        mark = hashlib.sha256("\0".join([str(self._spec.folder), *names]).encode()).hexdigest()[:12]
        return state_folder(self._settings, "entries", f"{re.sub(r'[^A-Za-z0-9_]', '_', names[0])}_{mark}")


def _first_failure(done: RunRecord) -> str:
    """Why an evaluator scored nothing: the most frequent failure, and where it happened."""
    failure = done.failures[0] if done.failures else None
    if failure is None:
        return f"all {done.rows.failed} rows failed"
    where = f" ({failure.file}:{failure.line})" if failure.file and failure.line else ""
    return f"all {done.rows.failed} rows failed, {failure.count} of them so: {failure.message}{where}"


class EvaluatorDigests(NamedTuple):
    """What tells two states of an evaluator apart.

    Attributes:
        whole: Of its code, its parameters and what it looks at.
        code: Of its code and parameters alone: over other data, such as production's, it looks at other columns.
    """

    whole: str
    code: str


def evaluator_digests(task: EvaluationTask) -> EvaluatorDigests:
    """The digests of an evaluator as it is now."""
    evaluator = task.evaluator
    code = tree_digest(evaluator.path) if evaluator.path is not None and evaluator.path.exists() else evaluator.flow
    parts = [code, evaluator.kind, dict(evaluator.options)]
    return EvaluatorDigests(_digest([*parts, dict(task.dataset.mappings), task.dataset.key]), _digest(parts))


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _short(function: EvalFunction) -> str:
    return function.name[5:] or function.name


def _renamed(spec: RunSpec, name: str, **changes: Any) -> RunSpec:
    return replace(spec, name=name, **changes)


def _with_metrics(raw: RawEvaluation, metrics: dict[str, Any]) -> RawEvaluation:
    return replace(raw, metrics={**raw.metrics, **metrics})


def _merged(task: EvaluationTask, record: RunRecord, found: list[RawEvaluation]) -> RawEvaluation:
    """Several functions of one evaluator as one evaluation: scores of a row side by side."""
    if len(found) == 1:
        return found[0]
    values: dict[int, dict[str, Any]] = {}
    errors: dict[int, list[str]] = {}
    for raw in found:
        for row in raw.rows:
            values.setdefault(row.row, {}).update(row.values)
            if row.error is not None:
                errors.setdefault(row.row, []).append(row.error)
    rows = [
        RawRow(row, held, "; ".join(errors[row]) if row in errors else None) for row, held in sorted(values.items())
    ]
    worst = next((raw for raw in found if raw.status != "completed"), found[0])
    messages = [raw.error for raw in found if raw.error]
    return replace(
        found[0],
        id=task.id,
        rows=rows,
        metrics={name: value for raw in found for name, value in raw.metrics.items()},
        status=worst.status,
        error="; ".join(messages) or None,
        expected=record.rows.completed,
    )
