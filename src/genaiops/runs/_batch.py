"""One run from its first check to its record."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, TypeVar

from genaiops.errors import GenaiopsError
from genaiops.runs._early_stop import Stop
from genaiops.runs._events import EventKind, RunEvent
from genaiops.runs._folder import RunFolder
from genaiops.runs._host_client import PlanHandle
from genaiops.runs._images import absolute_images
from genaiops.runs._lanes import Lane, RowIn
from genaiops.runs._outcome_lines import LineIndex, RowSet, put_in_order
from genaiops.runs._prepare import Prepared, Surroundings, now_text, plan_job, prepare, without_secrets
from genaiops.runs._record import RunRecord, RunStatus
from genaiops.runs._rows import Brake, Ledger, MainSupply, RowQueue, SuspectSupply
from genaiops.runs._spec import RunSpec
from genaiops.runs._tally import Tally, tally_of_file

Result = TypeVar("Result")
_LAST_MOMENT_S = 0.5
_RESUMABLE = frozenset({"interrupted", "budget"})


class Batch:
    """One run.

    Args:
        spec: What is asked.
        around: Settings, connections, hosts.
        earlier: The record of the attempt that this one continues.

    Raises:
        InputError: An option that means nothing, a name that is taken.
    """

    def __init__(self, spec: RunSpec, around: Surroundings, earlier: RunRecord | None = None) -> None:
        self._started = monotonic()
        self._around = around
        self._job = plan_job(spec, around, earlier)
        self._brake = Brake()
        self._tally = Tally()
        self._planned = 0
        self._warnings: list[str] = []
        self._lanes: list[Lane] = []
        self._folder: RunFolder | None = None
        self._turn = around.turns.next(self._job.setup.key())

    async def run(self) -> RunRecord | None:
        """Check everything, run the rows, aggregate, write the record.

        Returns:
            The record; None when a person stopped it before anything was written.

        Raises:
            InputError: Something is wrong and nothing was started.
            HostError: No host could be started.
        """
        try:
            return await self._run()
        finally:
            self._turn.end()

    async def _run(self) -> RunRecord | None:
        prepared = await self._unless_interrupted(prepare(self._job, self._around))
        if prepared is None:
            return None
        redactor = self._around.store.redactor()
        record = without_secrets(prepared.record, redactor)
        with RunFolder(record.path, redact=redactor.bytes) as self._folder:
            record.save()
            done = self._recall(record)
            self._planned = prepared.planned
            self._tell("started", str(record.path))
            for text in prepared.warnings:
                self._warn(text)
            queue = RowQueue(self._rows(prepared, done))
            ledger = self._ledger(self._folder, done, redactor.bytes)
            try:
                await self._unless_interrupted(self._turn.wait())
                await self._run_rows(prepared.plan, queue, ledger)
                self._turn.end()
                record = without_secrets(await self._conclude(record, prepared.plan, queue), redactor)
            finally:
                # Whatever happened: what has finished is kept, and the record does not say `running` for ever.
                if record.status == "running":
                    record = replace(record, status="interrupted")
                record.save()
        self._tell("finished")
        return record

    def end(self, stop: Stop) -> None:
        """Start no more rows; unless the reason lets them finish, wait for none."""
        self._brake.pull(stop)

    # Where lanes get plans

    async def open(self, slot: str) -> PlanHandle:
        """Open the flow in a host."""
        plan = await self._around.pool.open(self._job.setup, dict(self._job.request), slot)
        plan.on_log = self._take_log
        return plan

    def retire(self, plan: PlanHandle) -> None:
        """Use this host for nothing more."""
        self._around.pool.retire(plan.host)

    async def close(self, plan: PlanHandle) -> None:
        """Give a plan back."""
        for text in await self._around.pool.close(plan):
            self._warn(text)

    # Rows

    async def _run_rows(self, plan: PlanHandle, queue: RowQueue, ledger: Ledger) -> None:
        """All rows through all lanes, within the run's time."""
        plan.on_log = self._take_log
        supply = MainSupply(queue, ledger, self._brake)
        slots = range(self._job.spec.processes)
        self._lanes = [Lane(supply, self, slot=str(slot), row_timeout_s=self._job.row_timeout_s) for slot in slots]
        self._lanes[0].plan = plan
        self._brake.listeners = [lane.wake for lane in self._lanes]
        left = None if self._job.timeout_s is None else self._job.timeout_s - (monotonic() - self._started)
        try:
            async with asyncio.timeout(left):
                await self._work(queue, SuspectSupply(queue, ledger, self._brake))
        except TimeoutError:
            self._time_is_over(queue, ledger)
        except GenaiopsError as error:
            # A host that cannot be started again: what has finished is kept, the rest can be resumed.
            self.end(Stop("host-dies", error.message, error=error.to_json()))

    async def _work(self, queue: RowQueue, suspects: SuspectSupply) -> None:
        """Until no lane has a row; a lane of its own for suspects while there are any."""
        tasks = {asyncio.create_task(lane.work()) for lane in self._lanes}
        noticed = asyncio.create_task(queue.suspected.wait())
        # A lane that waits for a host to come up hears nothing else.
        interrupted = asyncio.create_task(self._brake.interrupted.wait())
        alone: asyncio.Task[None] | None = None
        try:
            while tasks:
                done, _ = await asyncio.wait({*tasks, noticed, interrupted}, return_when=asyncio.FIRST_COMPLETED)
                if interrupted in done:
                    await asyncio.wait(tasks, timeout=_LAST_MOMENT_S)
                    return
                for task in done & tasks:
                    task.result()
                tasks -= done
                if noticed in done:
                    self._warn("A flow host died; the rows that were in it run again, one at a time.")
                    queue.suspected.clear()
                    noticed = asyncio.create_task(queue.suspected.wait())
                if queue.suspects and (alone is None or alone.done()) and self._brake.stop is None:
                    alone = asyncio.create_task(self._lane_for_suspects(suspects).work())
                    tasks.add(alone)
        finally:
            for task in (*tasks, noticed, interrupted):
                task.cancel()
            await asyncio.gather(*tasks, noticed, interrupted, return_exceptions=True)

    def _lane_for_suspects(self, supply: SuspectSupply) -> Lane:
        lane = Lane(supply, self, slot="alone", row_timeout_s=self._job.row_timeout_s, alone=True)
        self._lanes.append(lane)
        self._brake.listeners.append(lane.wake)
        return lane

    def _recall(self, record: RunRecord) -> RowSet:
        """Rows that an earlier attempt completed, which are counted; those that failed then run again."""
        done = RowSet()
        if self._job.earlier is not None:
            index = LineIndex(record.outcomes_path, completed_only=True)
            for row in index.rows:
                done.add(row)
            self._tally = tally_of_file(index)
        return done

    @staticmethod
    def _rows(prepared: Prepared, done: RowSet) -> Iterator[RowIn]:
        images = {name for name, item in prepared.plan.about["inputs"].items() if item["type"] == "image"}
        for joined in prepared.sources.rows():
            if joined.row in done:
                continue
            inputs = prepared.mapping.apply(joined.sources)
            yield joined.row, absolute_images(inputs, joined.folder, images) if joined.folder else inputs

    def _ledger(self, folder: RunFolder, done: RowSet, redact: Any) -> Ledger:
        return Ledger(
            folder,
            done=done,
            tally=self._tally,
            brake=self._brake,
            expected=self._planned - len(done),
            budget=(self._job.spec.max_calls, self._job.spec.budget_usd),
            redact=redact,
            on_rows=self._turn.see,
            on_progress=lambda: self._tell("progress"),
        )

    def _time_is_over(self, queue: RowQueue, ledger: Ledger) -> None:
        """Rows that have not finished fail; they can be resumed."""
        message = f"The run exceeded its {self._job.timeout_s:g} s."
        self.end(Stop("timeout", message))
        for lane in self._lanes:
            for row in lane.in_flight():
                ledger.fail(row, "BatchExecutionTimeoutError", message)
        for row in queue.rest():
            ledger.fail(row, "BatchExecutionTimeoutError", message)

    # The end

    async def _conclude(self, record: RunRecord, plan: PlanHandle, queue: RowQueue) -> RunRecord:
        """Order the outcomes, aggregate, and say what became of the run."""
        assert self._folder is not None
        self._folder.close_files()
        aggregation: dict[str, Any] = {}
        if self._status() != "interrupted":
            put_in_order(record.outcomes_path)
            aggregation = await self._aggregate(record, plan.about)
        status = self._status()
        models = await self._model_stats()
        for lane in self._lanes:
            if lane.plan is not None:
                await self.close(lane.plan)
        earlier_s = self._job.earlier.duration_s if self._job.earlier else 0.0
        tally = self._tally
        return replace(
            record,
            status="failed" if aggregation.get("error") else status,
            rows=replace(record.rows, completed=tally.completed, failed=tally.failed),
            metrics=aggregation.pop("metrics", {}),
            aggregation=aggregation,
            model_calls=tally.model_calls,
            kept=tally.kept,
            tokens=dict(tally.tokens),
            cost_usd=tally.cost_usd,
            duration_s=round(earlier_s + monotonic() - self._started, 3),
            finished=now_text(),
            failures=tally.failures(),
            stopped=_stop_form(self._brake.stop),
            simulated=tally.simulated,
            recorded=tally.recorded,
            warnings=tuple(self._warnings),
            hosts={"started": self._around.pool.started, "rows_retried": queue.retried},
            models=models,
        )

    async def _unless_interrupted(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What `work` gives; None when a person stops everything first."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._brake.interrupted.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Another run of the same command has failed; nobody will look at this one's end.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        return None

    def _status(self) -> RunStatus:
        if self._brake.stop is not None:
            return "interrupted" if self._brake.stop.reason in _RESUMABLE else "failed"
        ran = self._tally.completed + self._tally.failed
        share = self._tally.failed / ran if ran else 0.0
        return "failed" if share > self._job.spec.max_failed else "completed"

    async def _aggregate(self, record: RunRecord, about: Mapping[str, Any]) -> dict[str, Any]:
        """What follows all rows, over those that completed."""
        if not about["has_aggregation"] or not self._tally.completed:
            return {}
        try:
            plan = self._living_plan()
            if plan is None:
                plan = self._lanes[0].plan = await self.open("0")
            found = await self._unless_interrupted(plan.aggregate(record.outcomes_path)) or {}
            for text in found.get("warnings") or ():
                self._warn(text)
            return found
        except GenaiopsError as error:
            return {"error": error.to_json(), "metrics": {}, "nodes": {}}

    async def _model_stats(self) -> dict[str, Any]:
        plan = self._living_plan()
        return await plan.host.stats() if plan is not None and self._tally.model_calls else {}

    def _living_plan(self) -> PlanHandle | None:
        return next((lane.plan for lane in self._lanes if lane.plan is not None and lane.plan.host.is_alive), None)

    # What others are told

    def _take_log(self, row: str, text: bytes) -> None:
        if self._folder is not None:
            self._folder.log(row, text)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
            self._tell("warning", text)

    def _tell(self, kind: EventKind, message: str = "") -> None:
        tally = self._tally
        event = RunEvent(
            kind=kind,
            run=self._job.id,
            total=self._planned,
            completed=tally.completed,
            failed=tally.failed,
            model_calls=tally.model_calls,
            tokens=tally.tokens["input"] + tally.tokens["output"],
            cost_usd=tally.cost_usd,
            message=message,
        )
        self._around.on_event(event)


def _stop_form(stop: Stop | None) -> dict[str, Any] | None:
    if stop is None:
        return None
    return {"reason": stop.reason, "message": stop.message, "error": dict(stop.error) if stop.error else None}
