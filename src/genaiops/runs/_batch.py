"""One run from its first check to its record."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from genaiops.errors import DataError, GenaiopsError, HostError
from genaiops.runs._early_stop import EarlyStop, Stop
from genaiops.runs._events import OnEvent, RunEvent
from genaiops.runs._find import RUNS_FOLDER, clean_name, find_run, make_run_id
from genaiops.runs._folder import RunFolder
from genaiops.runs._host_client import Outcomes, PlanHandle
from genaiops.runs._images import absolute_images
from genaiops.runs._lanes import Lane, RowIn
from genaiops.runs._mapping import InputShape, RowMapping, plan_mapping
from genaiops.runs._outcome_lines import LineIndex, RowSet, put_in_order
from genaiops.runs._pool import HostPool
from genaiops.runs._provenance import flow_digest, versions
from genaiops.runs._record import RUN_FILE, RowCounts, RunRecord, RunStatus
from genaiops.runs._setup import flow_source, host_setup, open_request, seconds_from
from genaiops.runs._sources import JoinedRow, Sources, open_sources
from genaiops.runs._spec import RunSpec
from genaiops.runs._tally import Tally, tally_of_file
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

DEFAULT_ROW_TIMEOUT_S = 600.0
_TELL_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all runs of one command share."""

    settings: Settings
    store: ConnectionStore
    pool: HostPool
    on_event: OnEvent


class Batch:
    """One run.

    Args:
        spec: What is asked.
        around: Settings, connections, hosts.
        earlier: The record of the attempt that this one continues.
    """

    def __init__(self, spec: RunSpec, around: Surroundings, earlier: RunRecord | None = None) -> None:
        spec.check()
        self.spec = spec
        self.around = around
        self.earlier = earlier
        self._stop: Stop | None = None
        self._started = monotonic()
        self._row_timeout_s = _timeout(
            spec.row_timeout_s, around.settings, "PF_LINE_TIMEOUT_SEC", DEFAULT_ROW_TIMEOUT_S
        )
        self._timeout_s = _timeout(spec.timeout_s, around.settings, "PF_BATCH_TIMEOUT_SEC", None)
        self._setup = host_setup(spec, around.settings, around.store)
        self._request = self._open_request()
        self._tally = Tally()
        self._done = RowSet()
        self._again: deque[RowIn] = deque()
        self._suspects: deque[RowIn] = deque()
        self._lanes: list[Lane] = []
        self._suspect_added = asyncio.Event()
        self._warnings: list[str] = []
        self._retried = 0
        self._last_told = 0.0
        self._plan: PlanHandle | None = None

    # The whole of it

    async def run(self) -> RunRecord:
        """Check everything, run the rows, aggregate, write the record.

        Raises:
            InputError: Something is wrong and nothing was started.
            HostError: No host could be started.
        """
        # The host comes up while the data is read here.
        hosts = [self.around.pool.start(self._setup, str(slot)) for slot in range(self.spec.processes)]
        sources = self._open_sources()
        plan = self._plan = await self.open("0")
        del hosts
        mapping = self._plan_mapping(plan.about, sources)
        planned, skipped = sources.count()
        record = self._first_record(plan.about, mapping, sources, RowCounts(total=planned + skipped, skipped=skipped))
        redactor = self.around.store.redactor()
        with RunFolder(record.path, redact=redactor.bytes) as folder:
            self._folder = folder
            self._record_without_secrets(record, redactor).save()
            self._recall(record)
            self._supply = self._rows(sources, mapping, plan.about)
            self._early = EarlyStop(planned - len(self._done))
            self._planned = planned
            self._tell("started", str(record.path))
            try:
                await self._run_lanes(plan)
                record = await self._conclude(record)
            finally:
                record = self._record_without_secrets(record, redactor)
                self.record = record
                if record.status == "running":
                    record = replace(record, status="interrupted")
                record.save()
        self._tell("finished")
        return record

    async def _run_lanes(self, plan: PlanHandle) -> None:
        """All rows through all lanes; suspects through one of their own."""
        slots = range(self.spec.processes)
        self._lanes = [Lane(self, self, slot=str(slot), row_timeout_s=self._row_timeout_s) for slot in slots]
        self._lanes[0].plan = plan
        left = None if self._timeout_s is None else max(0.0, self._timeout_s - (monotonic() - self._started))
        try:
            async with asyncio.timeout(left):
                await self._work()
        except TimeoutError:
            self._time_is_over()
        except (HostError, GenaiopsError) as error:
            # A host that cannot be started again: what has finished is kept, the rest can be resumed.
            self.end(Stop("host-dies", error.message, error=error.to_json()))

    async def _work(self) -> None:
        tasks = {asyncio.create_task(lane.work()) for lane in self._lanes}
        alone: asyncio.Task[None] | None = None
        waiter = asyncio.create_task(self._suspect_added.wait())
        try:
            while tasks:
                done, _ = await asyncio.wait({*tasks, waiter}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & tasks:
                    task.result()
                tasks -= done
                if waiter in done or self._suspects:
                    self._suspect_added.clear()
                    waiter.cancel()
                    waiter = asyncio.create_task(self._suspect_added.wait())
                    if self._suspects and (alone is None or alone.done()) and self.stop is None:
                        lane = Lane(_Suspects(self), self, slot="alone", row_timeout_s=self._row_timeout_s, alone=True)
                        self._lanes.append(lane)
                        alone = asyncio.create_task(lane.work())
                        tasks.add(alone)
        finally:
            for task in (*tasks, waiter):
                task.cancel()
            await asyncio.gather(*tasks, waiter, return_exceptions=True)

    async def _conclude(self, record: RunRecord) -> RunRecord:
        """Order the outcomes, aggregate, and say what became of the run."""
        status = self._status()
        aggregation: dict[str, Any] = {}
        self._folder.close_files()
        if status != "interrupted":
            put_in_order(record.outcomes_path)
            aggregation = await self._aggregate(record)
            if aggregation.get("error"):
                status = "failed"
        models = await self._model_stats()
        for lane in self._lanes:
            if lane.plan is not None:
                await self.close(lane.plan)
        counts = replace(record.rows, completed=self._tally.completed, failed=self._tally.failed)
        return replace(
            record,
            status=status,
            rows=counts,
            metrics=aggregation.pop("metrics", {}),
            aggregation=aggregation,
            model_calls=self._tally.model_calls,
            kept=self._tally.kept,
            tokens=dict(self._tally.tokens),
            cost_usd=self._tally.cost_usd,
            duration_s=round((self.earlier.duration_s if self.earlier else 0.0) + monotonic() - self._started, 3),
            finished=_now().isoformat(timespec="milliseconds"),
            failures=self._tally.failures(),
            stopped=_stop_form(self.stop),
            simulated=self._tally.simulated,
            warnings=tuple(self._warnings),
            hosts={"started": self.around.pool.started, "rows_retried": self._retried},
            models=models,
        )

    def _status(self) -> RunStatus:
        if self.stop is not None:
            return "interrupted" if self.stop.reason in ("interrupted", "budget") else "failed"
        ran = self._tally.completed + self._tally.failed
        share = self._tally.failed / ran if ran else 0.0
        return "failed" if share > self.spec.max_failed else "completed"

    # What lanes ask for

    @property
    def stop(self) -> Stop | None:
        """Why no more rows start."""
        return self._stop

    def take(self, count: int) -> list[RowIn]:
        """Rows to run, up to so many."""
        if self.stop is not None:
            return []
        rows: list[RowIn] = []
        while self._again and len(rows) < count:
            rows.append(self._again.popleft())
        while len(rows) < count and (row := next(self._supply, None)) is not None:
            rows.append(row)
        return rows

    def done(self, outcomes: Outcomes) -> None:
        """Write finished rows down and count them."""
        outcomes = self._without_repeats(outcomes)
        self._folder.append(outcomes.lines, outcomes.traces)
        for header in outcomes.rows:
            self._tally.add(header)
            if self.stop is None and (stop := self._early.see(header)) is not None:
                self.end(stop)
        self._check_budget()
        now = monotonic()
        if now - self._last_told >= _TELL_EVERY_S:
            self._last_told = now
            self._folder.sync_if_due()
            self._tell("progress")

    def fail(self, row: RowIn, kind: str, message: str) -> None:
        """Write down a row that has no outcome of its own."""
        if not self._done.add(row[0]):
            return
        error = GenaiopsError(message, kind=kind).to_json()
        line = {
            "schema_version": 1,
            "row": row[0],
            "status": "failed",
            "inputs": row[1],
            "outputs": {},
            "error": error,
            "nodes": {},
            "duration_s": 0.0,
            "tokens": {"input": 0, "output": 0, "cached": 0},
        }
        text = json.dumps(line, separators=(",", ":"), default=str) + "\n"
        self._folder.append(self.around.store.redactor().bytes(text.encode()), b"")
        self._tally.add({"row": row[0], "ok": False, "calls": 0, "kept": 0, "tokens": [0, 0, 0], "error": error})

    def suspect(self, rows: list[RowIn]) -> None:
        """Rows that were in a host that died."""
        self._retried += len(rows)
        self._suspects.extend(rows)
        self._suspect_added.set()
        self._warn(f"A flow host died; {len(rows)} rows that were in it run again, one at a time.")

    def give_back(self, rows: list[RowIn]) -> None:
        """Rows that had not begun."""
        self._again.extend(rows)

    def end(self, stop: Stop) -> None:
        """Start no more rows; unless the reason lets them finish, wait for none."""
        if self._stop is None:
            self._stop = stop
            for lane in self._lanes:
                lane.wake()

    # Where lanes get plans

    async def open(self, slot: str) -> PlanHandle:
        """Open the flow in a host."""
        plan = await self.around.pool.open(self._setup, self._request, slot)
        plan.on_log = self._take_log
        return plan

    def retire(self, plan: PlanHandle) -> None:
        """Use this host for nothing more."""
        self.around.pool.retire(plan.host)

    async def close(self, plan: PlanHandle) -> None:
        """Give a plan back."""
        await self.around.pool.close(plan)

    # Pieces

    def _open_request(self) -> dict[str, Any]:
        flow = flow_source(self.spec.flow)
        variant = self.spec.variant if isinstance(self.spec.variant, str) else None
        name = variant.strip("${}").replace(".", "_") if variant else None
        if self.earlier is not None:
            self._id, path = self.earlier.id, self.earlier.path
        else:
            self._id = clean_name(self.spec.name) if self.spec.name else make_run_id(flow.name, name, datetime.now())
            path = self.spec.folder or self.around.settings.state / RUNS_FOLDER / self._id
            if (path / RUN_FILE).exists():
                raise DataError(f"There is a run {self._id!r} already.", file=path, kind="RunExistsError")
        self._path = Path(path).resolve()
        return open_request(
            self.spec,
            self.around.settings,
            concurrency=self.spec.concurrency,
            timeout_s=self._row_timeout_s,
            images=str(self._path / "images"),
            resource={"genaiops.run": self._id, "genaiops.flow": flow.name},
        )

    def _open_sources(self) -> Sources:
        source_run = None
        if self.spec.source_run is not None:
            source_run = find_run(self.spec.source_run, self.around.settings)
        self._source_run = source_run
        sources = open_sources(self.spec.data, source_run, on_bad_row=self.spec.on_bad_row, limit=self.spec.limit)
        if self.earlier is not None and sources.data is not None:
            known = self.earlier.dataset.get("sha256")
            if known and known != sources.data.scan.sha256:
                raise DataError(
                    f"The dataset has changed since the run {self.earlier.id!r} was started.",
                    file=sources.data.path,
                    hint="Put the old content back, or start a new run.",
                )
        return sources

    def _plan_mapping(self, about: Mapping[str, Any], sources: Sources) -> RowMapping:
        shapes = {name: InputShape(item["type"], item["has_default"]) for name, item in about["inputs"].items()}
        if not shapes and not about["takes_any"] and not self.spec.mapping:
            raise DataError(
                "The flow has no inputs, so there is nothing that rows could be given to.",
                file=about["flow"]["path"],
                kind="InputNotFound",
            )
        mapping = plan_mapping(
            self.spec.mapping,
            inputs=shapes,
            columns=sources.columns,
            takes_any=about["takes_any"],
            strict=self.spec.strict_mapping,
        )
        for name in mapping.unknown:
            self._warn(f"The mapping names {name!r}, which is no input of the flow.")
        for item in about["warnings"]:
            self._warn(item["message"] if item["line"] is None else f"{item['file']}:{item['line']}: {item['message']}")
        return mapping

    def _first_record(
        self, about: Mapping[str, Any], mapping: RowMapping, sources: Sources, rows: RowCounts
    ) -> RunRecord:
        data = sources.data
        flow = {**about["flow"], "source": flow_source(self.spec.flow).source}
        digest = flow_digest(Path(flow["folder"]))
        if self.earlier is not None and self.earlier.flow.get("digest") != digest:
            self._warn("The flow's files have changed since the run was started; its rows come from both versions.")
        return RunRecord(
            id=self._id,
            path=self._path,
            status="running",
            flow={**{key: value for key, value in flow.items() if key != "chosen"}, "digest": digest},
            variant=flow["chosen"],
            parameters={
                "overrides": dict(self.spec.overrides),
                "connections": dict(self.spec.connections),
                "init": dict(self.spec.init or {}),
            },
            mapping=mapping.to_json(),
            dataset={"path": str(data.path.resolve()), "sha256": data.scan.sha256, "rows": data.scan.rows}
            if data
            else {},
            source_run=self._source_run.id if self._source_run else None,
            rows=rows,
            created=self.earlier.created if self.earlier else _now().isoformat(timespec="milliseconds"),
            labels=dict(self.spec.labels),
            spec=self._spec_to_keep(),
            versions=versions(self.around.settings.project),
        )

    def _spec_to_keep(self) -> dict[str, Any]:
        """The spec with paths that hold wherever the command is started."""
        form = self.spec.to_json()
        form["flow"] = flow_source(self.spec.flow).source
        form["data"] = str(Path(self.spec.data).resolve()) if self.spec.data is not None else None
        form["source_run"] = str(self._source_run.path) if self._source_run else None
        form["recording"] = str(self.spec.recording.resolve()) if self.spec.recording else None
        return form

    @staticmethod
    def _record_without_secrets(record: RunRecord, redactor: Any) -> RunRecord:
        changed = {
            name: redactor.json(getattr(record, name))
            for name in ("parameters", "spec", "mapping", "labels", "metrics", "aggregation", "stopped")
        }
        failures = tuple(replace(item, message=redactor(item.message)) for item in record.failures)
        warnings = tuple(redactor(text) for text in record.warnings)
        return replace(record, **changed, failures=failures, warnings=warnings)

    def _recall(self, record: RunRecord) -> None:
        """Count what an earlier attempt finished; rows that failed then run again."""
        if self.earlier is None:
            return
        index = LineIndex(record.outcomes_path, completed_only=True)
        for row in index.rows:
            self._done.add(row)
        self._tally = tally_of_file(index)

    def _rows(self, sources: Sources, mapping: RowMapping, about: Mapping[str, Any]) -> Iterator[RowIn]:
        images = {name for name, item in about["inputs"].items() if item["type"] == "image"}
        for joined in sources.rows():
            if joined.row not in self._done:
                yield joined.row, self._inputs(joined, mapping, images)

    @staticmethod
    def _inputs(joined: JoinedRow, mapping: RowMapping, images: set[str]) -> dict[str, Any]:
        inputs = mapping.apply(joined.sources)
        return inputs if joined.folder is None else absolute_images(inputs, joined.folder, images)

    def _without_repeats(self, outcomes: Outcomes) -> Outcomes:
        """Leave out rows that have been written down already; rare, after a host was given up too early."""
        fresh = [self._done.add(header["row"]) for header in outcomes.rows]
        if all(fresh):
            return outcomes
        lines = outcomes.lines.splitlines(keepends=True)
        kept = b"".join(line for line, is_fresh in zip(lines, fresh, strict=True) if is_fresh)
        headers = [header for header, is_fresh in zip(outcomes.rows, fresh, strict=True) if is_fresh]
        return Outcomes(headers, kept, outcomes.traces)

    def _check_budget(self) -> None:
        spec, tally = self.spec, self._tally
        if spec.max_calls is not None and tally.model_calls >= spec.max_calls:
            self.end(
                Stop("budget", f"{tally.model_calls} model calls were made; {spec.max_calls} are allowed.", drain=True)
            )
        if spec.budget_usd is not None and (tally.cost_usd or 0.0) >= spec.budget_usd:
            self.end(Stop("budget", f"${tally.cost_usd:.4f} were spent; ${spec.budget_usd:g} are allowed.", drain=True))

    def _time_is_over(self) -> None:
        """Rows that have not finished when the run's time is over fail, and can be resumed."""
        self._supply_rest = list(self._again) + list(self._suspects)
        for lane in self._lanes:
            self._supply_rest += lane.in_flight()
        message = f"The run exceeded its {self._timeout_s:g} seconds."
        for row in self._supply_rest:
            self.fail(row, "BatchExecutionTimeoutError", message)
        for row in self._supply:
            self.fail(row, "BatchExecutionTimeoutError", message)
        self.end(Stop("timeout", message))

    async def _aggregate(self, record: RunRecord) -> dict[str, Any]:
        """What follows all rows; over the rows that completed."""
        plan = next((lane.plan for lane in self._lanes if lane.plan is not None and lane.plan.host.is_alive), None)
        if self._plan is None or not self._plan.about["has_aggregation"] or not self._tally.completed:
            return {}
        try:
            plan = plan or await self.open("0")
            return await plan.aggregate(record.outcomes_path)
        except GenaiopsError as error:
            return {"error": error.to_json(), "metrics": {}, "nodes": {}}

    async def _model_stats(self) -> dict[str, Any]:
        plan = next((lane.plan for lane in self._lanes if lane.plan is not None and lane.plan.host.is_alive), None)
        return await plan.host.stats() if plan is not None and self._tally.model_calls else {}

    def _take_log(self, row: str, text: bytes) -> None:
        if hasattr(self, "_folder"):
            self._folder.log(row, text)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
            self._tell("warning", text)

    def _tell(self, kind: Any, message: str = "") -> None:
        tally = self._tally
        self.around.on_event(
            RunEvent(
                kind=kind,
                run=self._id,
                total=getattr(self, "_planned", 0),
                completed=tally.completed,
                failed=tally.failed,
                model_calls=tally.model_calls,
                tokens=tally.tokens["input"] + tally.tokens["output"],
                cost_usd=tally.cost_usd,
                message=message,
            )
        )


class _Suspects:
    """Rows that were in a host that died, as the supply of a lane of their own."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.done: Callable[[Outcomes], None] = batch.done
        self.fail: Callable[[RowIn, str, str], None] = batch.fail
        self.end: Callable[[Stop], None] = batch.end

    @property
    def stop(self) -> Stop | None:
        return self._batch.stop

    def take(self, count: int) -> list[RowIn]:
        rows = self._batch._suspects
        return [rows.popleft()] if rows and count and self._batch.stop is None else []

    def suspect(self, rows: list[RowIn]) -> None:
        self._batch._suspects.extend(rows)

    def give_back(self, rows: list[RowIn]) -> None:
        self._batch._suspects.extendleft(reversed(rows))


def _timeout(given: float | None, settings: Settings, variable: str, default: float | None) -> float | None:
    seconds = given if given is not None else seconds_from(settings, variable) or default
    return None if seconds is None or math.isinf(seconds) else seconds


def _stop_form(stop: Stop | None) -> dict[str, Any] | None:
    if stop is None:
        return None
    return {"reason": stop.reason, "message": stop.message, "error": dict(stop.error) if stop.error else None}


def _now() -> datetime:
    return datetime.now(UTC)
