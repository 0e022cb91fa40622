"""From an experiment to runs, metrics, parameters, tags and files as MLflow has them; no server is needed for this."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any

from genaiops.experiments import ExperimentResult
from genaiops.records import record

ID_TAG = "genaiops.id"
DIGEST_TAG = "genaiops.digest"
_NAME = re.compile(r"[^\w\-. /:]")
_LONGEST_PARAMETER = 500
_LONGEST_TAG = 5000


@record(frozen=True, kw_only=True)
class MirroredRun:
    """One run of the tracking server.

    Args:
        key: Our id, by which the run is found again.
        status: `FINISHED`, `FAILED` or `KILLED`.
        start_ms: Since 1970.
        end_ms: Since 1970.
        files: What is copied, each to the top of the run's artefacts.
        traces: File of OTLP/JSON lines.
    """

    key: str
    name: str
    status: str
    start_ms: int
    end_ms: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    traces: Path | None = None

    @property
    def digest(self) -> str:
        """Changes when anything does that would be copied, files by their size and time."""
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]
        parts = [self.status, self.end_ms, dict(self.parameters), dict(self.metrics), dict(self.tags), files]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@record(frozen=True, kw_only=True)
class MirrorPlan:
    """An experiment as a run with a run below it for each of ours."""

    experiment: str
    parent: MirroredRun
    children: tuple[MirroredRun, ...]


def plan_mirror(result: ExperimentResult) -> MirrorPlan:
    """What the tracking server is to hold of an experiment."""
    data = result.data
    start = _milliseconds(data["created"])
    end = _milliseconds(data.get("finished") or data["created"])
    verdict, alert = data.get("verdict") or {}, data.get("alert") or {}
    tags = {
        **_shared_tags(data),
        "genaiops.plan": (data.get("plan") or {}).get("kind"),
        "genaiops.verdict": verdict.get("result"),
        "genaiops.alert": alert.get("words") or alert.get("result"),
        "mlflow.note.content": "\n\n".join([str(verdict.get("result", "")), *map(str, verdict.get("reasons") or ())]),
    }
    files = [result.path / name for name in ("experiment.json", str(data.get("row_scores") or "row_scores.jsonl"))]
    reports = [Path(path) for path in data.get("reports") or ()]
    parent = MirroredRun(
        key=str(data["id"]),
        name=str(data["id"]),
        status=_status(result.status),
        start_ms=start,
        end_ms=end,
        metrics=_numbers({name: data.get(name) for name in ("model_calls", "kept", "cost_usd", "duration_s")}),
        tags=_texts(tags, _LONGEST_TAG),
        files=tuple(path for path in (*files, *reports) if path.is_file()),
    )
    return MirrorPlan(
        experiment=str(data["experiment"]),
        parent=parent,
        children=tuple(_child(run, data, start) for run in result.runs),
    )


def _child(run: Mapping[str, Any], data: Mapping[str, Any], start: int) -> MirroredRun:
    folder = Path(str(run["path"]))
    parameters = {f"variant.{node}": variant for node, variant in (run.get("variant") or {}).items()}
    parameters |= {**(run.get("parameters") or {}), "dataset": run.get("dataset"), "repeat": run.get("repeat")}
    tags = {
        **_shared_tags(data),
        "genaiops.variant": run.get("variant_label"),
        "genaiops.is_baseline": str(bool(run.get("is_baseline"))).lower(),
        "genaiops.dataset_digest": run.get("dataset_digest"),
        "genaiops.flow_digest": run.get("flow_digest"),
    }
    files = [folder / name for name in ("run.json", "metrics.json", "outcomes.jsonl")]
    traces = folder / "traces.jsonl"
    return MirroredRun(
        key=str(run["id"]),
        name=f"{run.get('variant_label')} on {run.get('dataset')}",
        status=_status(str(run.get("status"))),
        start_ms=start,
        end_ms=start + int(1000 * float(run.get("duration_s") or 0)),
        parameters=_texts(parameters, _LONGEST_PARAMETER),
        metrics=_numbers(dict(_metrics(run, data))),
        tags=_texts(tags, _LONGEST_TAG),
        files=tuple(path for path in files if path.is_file()),
        traces=traces if traces.is_file() else None,
    )


def _metrics(run: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("model_calls", "kept", "cost_usd", "duration_s"):
        yield name, run.get(name)
    for block in ("rows", "tokens", "latency_s"):
        for name, value in (run.get(block) or {}).items():
            yield f"{block}.{name}", value
    for score in data.get("scores") or ():
        if score["run"] == run["id"]:
            for name, figures in score["metrics"].items():
                for part, suffix in (("value", ""), ("low", ".low"), ("high", ".high")):
                    yield f"{score['evaluator']}.{name}{suffix}", figures.get(part)


def _shared_tags(data: Mapping[str, Any]) -> dict[str, Any]:
    git = data.get("git") or {}
    return {
        "genaiops.experiment": data["id"],
        "genaiops.env": data.get("env"),
        "genaiops.build": data.get("build_id"),
        "genaiops.source": data.get("source"),
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
    }


def _status(word: str) -> str:
    return {"completed": "FINISHED", "failed": "FAILED"}.get(word, "KILLED")


def _milliseconds(text: Any) -> int:
    return int(datetime.fromisoformat(str(text)).timestamp() * 1000)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Only finite numbers: what was not measured is no metric."""
    return {
        _name(name): float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def _texts(values: Mapping[str, Any], longest: int) -> dict[str, str]:
    found = {}
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if value not in (None, ""):
            found[_name(name)] = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return found


def _name(text: str) -> str:
    """The letters that MLflow allows in names."""
    return _NAME.sub("_", text)
