"""A run as the folder that prompt flow would have left: for scripts that read its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from genaiops.compat._error_form import bulk_run_error, to_error_form
from genaiops.compat._run_infos import flow_run_info, node_run_info, parse_time, without_zone
from genaiops.errors import DataError

if TYPE_CHECKING:
    from genaiops.runs import RunRecord

_SKIPPED = (".git", ".runs", ".promptflow", ".genaiops", "__pycache__", ".venv", "node_modules")


class LocalStorageFilenames:
    """Names in a run's folder."""

    SNAPSHOT_FOLDER = "snapshot"
    DAG = "flow.dag.yaml"
    FLOW_TOOLS_JSON = "flow.tools.json"
    INPUTS = "inputs.jsonl"
    OUTPUTS = "outputs.jsonl"
    DETAIL = "detail.json"
    METRICS = "metrics.json"
    LOG = "logs.txt"
    EXCEPTION = "error.json"
    META = "meta.json"
    FLOW_LOGS_FOLDER = "flow_logs"


def export_promptflow_layout(
    record: RunRecord, folder: str | Path, *, snapshot: bool = True, artifacts: bool = True
) -> Path:
    """Write a run in prompt flow's layout.

    `inputs.jsonl`, `outputs.jsonl`, `flow_outputs/output.jsonl`, `flow_artifacts/`, `node_artifacts/`, `metrics.json`,
    `error.json`, `logs.txt`, `meta.json` and, when the flow's folder is still there, `snapshot/`. Rows are read one at
    a time. Rows are said to begin when the run began: when each row began is in the traces, not in the outcomes.

    Args:
        record: The run.
        folder: Where to; it must be empty or absent.
        snapshot: Copy the flow too.
        artifacts: Write the files of each row and node too; for a million rows that is millions of files.

    Returns:
        The folder.

    Raises:
        DataError: The folder holds something.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise DataError(f"The folder {str(target)!r} is not empty.", hint="Name a new folder.")
    target.mkdir(parents=True, exist_ok=True)
    start = parse_time(record.created) or datetime.fromtimestamp(0, UTC)
    errors = _write_rows(record, target, start, artifacts=artifacts)
    errors += _write_aggregation(record, target, start)
    _write_json(target / LocalStorageFilenames.METRICS, dict(record.metrics))
    _write_json(target / LocalStorageFilenames.META, {"batch_size": 1})
    if errors:
        failed = sum("line_number" in error for error in errors)
        ran = record.rows.completed + record.rows.failed
        _write_json(target / LocalStorageFilenames.EXCEPTION, bulk_run_error(failed, ran, errors))
    _copy_logs(record, target)
    if snapshot:
        _copy_snapshot(record, target / LocalStorageFilenames.SNAPSHOT_FOLDER)
    return target


def _write_rows(record: RunRecord, target: Path, start: datetime, *, artifacts: bool) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = []
    if artifacts:
        (target / "flow_artifacts").mkdir()
    (target / "flow_outputs").mkdir()
    with ExitStack() as stack:
        inputs = _open(stack, target / LocalStorageFilenames.INPUTS)
        outputs = _open(stack, target / LocalStorageFilenames.OUTPUTS)
        flow_outputs = _open(stack, target / "flow_outputs" / "output.jsonl")
        for outcome in record.outcomes():
            row = int(outcome["row"])
            given = {**(outcome.get("inputs") or {}), "line_number": row}
            _write_line(inputs, given)
            if outcome["status"] == "completed":
                _write_line(outputs, {**outcome["outputs"], "line_number": row})
                _write_line(flow_outputs, {"line_number": row, **outcome["outputs"]})
            else:
                errors.append({"line_number": row, "error": to_error_form(outcome.get("error")) or {}})
            if artifacts:
                _write_artifacts(record, target, {**outcome, "inputs": given}, start, row)
    return errors


def _write_artifacts(record: RunRecord, target: Path, outcome: Mapping[str, Any], start: datetime, row: int) -> None:
    info = flow_run_info(outcome, run=record.id, start=start, row=row, source_run=record.source_run)
    line = {"line_number": row, "run_info": info, **_times(info), "name": "", "description": ""}
    line |= {"status": info["status"], "tags": None}
    _write_json(target / "flow_artifacts" / f"{row:09d}_{row:09d}.jsonl", line)
    for name, node in (outcome.get("nodes") or {}).items():
        _write_node(target, name, node_run_info(name, node, run=record.id, start=start, row=row), row)


def _write_aggregation(record: RunRecord, target: Path, start: datetime) -> list[dict[str, Any]]:
    nodes: Mapping[str, Any] = record.aggregation.get("nodes") or {}
    errors = []
    for name, node in nodes.items():
        _write_node(target, name, node_run_info(name, node, run=record.id, start=start, row=None), None)
        if node.get("error"):
            errors.append({"aggregation_node_name": name, "error": to_error_form(node["error"]) or {}})
    return errors


def _write_node(target: Path, name: str, info: Mapping[str, Any], row: int | None) -> None:
    folder = target / "node_artifacts" / name
    folder.mkdir(parents=True, exist_ok=True)
    line = {"NodeName": name, "line_number": row, "run_info": info, **_times(info), "status": info["status"]}
    _write_json(folder / f"{row or 0:09d}.jsonl", line)


def _times(info: Mapping[str, Any]) -> dict[str, str]:
    return {key: without_zone(when) for key in ("start_time", "end_time") if (when := parse_time(info[key]))}


def _copy_logs(record: RunRecord, target: Path) -> None:
    logs = record.path / "logs.txt"
    text = logs.read_text(encoding="utf-8", errors="replace") if logs.is_file() else ""
    (target / LocalStorageFilenames.LOG).write_text(text, encoding="utf-8")


def _copy_snapshot(record: RunRecord, target: Path) -> None:
    source = Path(str(record.flow.get("source") or ""))
    folder = source if source.is_dir() else source.parent
    if not record.flow.get("source") or not folder.is_dir() or folder == Path():
        return
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*_SKIPPED), symlinks=False, dirs_exist_ok=True)


def _open(stack: ExitStack, path: Path) -> TextIO:
    return stack.enter_context(path.open("w", encoding="utf-8", newline="\n"))


def _write_line(file: TextIO, value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, default=str), encoding="utf-8")
