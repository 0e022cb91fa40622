"""What is asked of a run: one frozen record from the first door to the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any, Literal

from genaiops.errors import SettingsError
from genaiops.records import record

ModelCalls = Literal["live", "record", "replay"]
MODEL_ROWS_IN_FLIGHT = 128
PYTHON_ROWS_IN_FLIGHT = 16


@record(frozen=True, kw_only=True)
class FlowRequest:
    """A flow and how its host is to be set up: all that decides how one row runs.

    Args:
        flow: A folder, a flow file, `module:name`, or a callable that can be imported.
        variant: `node.variant`, `${node.variant}`, a bare variant, or node to variant.
        overrides: Dotted places in the flow and their values (`nodes.ask.inputs.temperature`).
        connections: Other connections or deployments for nodes (`ask.connection`: name).
        environment_variables: They win over the flow's own, which win over the process's.
        init: Constructor arguments of a class flow, or overrides of a prompty.
        model_calls: Whether models are called, recorded too, or replayed.
        recording: The file of the recording.
        keep: Keep results of nodes by content and use them again.
        repeat: Which repetition this is, for kept results of noisy models.
        trace: Write spans. `PF_DISABLE_TRACING` turns them off too.
        trace_share: The share of rows whose spans are written, a fraction.
        environment: `current` runs in this interpreter, `auto` builds an environment when the flow's requirements are
            not met here, a path names an interpreter or an environment.
        imports: Who serves `import promptflow` in flow code: `own`, `installed`, or `auto`.
        connection_folders: More folders whose `connections` the flow may name, for messages only.
        budget_rpm: Requests a minute to one deployment; by default `GENAIOPS_RPM`, else no limit of ours.
        budget_tpm: Tokens a minute to one deployment; by default `GENAIOPS_TPM`, else no limit of ours.
    """

    flow: str | Path | Callable[..., Any]
    variant: str | Mapping[str, str] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    connections: Mapping[str, Any] = field(default_factory=dict)
    environment_variables: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] | None = None
    model_calls: ModelCalls = "live"
    recording: Path | None = None
    keep: bool = True
    repeat: int = 0
    trace: bool = True
    trace_share: float = 1.0
    environment: str | Path = "auto"
    imports: str = "auto"
    budget_rpm: float | None = None
    budget_tpm: float | None = None


@record(frozen=True, kw_only=True)
class RunSpec(FlowRequest):
    """One flow over one dataset.

    Args:
        data: The dataset: a file or a folder.
        mapping: Flow input to `${data.column}`, `${run.outputs.name}`, `${run.inputs.column}` or a literal.
        source_run: An earlier run whose outputs and inputs the mapping may name: its id or its folder.
        limit: At most this many rows.
        concurrency: Rows in flight; by default `PF_WORKER_COUNT`, else 128 for flows that call models, else 16.
        processes: Hosts that share the rows, for Python that keeps a processor busy.
        timeout_s: The run stops after so many seconds, rows that are not finished fail; by default
            `PF_BATCH_TIMEOUT_SEC`, else never.
        row_timeout_s: A row fails after so many seconds; by default `PF_LINE_TIMEOUT_SEC`, else 600; infinity is none.
        on_bad_row: `stop` refuses a dataset with a row that cannot be read; `skip` leaves such rows out, counted.
        max_failed: The share of failed rows that is still a success, a fraction.
        name: The id of the run; by default made of flow, variant, time and chance.
        folder: Where the run is written; by default a folder of its own in the state folder.
        strict_mapping: A mapping for an input that the flow lacks is an error; else a warning.
        max_calls: Stop cleanly after so many model calls.
        budget_usd: Stop cleanly after so many dollars.
        labels: Free words that are stored with the run: experiment, cell, evaluator.
    """

    data: str | Path | None = None
    mapping: Mapping[str, Any] = field(default_factory=dict)
    source_run: str | Path | None = None
    limit: int | None = None
    concurrency: int | None = None
    processes: int = 1
    timeout_s: float | None = None
    row_timeout_s: float | None = None
    on_bad_row: Literal["stop", "skip"] = "stop"
    max_failed: float = 0.0
    name: str | None = None
    folder: Path | None = None
    strict_mapping: bool = True
    max_calls: int | None = None
    budget_usd: float | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse options that mean nothing.

        Raises:
            SettingsError: Which one, and what was expected.
        """
        _at_least(self.processes, 1, "processes")
        _at_least(self.concurrency, 1, "concurrency")
        _at_least(self.limit, 1, "limit")
        for name in ("timeout_s", "row_timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"{name} must be more than 0 seconds, not {value:g}.")
        for name in ("max_failed", "trace_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
        if self.data is None and self.source_run is None:
            raise SettingsError("A run needs data, an earlier run, or both.", hint="Give --data FILE or --run RUN.")

    def to_json(self) -> dict[str, Any]:
        """Everything that is needed to run it again, as JSON data."""
        form: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "flow" and callable(value):
                value = f"{value.__module__}:{value.__qualname__}"
            form[item.name] = _plain(value)
        return form

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_json` wrote; fields that this version does not know are left out."""
        known = {item.name for item in fields(cls)}
        spec = cls(**{name: value for name, value in form.items() if name in known})
        folder = Path(spec.folder) if spec.folder else None
        recording = Path(spec.recording) if spec.recording else None
        return replace(spec, folder=folder, recording=recording)


def _at_least(value: int | None, least: int, name: str) -> None:
    if value is not None and value < least:
        raise SettingsError(f"{name} must be at least {least}, not {value}.")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    # Objects that an SDK passed (a connection, a model configuration) cannot be run again from the file.
    return repr(value)
