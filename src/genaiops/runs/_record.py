"""The record of a run: `run.json`, and what stands beside it in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any, Literal

from genaiops.errors import DataError
from genaiops.records import record
from genaiops.runs._lock import is_locked
from genaiops.runs._outcome_lines import read_outcomes

SCHEMA_VERSION = 1
RunStatus = Literal["running", "completed", "failed", "interrupted"]

RUN_FILE = "run.json"
OUTCOMES_FILE = "outcomes.jsonl"
METRICS_FILE = "metrics.json"
TRACES_FILE = "traces.jsonl"
LOGS_FILE = "logs.txt"
LOCK_FILE = "lock"
IMAGES_FOLDER = "images"


@record(frozen=True, kw_only=True)
class RowCounts:
    """How many rows there are, and what became of them. `skipped` ones could not be read or failed before."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def failed_share(self) -> float:
        """Failed rows among those that ran, a fraction."""
        ran = self.completed + self.failed
        return self.failed / ran if ran else 0.0

    def to_json(self) -> dict[str, int]:
        """The published JSON form."""
        return {"total": self.total, "completed": self.completed, "failed": self.failed, "skipped": self.skipped}


@record(frozen=True, kw_only=True)
class FailureKind:
    """Rows that failed in the same way, and the first of them."""

    kind: str
    count: int
    row: int | None
    message: str
    node: str | None = None
    file: str | None = None
    line: int | None = None
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@record(frozen=True, kw_only=True)
class RunRecord:
    """One flow over one dataset: what was asked, what became of it, and where the rest stands.

    Args:
        id: Unique, and by time among the runs of one flow.
        path: The run's folder.
        status: `completed`; `failed` (more failed rows than allowed, aggregation failed, stopped early);
            `interrupted` (stopped by a person or a budget; can be resumed); `running`.
        flow: `source`, `name`, `kind`, `digest` of its files.
        variant: Node to variant in force.
        parameters: Overrides, init, and what else was changed from the flow's files; secrets left out.
        mapping: The mapping in force, defaults included.
        dataset: `path`, `sha256`, `rows`; empty for a run over an earlier run alone.
        source_run: The id of the run whose outputs were mapped.
        metrics: What aggregation logged.
        aggregation: Outcomes of aggregation nodes, and their error.
        failures: Failed rows by kind, the most frequent first.
        stopped: Why the run ended before its last row: `reason`, `message`, the error that repeats.
        simulated: Some reply came from a simulated model.
        recorded: Some reply came from a recording.
        spec: All that `resume_run` needs.
        hosts: Hosts started, rows retried after a host died.
        models: What the limiter saw: retries, limits over time.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    path: Path
    status: RunStatus
    flow: Mapping[str, Any]
    variant: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    source_run: str | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    aggregation: Mapping[str, Any] = field(default_factory=dict)
    model_calls: int = 0
    kept: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict)
    cost_usd: float | None = None
    duration_s: float = 0.0
    created: str = ""
    finished: str | None = None
    failures: tuple[FailureKind, ...] = ()
    stopped: Mapping[str, Any] | None = None
    simulated: bool = False
    recorded: bool = False
    warnings: tuple[str, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    hosts: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 completed, 1 failed, 130 interrupted."""
        return {"completed": 0, "failed": 1}.get(self.status, 130)

    @property
    def aggregation_error(self) -> dict[str, Any] | None:
        """What aggregation failed with: it fails the run and none of its rows."""
        error = self.aggregation.get("error")
        names = ("kind", "type", "message", "node", "file", "line", "hint")
        return {name: error.get(name) for name in names} if error else None

    @property
    def outcomes_path(self) -> Path:
        """The file with one line a row."""
        return self.path / OUTCOMES_FILE

    def outcomes(self) -> Iterator[dict[str, Any]]:
        """The outcome of each row, by row, one at a time; of a row that ran twice the latest."""
        return read_outcomes(self.outcomes_path)

    def is_running(self) -> bool:
        """Whether a process works on it now. A run that was killed says `running` in its file and is not."""
        return is_locked(self.path / LOCK_FILE)

    def to_json(self) -> dict[str, Any]:
        """What `run.json` holds."""
        form = {item.name: getattr(self, item.name) for item in fields(self)}
        form["path"] = str(self.path)
        form["rows"] = self.rows.to_json()
        form["failures"] = [item.to_json() for item in self.failures]
        form["warnings"] = list(self.warnings)
        return form

    def summary(self) -> dict[str, Any]:
        """The published JSON form of `flow run --data --json`."""
        return {
            "schema_version": self.schema_version,
            "run": self.id,
            "path": str(self.path),
            "status": self.status,
            "rows": self.rows.to_json(),
            "metrics": dict(self.metrics),
            "model_calls": self.model_calls,
            "kept": self.kept,
            "tokens": dict(self.tokens),
            "cost_usd": self.cost_usd,
            "duration_s": self.duration_s,
            "failures": [item.to_json() for item in self.failures],
            "stopped": self.stopped,
            "simulated": self.simulated,
            "recorded": self.recorded,
            "warnings": list(self.warnings),
            "error": self.aggregation_error,
        }

    def save(self) -> None:
        """Write `run.json` and `metrics.json`, whole or not at all."""
        write_whole(self.path / RUN_FILE, self.to_json())
        write_whole(self.path / METRICS_FILE, dict(self.metrics))

    @classmethod
    def load(cls, path: str | Path) -> RunRecord:
        """Read the record of a run's folder.

        Raises:
            DataError: There is no run in this folder, or its file cannot be read.
        """
        folder = Path(path)
        file = folder / RUN_FILE
        try:
            form = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"There is no run in {str(folder)!r}.", kind="RunNotFoundError") from None
        except ValueError as error:
            raise DataError(f"The run's file cannot be read: {error}", file=file) from error
        if form.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"The run was written in form {form.get('schema_version')}; this version reads {SCHEMA_VERSION}.",
                file=file,
            )
        known = {item.name for item in fields(cls)}
        form = {name: value for name, value in form.items() if name in known}
        form["rows"] = RowCounts(**form["rows"])
        form["failures"] = tuple(FailureKind(**item) for item in form["failures"])
        form["warnings"] = tuple(form["warnings"])
        # A folder that was moved or copied is still the same run.
        return cls(**{**form, "path": folder.resolve()})


def write_whole(path: Path, value: Any) -> None:
    """Write a JSON file so that nobody ever sees half of it."""
    scratch = path.with_name(f".{path.name}.new")
    with scratch.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
