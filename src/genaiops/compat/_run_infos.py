"""The records that prompt flow writes of a row (`FlowRunInfo`) and of a node (`RunInfo`), made from an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from genaiops.compat._error_form import to_error_form

STATUS = {
    "completed": "Completed",
    "failed": "Failed",
    "bypassed": "Bypassed",
    "canceled": "Canceled",
    "interrupted": "Canceled",
    "running": "Running",
}
FLOW_ID = "default_flow_id"


def flow_run_info(
    outcome: Mapping[str, Any],
    *,
    run: str,
    start: datetime,
    row: int = 0,
    metrics: Mapping[str, Any] | None = None,
    source_run: str | None = None,
    with_result: bool = False,
    message_format: str = "basic",
) -> dict[str, Any]:
    """The record of one row.

    Args:
        outcome: A line of `outcomes.jsonl`.
        run: The run's name; the row's record is called `RUN_ROW`.
        start: When the row began.
        row: Its number.
        metrics: Those of a single run, where aggregation ran on the one row.
        source_run: The run whose outputs were mapped.
        with_result: Repeat the outputs under `result`, as single runs do.
        message_format: The flow's, for images.
    """
    duration_s = float(outcome.get("duration_s") or 0.0)
    end = start + timedelta(seconds=duration_s)
    output = outcome.get("outputs") if outcome["status"] == "completed" else None
    error = to_error_form(outcome.get("error"))
    usage = _system_metrics(duration_s, outcome.get("tokens"), always=True)
    call: dict[str, Any] = {
        "name": "flow",
        "node_name": "flow",
        "type": "Flow",
        "start_time": start.timestamp(),
        "end_time": end.timestamp(),
        "children": [],
        "system_metrics": usage,
        "inputs": outcome.get("inputs"),
        "output": output,
        "error": error,
    }
    return {
        "run_id": f"{run}_{row}",
        "status": STATUS[outcome["status"]],
        "error": error,
        "inputs": outcome.get("inputs"),
        "output": output,
        "metrics": dict(metrics) if metrics else None,
        "request": None,
        "parent_run_id": run,
        "root_run_id": run,
        "source_run_id": source_run,
        "flow_id": FLOW_ID,
        "start_time": with_zone(start),
        "end_time": with_zone(end),
        "index": row,
        "api_calls": [call],
        "name": "",
        "description": "",
        "tags": None,
        "system_metrics": usage,
        "result": output if with_result else None,
        "upload_metrics": False,
        "otel_trace_id": outcome.get("trace_id"),
        "message_format": message_format,
    }


def node_run_info(
    name: str,
    node: Mapping[str, Any],
    *,
    run: str,
    start: datetime,
    row: int | None,
    with_result: bool = False,
    message_format: str = "basic",
) -> dict[str, Any]:
    """The record of one node in one row; `row` None stands for a node that ran after all rows."""
    begin = start + timedelta(seconds=float(node.get("started_s") or 0.0))
    duration_s = float(node.get("duration_s") or 0.0)
    output = node.get("output")
    return {
        "node": name,
        "flow_run_id": run,
        "run_id": f"{run}_{name}_{'reduce' if row is None else row}",
        "status": STATUS[node["status"]],
        "inputs": node.get("inputs"),
        "output": output,
        "metrics": None,
        "error": to_error_form(node.get("error")),
        "parent_run_id": run if row is None else f"{run}_{row}",
        "start_time": with_zone(begin),
        "end_time": with_zone(begin + timedelta(seconds=duration_s)),
        "index": row,
        "api_calls": [],
        "cached_run_id": None,
        "cached_flow_run_id": None,
        "logs": {"stdout": "", "stderr": ""},
        "system_metrics": _system_metrics(duration_s, node.get("tokens"), always=False),
        "result": output if with_result else None,
        "message_format": message_format,
    }


def _system_metrics(duration_s: float, tokens: Mapping[str, Any] | None, *, always: bool) -> dict[str, Any]:
    sent, received = int((tokens or {}).get("input") or 0), int((tokens or {}).get("output") or 0)
    metrics: dict[str, Any] = {"duration": round(duration_s, 6)}
    if always or sent or received:
        metrics |= {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
    return metrics


def with_zone(when: datetime) -> str:
    """A time as prompt flow's inner records write it: UTC, ending in `Z`."""
    return f"{without_zone(when)}Z"


def without_zone(when: datetime) -> str:
    """A time as prompt flow's outer records write it: UTC without a mark."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat()


def parse_time(text: str | None) -> datetime | None:
    """A time that any of the files holds; without a zone it is UTC."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
