"""Everything that can be known to be wrong, found before a row starts; and the record as it is then."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.datasets import read_rows
from genaiops.errors import DataError
from genaiops.records import record
from genaiops.runs._events import OnEvent
from genaiops.runs._find import RUNS_FOLDER, clean_name, find_run, make_run_id
from genaiops.runs._host_client import HostSetup, PlanHandle
from genaiops.runs._interrupt import in_thread
from genaiops.runs._mapping import InputShape, RowMapping, plan_mapping
from genaiops.runs._pool import HostPool
from genaiops.runs._provenance import flow_digest, versions
from genaiops.runs._record import IMAGES_FOLDER, RUN_FILE, RowCounts, RunRecord
from genaiops.runs._setup import flow_source, host_setup, open_request, seconds_from, whole_number_from
from genaiops.runs._sources import Sources, open_sources
from genaiops.runs._spec import RunSpec
from genaiops.runs._turns import Turns
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore, Redactor

_DEFAULT_ROW_TIMEOUT_S = 600.0


@record(frozen=True, kw_only=True)
class Surroundings:
    """What all runs of one command share."""

    settings: Settings
    store: ConnectionStore
    pool: HostPool
    on_event: OnEvent
    turns: Turns = field(default_factory=Turns)


@record(frozen=True, kw_only=True)
class Job:
    """What is known before anything is read: which run, where, and what its hosts are told.

    Args:
        setup: How its hosts are started.
        request: What they are told to open.
        source_run: The run whose outputs and inputs may be mapped.
        earlier: The record of the attempt that this one continues.
    """

    spec: RunSpec
    id: str
    path: Path
    setup: HostSetup
    request: Mapping[str, Any]
    row_timeout_s: float | None
    timeout_s: float | None
    source_run: RunRecord | None
    earlier: RunRecord | None


@record(frozen=True, kw_only=True)
class Prepared:
    """A run that can start.

    Args:
        plan: The flow, opened.
        planned: How many rows will run, those that finished before included.
    """

    plan: PlanHandle
    sources: Sources
    mapping: RowMapping
    planned: int
    record: RunRecord
    warnings: tuple[str, ...]


def plan_job(spec: RunSpec, around: Surroundings, earlier: RunRecord | None) -> Job:
    """Name the run and set up its hosts; nothing is written.

    Raises:
        InputError: An option that means nothing, a name that is taken, an environment that cannot be built.
    """
    spec.check()
    settings = around.settings
    flow = flow_source(spec.flow)
    run_id, path = _name_run(spec, flow.name, settings, earlier)
    source_run = find_run(spec.source_run, settings) if spec.source_run is not None else None
    row_timeout_s = _seconds(spec.row_timeout_s, settings, "PF_LINE_TIMEOUT_SEC", _DEFAULT_ROW_TIMEOUT_S)
    request = open_request(
        spec,
        settings,
        concurrency=spec.concurrency or whole_number_from(settings, "PF_WORKER_COUNT"),
        timeout_s=row_timeout_s,
        images=str(path / IMAGES_FOLDER),
        image_folders=_image_folders(spec, source_run),
        resource={"genaiops.run": run_id, "genaiops.flow": flow.name},
    )
    return Job(
        spec=spec,
        id=run_id,
        path=path,
        setup=host_setup(spec, settings, around.store, hosts=spec.processes),
        request=request,
        row_timeout_s=row_timeout_s,
        timeout_s=_seconds(spec.timeout_s, settings, "PF_BATCH_TIMEOUT_SEC", None),
        source_run=source_run,
        earlier=earlier,
    )


def _image_folders(spec: RunSpec, source_run: RunRecord | None) -> list[str]:
    """Where images of rows may be read from: the data's folder, and what earlier runs wrote."""
    named = [spec.data, source_run.dataset.get("path") if source_run else None]
    paths = [Path(path) for path in named if path is not None]
    folders = [path if path.is_dir() else path.parent for path in paths]
    if source_run is not None:
        folders.append(source_run.path / IMAGES_FOLDER)
    return [str(folder.resolve()) for folder in folders]


async def prepare(job: Job, around: Surroundings) -> Prepared:
    """Read the data, open the flow, check the mapping.

    Raises:
        InputError: Something is wrong, and nothing was started.
        HostError: No host could be started.
    """
    # The hosts come up while the data is read here.
    for slot in range(job.spec.processes):
        around.pool.start(job.setup, str(slot))
    spec = job.spec
    sources = await in_thread(
        lambda: open_sources(spec.data, job.source_run, on_bad_row=spec.on_bad_row, limit=spec.limit)
    )
    _refuse_changed_data(job, sources)
    plan = await around.pool.open(job.setup, dict(job.request), "0")
    mapping = _check_mapping(spec, plan.about, sources)
    planned, skipped = sources.count()
    record = _first_record(job, around.settings, plan.about, sources)
    record = replace(
        record, mapping=mapping.to_json(), rows=RowCounts(total=planned + skipped, skipped=skipped), status="running"
    )
    return Prepared(
        plan=plan,
        sources=sources,
        mapping=mapping,
        planned=planned,
        record=record,
        warnings=tuple(_warnings(job, record, mapping, plan.about, sources)),
    )


def _name_run(spec: RunSpec, flow_name: str, settings: Settings, earlier: RunRecord | None) -> tuple[str, Path]:
    if earlier is not None:
        return earlier.id, earlier.path
    variant = spec.variant.strip("${}").replace(".", "_") if isinstance(spec.variant, str) else None
    # Local time: people look for the run they started at three.
    run_id = clean_name(spec.name) if spec.name else make_run_id(flow_name, variant, datetime.now().astimezone())
    path = Path(spec.folder or settings.state / RUNS_FOLDER / run_id).absolute()
    if (path / RUN_FILE).exists():
        raise DataError(
            f"There is a run {run_id!r} already.",
            file=path,
            hint=f"Continue it with --resume {run_id}, or give another name.",
            kind="RunExistsError",
        )
    return run_id, path


def _seconds(given: float | None, settings: Settings, variable: str, default: float | None) -> float | None:
    seconds = given if given is not None else seconds_from(settings, variable) or default
    return None if seconds is None or math.isinf(seconds) else seconds


def _refuse_changed_data(job: Job, sources: Sources) -> None:
    if job.earlier is None or sources.data is None:
        return
    known = job.earlier.dataset.get("sha256")
    if known and known != sources.data.scan.sha256:
        raise DataError(
            f"The dataset has changed since the run {job.earlier.id!r} was started.",
            file=sources.data.path,
            hint="Put the old content back, or start a new run.",
        )


def _check_mapping(spec: RunSpec, about: Mapping[str, Any], sources: Sources) -> RowMapping:
    shapes = {name: InputShape(item["type"], item["has_default"]) for name, item in about["inputs"].items()}
    if not shapes and not about["takes_any"] and not spec.mapping:
        raise DataError(
            "The flow has no inputs, so there is nothing that rows could be given to.",
            file=about["flow"]["path"],
            kind="InputNotFound",
        )
    return plan_mapping(
        spec.mapping,
        inputs=shapes,
        columns=sources.columns,
        takes_any=about["takes_any"],
        strict=spec.strict_mapping,
    )


def _first_record(job: Job, settings: Settings, about: Mapping[str, Any], sources: Sources) -> RunRecord:
    spec, data, flow = job.spec, sources.data, about["flow"]
    dataset = {"path": str(data.path.resolve()), "sha256": data.scan.sha256, "rows": data.scan.rows} if data else {}
    return RunRecord(
        id=job.id,
        path=job.path,
        status="running",
        flow={
            **{key: flow[key] for key in ("name", "kind", "path", "folder")},
            "source": flow_source(spec.flow).source,
            "digest": flow_digest(Path(flow["folder"])),
        },
        variant=flow["chosen"],
        parameters={
            "overrides": dict(spec.overrides),
            "connections": dict(spec.connections),
            "init": dict(spec.init or {}),
        },
        dataset=dataset,
        source_run=job.source_run.id if job.source_run else None,
        created=job.earlier.created if job.earlier else now_text(),
        labels=dict(spec.labels),
        spec=_spec_to_keep(spec, job.source_run),
        versions=versions(settings.project),
    )


def _spec_to_keep(spec: RunSpec, source_run: RunRecord | None) -> dict[str, Any]:
    """The spec with paths that hold wherever the command is started."""
    return {
        **spec.to_json(),
        "flow": flow_source(spec.flow).source,
        "data": str(Path(spec.data).resolve()) if spec.data is not None else None,
        "source_run": str(source_run.path) if source_run else None,
        "recording": str(spec.recording.resolve()) if spec.recording else None,
    }


def _warnings(
    job: Job, record: RunRecord, mapping: RowMapping, about: Mapping[str, Any], sources: Sources
) -> list[str]:
    found = [f"The mapping names {name!r}, which is no input of the flow." for name in mapping.unknown]
    for item in about["warnings"]:
        where = f"{item['file']}:{item['line']}: " if item["line"] else ""
        found.append(f"{where}{item['message']}{' ' + item['hint'] if item['hint'] else ''}")
    if sources.data is not None and sources.data.scan.skipped:
        bad = sources.data.scan.first_bad[0].error
        count = sources.data.scan.skipped
        what = "1 row cannot be read and is" if count == 1 else f"{count} rows cannot be read and are"
        found.append(f"{what} left out; the first: {bad}")
    found += _columns_with_gaps(mapping, about["inputs"], sources)
    if job.earlier is not None and job.earlier.flow.get("digest") != record.flow["digest"]:
        found.append("The flow's files have changed since the run was started; its rows come from both versions.")
    return found


def _columns_with_gaps(mapping: RowMapping, inputs: Mapping[str, Mapping[str, Any]], sources: Sources) -> Iterator[str]:
    """Rows that lack a column whose input has a default: they would get it unnoticed. Without one the row fails."""
    data = sources.data
    if data is None:
        return
    for name, (source, column) in mapping.lookups.items():
        lacking = data.scan.rows - data.scan.counts.get(column, 0)
        if source != "data" or not lacking or not inputs.get(name, {}).get("has_default"):
            continue
        first = next((row for row in read_rows(data.path, on_bad_row="skip") if column not in row.values), None)
        where = f"{first.file}:{first.line}: " if first is not None else ""
        who = "row has" if lacking == 1 else "rows have"
        yield (
            f"{where}{lacking:,} of {data.scan.rows:,} {who} no column {column!r}; the input {name!r} takes its default"
            " there."
        )


def now_text() -> str:
    """The time, in UTC, as records hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def without_secrets(record: RunRecord, redactor: Redactor) -> RunRecord:
    """The record as it may be written."""
    names = ("parameters", "spec", "mapping", "labels", "metrics", "aggregation", "stopped")
    changed = {name: redactor.json(getattr(record, name)) for name in names}
    failures = tuple(replace(item, message=redactor(item.message)) for item in record.failures)
    return replace(record, **changed, failures=failures, warnings=tuple(map(redactor, record.warnings)))
