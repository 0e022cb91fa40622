"""Production requests and feedback as a dataset."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genaiops.errors import DataError
from genaiops.experiments._log_columns import FEEDBACK, OUTPUT, REQUEST, has_feedback, is_input
from genaiops.experiments._masking import mask_value
from genaiops.records import record


@record(frozen=True, kw_only=True)
class LogSample:
    """What was written.

    Args:
        path: The dataset.
        rows: Rows in it.
        requests: Requests in the log.
        with_feedback: Rows that somebody said something about.
    """

    path: Path
    rows: int
    requests: int
    with_feedback: int


def dataset_from_logs(
    logs: Path,
    target: Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    only_feedback: bool = False,
    failed: bool = False,
    since: float | None = None,
    until: float | None = None,
    keep_doubles: bool = False,
    mask: bool = True,
) -> LogSample:
    """Write logged requests as rows: inputs by name, outputs as `output.NAME`, feedback as `feedback.NAME`.

    Feedback that is no object stands in `feedback`. Beside them stand `request.id`, `request.duration_s` and, for a
    request that failed, `request.error`, its kind.

    Args:
        logs: A folder of request logs, or one file; lines are outcomes as a run or a server writes them.
        target: The JSON Lines file to write.
        sample: At most so many rows, drawn without replacement.
        seed: The same seed draws the same rows.
        only_feedback: Only requests that somebody said something about.
        failed: Failed requests too, also those that nobody said anything about.
        since: Only requests logged then or later, in seconds since 1970.
        until: Only requests logged before.
        keep_doubles: Keep requests whose inputs were seen before; otherwise the latest of them stays.
        mask: Take personal data out of the rows, see `mask_text`.

    Raises:
        DataError: There are no logs, or none of their requests can be used.
    """
    files = sorted(logs.glob("*.jsonl")) if logs.is_dir() else [logs]
    lines = [line for file in files for line in _lines(file)]
    if not lines:
        raise DataError(f"There are no logged requests in {str(logs)!r}.", file=logs)
    feedback: dict[str, Any] = {line["request_id"]: line["feedback"] for line in lines if "feedback" in line}
    rows: list[dict[str, Any]] = []
    requests = 0
    for line in sorted(lines, key=_when):
        if "status" not in line:
            continue
        requests += 1
        said = feedback.get(str(line.get("request_id")))
        is_failed = line["status"] != "completed"
        if not isinstance(line.get("inputs"), dict) or (is_failed and not failed):
            continue
        if not (since or 0) <= _when(line)[0] < (until or float("inf")):
            continue
        if only_feedback and said is None and not is_failed:  # nobody says anything about an answer that never came
            continue
        rows.append(_row(line, said))
    if not keep_doubles:
        rows = _without_doubles(rows)
    if mask:
        rows = [_masked(row) for row in rows]
    if not rows:
        raise DataError(f"None of the {requests} logged requests can be used.", file=logs)
    if sample is not None and sample < len(rows):
        chosen = sorted(random.Random(seed).sample(range(len(rows)), sample))  # noqa: S311 - a sample, no secret
        rows = [rows[index] for index in chosen]
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    target.write_text(text, encoding="utf-8")
    return LogSample(
        path=target, rows=len(rows), requests=requests, with_feedback=sum(has_feedback(row) for row in rows)
    )


def _when(line: dict[str, Any]) -> tuple[float, str]:
    """Workers write files of their own: the time puts their requests in one order, the id breaks ties."""
    return float(line.get("time") or 0), str(line.get("request_id"))


def _without_doubles(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for the same inputs: the latest with feedback, else the latest."""
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        inputs = {name: value for name, value in row.items() if is_input(name)}
        key = json.dumps(inputs, sort_keys=True, default=str)
        if key not in kept or has_feedback(row) or not has_feedback(kept[key]):
            kept[key] = row
    return list(kept.values())


def _row(line: dict[str, Any], said: Any) -> dict[str, Any]:
    row = dict(line["inputs"])
    row |= {f"{OUTPUT}{name}": value for name, value in (line.get("outputs") or {}).items()}
    facts = {"id": line.get("request_id"), "duration_s": line.get("duration_s")}
    if line["status"] != "completed":
        facts["error"] = (line.get("error") or {}).get("kind") or "failed"
    row |= {f"{REQUEST}{name}": value for name, value in facts.items() if value is not None}
    return row | _said(said)


def _said(said: Any) -> dict[str, Any]:
    """Feedback as columns; the request's id, which clients send along, stands in the row already."""
    if said is None:
        return {}
    if not isinstance(said, dict):
        return {FEEDBACK: said}
    return {f"{FEEDBACK}.{name}": value for name, value in said.items() if name != "request_id"}


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """Without personal data; the ids of requests are ours and lead back to the log."""
    return {name: value if name.startswith(REQUEST) else mask_value(value) for name, value in row.items()}


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; a torn last one is left out."""
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(value, dict):
                yield value
