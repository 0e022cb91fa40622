"""Runs that prompt flow left on disk, read into our records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._error_form import from_error_form
from genaiops.compat._run_infos import parse_time
from genaiops.errors import DataError

if TYPE_CHECKING:
    from genaiops.runs import RunRecord
    from genaiops.settings import Settings

_STATUS = {"Completed": "completed", "Bypassed": "bypassed", "Canceled": "canceled"}


def import_promptflow_run(
    folder: str | Path, settings: Settings, *, name: str | None = None, target: Path | None = None
) -> RunRecord:
    """Read a run's folder (`~/.promptflow/.runs/NAME`) into a run record of this project.

    Args:
        folder: The run's folder, with `flow_artifacts/` or at least `flow_outputs/output.jsonl`.
        settings: Where the project keeps its runs.
        name: The new run's id; by default the folder's name.
        target: Where the record is written; by default among the project's runs.

    Returns:
        The record, saved.

    Raises:
        DataError: It is no such folder, a file in it cannot be read, or there is a run of this name.
    """
    source = Path(folder).resolve()
    if not (source / "flow_artifacts").is_dir() and not (source / "flow_outputs" / "output.jsonl").is_file():
        raise DataError(
            f"{str(source)!r} is not the folder of a prompt flow run: it has neither flow_artifacts nor flow_outputs.",
            hint="Prompt flow keeps runs in ~/.promptflow/.runs/NAME.",
        )
    run = name or source.name
    place = target or settings.state / "runs" / run
    if place.exists() and any(place.iterdir()):
        raise DataError(f"There is a run {run!r} already.", hint="Give another name.", kind="RunExistsError")
    place.mkdir(parents=True, exist_ok=True)
    try:
        return _read_into(source, place, run)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _read_into(source: Path, place: Path, run: str) -> RunRecord:
    from genaiops.runs import RowCounts, RunRecord

    facts = _Facts()
    with (place / "outcomes.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for outcome in _outcomes(source):
            facts.count(outcome)
            file.write(json.dumps(outcome, ensure_ascii=False, separators=(",", ":")) + "\n")
    aggregation = _aggregation(source)
    record = RunRecord(
        id=run,
        path=place,
        status="failed" if facts.failed or aggregation.get("error") else "completed",
        flow={"source": str(source / "snapshot"), "name": _flow_name(source), "kind": "graph"},
        rows=RowCounts(total=facts.rows, completed=facts.rows - facts.failed, failed=facts.failed),
        metrics=_read_json(source / "metrics.json") or {},
        aggregation=aggregation,
        tokens=facts.tokens,
        duration_s=facts.duration_s,
        created=facts.created,
        finished=facts.finished or None,
        failures=_failures(place / "outcomes.jsonl"),
        labels={"imported_from": str(source), "format": "promptflow"},
    )
    _copy_logs(source, place)
    record.save()
    return record


class _Facts:
    """What is summed up over the rows."""

    def __init__(self) -> None:
        self.rows = self.failed = 0
        self.tokens = {"input": 0, "output": 0, "cached": 0}
        self.first: datetime | None = None
        self.last: datetime | None = None

    def count(self, outcome: dict[str, Any]) -> None:
        self.rows += 1
        self.failed += outcome["status"] != "completed"
        for key in ("input", "output"):
            self.tokens[key] += outcome["tokens"][key]
        start, end = (parse_time(outcome.pop(key)) for key in ("_start", "_end"))
        if start and (self.first is None or start < self.first):
            self.first = start
        if end and (self.last is None or end > self.last):
            self.last = end

    @property
    def created(self) -> str:
        return (self.first or datetime.fromtimestamp(0, UTC)).isoformat()

    @property
    def finished(self) -> str:
        return self.last.isoformat() if self.last else ""

    @property
    def duration_s(self) -> float:
        return (self.last - self.first).total_seconds() if self.first and self.last else 0.0


def _outcomes(source: Path) -> Iterator[dict[str, Any]]:
    files = sorted((source / "flow_artifacts").glob("*.jsonl"))
    if not files:
        yield from _outcomes_from_outputs(source)
        return
    nodes = _nodes_by_row(source)
    for file in files:
        for line in _lines(file):
            yield _outcome(line["run_info"], int(line["line_number"]), nodes)


def _outcomes_from_outputs(source: Path) -> Iterator[dict[str, Any]]:
    """Rows of a run whose artifacts are gone: their outputs are all there is."""
    for line in _lines(source / "flow_outputs" / "output.jsonl"):
        row = int(line.pop("line_number"))
        yield _form(row, "completed", None, line, None, {}, 0.0, {"input": 0, "output": 0, "cached": 0}, None, None)


def _outcome(info: Mapping[str, Any], row: int, nodes: Mapping[int, dict[str, Path]]) -> dict[str, Any]:
    inputs = info.get("inputs")
    if isinstance(inputs, dict):
        inputs = {key: value for key, value in inputs.items() if key != "line_number"}
    status = _STATUS.get(str(info.get("status")), "failed")
    read = {name: _node(_lines_of(path)[0]["run_info"]) for name, path in nodes.get(row, {}).items()}
    return _form(
        row,
        "completed" if status == "completed" else "failed",
        inputs,
        info.get("output") or {},
        from_error_form(info.get("error")),
        read,
        _duration_s(info),
        _tokens(info),
        info.get("start_time"),
        info.get("end_time"),
    )


def _form(
    row: int,
    status: str,
    inputs: Any,
    outputs: Any,
    error: Any,
    nodes: Any,
    duration_s: float,
    tokens: Any,
    start: Any,
    end: Any,
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "row": row,
        "status": status,
        "inputs": inputs,
        "outputs": outputs,
        "error": error,
        "nodes": nodes,
        "duration_s": duration_s,
        "tokens": tokens,
        "_start": start,
        "_end": end,
    }


def _node(info: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "status": _STATUS.get(str(info.get("status")), "failed"),
        "inputs": info.get("inputs"),
        "output": info.get("output"),
        "error": from_error_form(info.get("error"), node=info.get("node")),
        "duration_s": _duration_s(info),
        "started_s": 0.0,
        "kept": False,
        "tokens": _tokens(info),
    }


def _nodes_by_row(source: Path) -> dict[int, dict[str, Path]]:
    """Row to node to file; what ran after all rows is left out, and so is a file that is torn."""
    found: dict[int, dict[str, Path]] = {}
    for path in sorted((source / "node_artifacts").glob("*/*.jsonl")):
        lines = _lines_of(path)
        if lines and lines[0].get("line_number") is not None:
            found.setdefault(int(lines[0]["line_number"]), {})[path.parent.name] = path
    return found


def _aggregation(source: Path) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for path in sorted((source / "node_artifacts").glob("*/000000000.jsonl")):
        lines = _lines_of(path)
        if lines and lines[0].get("line_number") is None:
            nodes[path.parent.name] = _node(lines[0]["run_info"])
    errors = [node["error"] for node in nodes.values() if node["error"]]
    return {"nodes": nodes, "error": errors[0] if errors else None} if nodes else {}


def _failures(outcomes: Path) -> tuple[Any, ...]:
    """Failed rows by kind, the most frequent first."""
    from genaiops.runs import FailureKind

    counts: dict[str, int] = {}
    first: dict[str, tuple[int, dict[str, Any]]] = {}
    for outcome in _lines(outcomes):
        error = outcome.get("error")
        if outcome["status"] == "failed" and error:
            counts[error["kind"]] = counts.get(error["kind"], 0) + 1
            first.setdefault(error["kind"], (outcome["row"], error))
    return tuple(
        FailureKind(
            kind=kind,
            count=counts[kind],
            row=first[kind][0],
            message=first[kind][1]["message"],
            node=first[kind][1].get("node"),
            file=first[kind][1].get("file"),
            line=first[kind][1].get("line"),
        )
        for kind in sorted(counts, key=lambda kind: -counts[kind])
    )


def _duration_s(info: Mapping[str, Any]) -> float:
    return float((info.get("system_metrics") or {}).get("duration") or 0.0)


def _tokens(info: Mapping[str, Any]) -> dict[str, int]:
    metrics = info.get("system_metrics") or {}
    sent, received = metrics.get("prompt_tokens"), metrics.get("completion_tokens")
    return {"input": int(sent or 0), "output": int(received or 0), "cached": 0}


def _flow_name(source: Path) -> str:
    """The run's name without variant and time, which prompt flow puts behind the flow's name."""
    head = source.name.partition("_variant_")[0]
    return head.rstrip("0123456789_") or source.name


def _copy_logs(source: Path, place: Path) -> None:
    logs = source / "logs.txt"
    if logs.is_file():
        (place / "logs.txt").write_bytes(logs.read_bytes())


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"The file is not JSON: {error}", file=path) from error


def _lines_of(path: Path) -> list[dict[str, Any]]:
    return list(_lines(path))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"The line is not JSON: {error}", file=path, line=number) from error
