"""The doors: run one flow over one dataset, several such runs side by side, or the rest of one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import DataError, Interrupted
from genaiops.runs._events import OnEvent, ignore_event
from genaiops.runs._find import find_run
from genaiops.runs._record import RunRecord
from genaiops.runs._spec import RunSpec
from genaiops.runs._together import RunTogether, run_together
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

_SIDE_BY_SIDE = 4


def run_batch(
    spec: RunSpec, settings: Settings, *, store: ConnectionStore | None = None, on_event: OnEvent = ignore_event
) -> RunRecord:
    """Run a flow over a dataset.

    Every row ends as an outcome in the run's folder, failures included; a run that is stopped, or killed, can be
    resumed. Ctrl-C gives a record with status `interrupted`.

    Args:
        spec: The flow, the data, the mapping, the limits.
        settings: The surroundings.
        store: Connections; by default those of the environment and of connection files.
        on_event: Told what happens, for a progress bar.

    Raises:
        InputError: Something is wrong with what was given; nothing was started.
        HostError: The flow's process could not be started.
        Interrupted: Ctrl-C before the first row.

    Example:
        >>> record = run_batch(RunSpec(flow="flows/web", data="data.jsonl"), load_settings())  # doctest: +SKIP
        >>> record.rows.completed  # doctest: +SKIP
        100
    """
    return _only(run_batches([spec], settings, store=store, on_event=on_event))


def run_batches(
    specs: Sequence[RunSpec],
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    on_event: OnEvent = ignore_event,
    side_by_side: int = _SIDE_BY_SIDE,
) -> list[RunRecord]:
    """Run several specs, some of them side by side.

    Runs of one flow share a host: one client and one limiter for each deployment, and results that one has kept serve
    the others while they run.

    Args:
        specs: What to run; the records come in the same order. After Ctrl-C those that had not begun are left out.
        side_by_side: How many runs are on their way at once.

    Raises:
        InputError: A spec is wrong. Runs that are on their way are stopped and can be resumed.
    """
    return _run_all([(spec, None) for spec in specs], settings, store, on_event, side_by_side)


def resume_run(
    run: str | Path | RunRecord,
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    on_event: OnEvent = ignore_event,
    changes: Mapping[str, Any] | None = None,
) -> RunRecord:
    """Run what an earlier run left: rows without an outcome, and rows that failed.

    What has completed is not run again; the record is the one that an undisturbed run would have.

    Args:
        run: The run's id, folder or record.
        changes: Fields of the spec to change: `concurrency`, `processes`, `init` when it held a secret, ….

    Raises:
        DataError: There is no such run, or its dataset has changed.
        SettingsError: Another process works on it.
    """
    record = run if isinstance(run, RunRecord) else find_run(run, settings)
    if record.status == "completed" and not record.rows.failed:
        return record
    if not record.spec:
        raise DataError(f"The run {record.id!r} does not say how to run it again.", file=record.path)
    spec = replace(RunSpec.from_json(record.spec), **(changes or {}))
    return _only(_run_all([(spec, record)], settings, store, on_event, 1))


def _only(records: list[RunRecord]) -> RunRecord:
    if not records:
        raise Interrupted("The run was interrupted before it began.", hint="Nothing was written; start it again.")
    return records[0]


def _run_all(
    jobs: Sequence[tuple[RunSpec, RunRecord | None]],
    settings: Settings,
    store: ConnectionStore | None,
    on_event: OnEvent,
    side_by_side: int,
) -> list[RunRecord]:
    gate = asyncio.Semaphore(max(1, side_by_side))

    async def one(together: RunTogether, spec: RunSpec, earlier: RunRecord | None) -> RunRecord | None:
        async with gate:
            return await together.run(spec, earlier)

    async def everything(together: RunTogether) -> list[RunRecord]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(together, spec, earlier)) for spec, earlier in jobs]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [record for task in tasks if (record := task.result()) is not None]

    return run_together(everything, settings, store=store, on_event=on_event)
