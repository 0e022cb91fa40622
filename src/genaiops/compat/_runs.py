"""A run as code written for prompt flow sees it: `Run`, its states, `load_run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._error_form import bulk_run_error, to_error_form

if TYPE_CHECKING:
    from genaiops.runs import RunRecord

LABEL = "promptflow"
"""The label of a run record that holds display name, description, tags and whether the run is archived."""


class Status(Enum):
    """States of a run, a row, a node."""

    Running = "Running"
    Preparing = "Preparing"
    Completed = "Completed"
    Failed = "Failed"
    Bypassed = "Bypassed"
    Canceled = "Canceled"
    NotStarted = "NotStarted"
    CancelRequested = "CancelRequested"

    @staticmethod
    def is_terminated(status: Status) -> bool:
        """Nothing will happen any more."""
        return status in (Status.Completed, Status.Failed, Status.Bypassed, Status.Canceled)


class RunStatus:
    """States of a run as texts."""

    QUEUED = "Queued"
    NOT_STARTED = "NotStarted"
    PREPARING = "Preparing"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    RUNNING = "Running"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELED = "Canceled"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @classmethod
    def get_terminated_statuses(cls) -> list[str]:
        """Those in which nothing will happen any more."""
        return [cls.COMPLETED, cls.FAILED, cls.CANCELED]


class RunMode(StrEnum):
    """How a flow is executed."""

    Test = "Test"
    SingleNode = "SingleNode"
    Batch = "Batch"


@dataclass
class Run:
    """A run: what is asked for, and once it ran what became of it.

    `status` is `Completed` when at least one row completed and nothing after the rows failed; a run in which every row
    failed is `Failed`, because nobody can use it.
    """

    flow: Any = None
    name: str | None = None
    data: str | Path | None = None
    run: Any = None
    variant: str | None = None
    column_mapping: Mapping[str, Any] | None = None
    connections: Mapping[str, Any] | None = None
    environment_variables: Any = None
    init: Any = None
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, Any] | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    resume_from: Any = None
    record: RunRecord | None = field(default=None, repr=False)

    @classmethod
    def of(cls, record: RunRecord) -> Run:
        """The run of a record."""
        own = label_of(record)
        return cls(
            flow=record.flow.get("source"),
            name=record.id,
            data=record.dataset.get("path"),
            run=record.source_run,
            variant=variant_text(record),
            column_mapping=dict(record.mapping),
            display_name=own.get("display_name") or record.id,
            description=own.get("description"),
            tags=own.get("tags"),
            properties=_properties(record),
            record=record,
        )

    @property
    def status(self) -> str:
        """`NotStarted`, `Running`, `Completed`, `Failed` or `Canceled`."""
        return RunStatus.NOT_STARTED if self.record is None else status_of(self.record)

    @property
    def created_on(self) -> str | None:
        """When it began, ISO 8601."""
        return self.record.created if self.record else None

    @property
    def _output_path(self) -> Path | None:
        return Path(output_path(self.record)) if self.record else None

    def _to_dict(self) -> dict[str, Any]:
        return {} if self.record is None else run_dict(self.record)

    def __str__(self) -> str:
        import json

        return json.dumps(self._to_dict() or {"name": self.name, "status": self.status}, indent=4, default=str)


def load_run(source: str | Path, params_override: list[Mapping[str, Any]] | None = None, **_: Any) -> Run:
    """A run described in a YAML file, not started: give it to `PFClient().runs.create_or_update`.

    Paths in the file are relative to it.

    Raises:
        FlowDefinitionError: The file cannot be read or holds no run.
    """
    from genaiops.compat._run_file import read_run_file

    form = read_run_file(Path(source), overrides=params_override or ())
    return Run(**form)


def status_of(record: RunRecord) -> str:
    """The state of a run in prompt flow's words, with one run that it would call completed called failed."""
    if record.status == "running":
        return RunStatus.RUNNING if record.is_running() else RunStatus.CANCELED
    if record.status == "interrupted":
        return RunStatus.CANCELED
    if record.status == "failed" or (record.rows.failed and not record.rows.completed):
        return RunStatus.FAILED
    return RunStatus.COMPLETED


def label_of(record: RunRecord) -> dict[str, Any]:
    """Display name, description, tags, archived."""
    found = record.labels.get(LABEL)
    return dict(found) if isinstance(found, Mapping) else {}


def relabel(record: RunRecord, **changes: Any) -> RunRecord:
    """The record with another display name, description, tags or archived mark, saved."""
    own = {**label_of(record), **changes}
    changed = replace(record, labels={**record.labels, LABEL: {key: value for key, value in own.items() if value}})
    changed.save()
    return changed


def output_path(record: RunRecord) -> str:
    """The folder of the run in prompt flow's layout when it was written, else the record's own."""
    return str(label_of(record).get("output_path") or record.path)


def is_archived(record: RunRecord) -> bool:
    """Left out of lists."""
    return bool(label_of(record).get("archived"))


def variant_text(record: RunRecord) -> str | None:
    """`${node.variant}` of the first variant in force."""
    return next((f"${{{node}.{variant}}}" for node, variant in record.variant.items()), None)


def run_dict(record: RunRecord, *, with_error_details: bool = True) -> dict[str, Any]:
    """What `pf run show` prints.

    Args:
        record: The run.
        with_error_details: Each failed row's error too, as `show` does and `list` does not.
    """
    own = label_of(record)
    form: dict[str, Any] = {
        "name": record.id,
        "created_on": record.created,
        "status": status_of(record),
        "display_name": own.get("display_name") or record.id,
        "description": own.get("description"),
        "tags": own.get("tags"),
        "properties": _properties(record),
        "flow_name": record.flow.get("name"),
        "data": record.dataset.get("path"),
        "output": str(Path(output_path(record)) / "flow_outputs"),
    }
    if record.source_run:
        form["run"] = record.source_run
    error = run_error(record, with_details=with_error_details)
    if error is not None:
        form["error"] = error
    return form


def run_error(record: RunRecord, *, with_details: bool = True) -> dict[str, Any] | None:
    """The error of a run in prompt flow's form; None when all rows completed and nothing else failed."""
    stopped = record.stopped or {}
    aggregation = record.aggregation.get("error")
    if not record.rows.failed and not aggregation and not stopped.get("error"):
        return None
    errors = _row_errors(record) if with_details else []
    if aggregation:
        name = aggregation.get("node") or "__aggregate__"
        errors.append({"aggregation_node_name": name, "error": to_error_form(aggregation) or {}})
    if not errors and record.failures:
        first = record.failures[0].to_json()
        errors = [{"line_number": first["row"], "error": to_error_form(first) or {}}]
    if not errors and stopped.get("error"):
        return to_error_form(stopped["error"])
    form = bulk_run_error(record.rows.failed, record.rows.completed + record.rows.failed, errors)
    if not with_details:
        for key in ("additionalInfo", "debugInfo"):
            form.pop(key)
    return form


def _row_errors(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {"line_number": outcome["row"], "error": to_error_form(outcome.get("error")) or {}}
        for outcome in record.outcomes()
        if outcome["status"] != "completed"
    ]


def _properties(record: RunRecord) -> dict[str, Any]:
    sent, received = int(record.tokens.get("input") or 0), int(record.tokens.get("output") or 0)
    properties: dict[str, Any] = {
        "flow_path": record.flow.get("source"),
        "output_path": output_path(record),
        "system_metrics": {
            "total_tokens": sent + received,
            "prompt_tokens": sent,
            "completion_tokens": received,
            "duration": record.duration_s,
        },
    }
    if record.source_run:
        properties["run"] = record.source_run
    if record.mapping:
        properties["column_mapping"] = dict(record.mapping)
    if record.variant:
        properties["variant"] = variant_text(record)
    if record.parameters.get("init"):
        properties["init_kwargs"] = record.parameters["init"]
    return properties


def detail_rows(record: RunRecord, *, limit: int | None = None) -> list[dict[str, Any]]:
    """`inputs.x` and `outputs.y` of each row; outputs of a failed row are `(Failed)`."""
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    outputs: dict[str, None] = {}
    for number, outcome in enumerate(record.outcomes()):
        if limit is not None and number >= limit:
            break
        row = {f"inputs.{key}": value for key, value in (outcome.get("inputs") or {}).items()}
        row["inputs.line_number"] = outcome["row"]
        rows.append(row)
        if outcome["status"] == "completed":
            row |= {f"outputs.{key}": value for key, value in outcome["outputs"].items()}
            outputs |= dict.fromkeys(f"outputs.{key}" for key in outcome["outputs"])
        else:
            failed.append(row)
    for row in failed:
        row |= dict.fromkeys(outputs, "(Failed)")
    return rows
