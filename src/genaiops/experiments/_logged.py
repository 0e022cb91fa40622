"""`outputs: logged`: what production answered is scored as it stands in the data; the application is not run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.datasets import digest, read_rows
from genaiops.evaluators import Joined, resolve
from genaiops.experiments._log_columns import OUTPUT, REQUEST, is_input
from genaiops.experiments._record import now
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._tasks import RunTask
from genaiops.runs import FailureKind, RowCounts, RunRecord
from genaiops.settings import Settings, state_folder


def logged_run(task: RunTask, spec: ExperimentSpec, settings: Settings) -> RunRecord:
    """The record of a run that production has made: its rows are the logged requests.

    A request without outputs failed; its kind of error stands in `request.error`.

    Args:
        task: The dataset, and what its run is called.
        spec: The use case.
        settings: Whose state folder holds runs.
    """
    path = task.dataset.path
    assert path is not None
    begun = now()
    lines = [_outcome(row.index, row.values, task) for row in read_rows(path, limit=task.spec.limit)]
    folder = state_folder(settings, "runs") / task.id
    folder.mkdir(parents=True, exist_ok=True)
    failed = [line for line in lines if line["status"] == "failed"]
    record = RunRecord(
        id=task.id,
        path=folder,
        status="completed",
        flow={"source": "logged", "name": Path(spec.flow_text).name, "kind": None, "digest": None},
        mapping=dict(task.dataset.mappings),
        dataset={"path": str(path), "sha256": digest(path), "rows": len(lines)},
        rows=RowCounts(total=len(lines), completed=len(lines) - len(failed), failed=len(failed)),
        failures=_kinds(failed),
        tokens={"input": 0, "output": 0},
        created=begun,
        finished=now(),
        labels=dict(task.spec.labels),
    )
    text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    record.outcomes_path.write_text(text, encoding="utf-8")
    record.save()
    return record


def _outcome(row: int, values: Mapping[str, Any], task: RunTask) -> dict[str, Any]:
    """The line of `outcomes.jsonl` for one request."""
    outputs = {name.removeprefix(OUTPUT): value for name, value in values.items() if name.startswith(OUTPUT)}
    kind = values.get(f"{REQUEST}error") or (None if outputs else "NoOutput")
    mapped = resolve(task.dataset.mappings, Joined(row, values, {}, values, {}))
    return {
        "schema_version": 1,
        "row": row,
        "status": "failed" if kind else "completed",
        "inputs": mapped or {name: value for name, value in values.items() if is_input(name)},
        "outputs": {} if kind else outputs,
        "error": _error(str(kind)) if kind else None,
        "nodes": {},
        "duration_s": values.get(f"{REQUEST}duration_s"),
        "tokens": {"input": 0, "output": 0, "cached": 0},
        "model_calls": 0,
        "kept": 0,
    }


def _error(kind: str) -> dict[str, Any]:
    message = "The request failed in production." if kind != "NoOutput" else "The request has no logged output."
    nowhere = {"node": None, "file": None, "line": None, "hint": None}
    return {"kind": kind, "type": kind, "message": message, **nowhere}


def _kinds(failed: Sequence[Mapping[str, Any]]) -> tuple[FailureKind, ...]:
    counts = Counter(line["error"]["kind"] for line in failed)
    first = {line["error"]["kind"]: line for line in reversed(failed)}
    return tuple(
        FailureKind(kind=kind, count=count, row=first[kind]["row"], message=first[kind]["error"]["message"])
        for kind, count in counts.most_common()
    )
