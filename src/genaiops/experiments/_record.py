"""The parts of `experiment.json`: what was asked, what became of it, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from genaiops.evaluators import Evaluation
from genaiops.experiments._assemble import Finished
from genaiops.experiments._evaluate import EvaluatorDigests
from genaiops.experiments._git import git_facts
from genaiops.experiments._prepare import Prepared
from genaiops.experiments._request import ExperimentRequest
from genaiops.experiments._result import ROW_SCORES_FILE, SCHEMA_VERSION
from genaiops.runs import RunRecord
from genaiops.settings import Settings


def first_form(prepared: Prepared, settings: Settings) -> dict[str, Any]:
    """All fields of an experiment that has begun: what was asked, and nothing found yet."""
    spec, begun = prepared.spec, now()
    return {
        "schema_version": SCHEMA_VERSION,
        "id": prepared.id,
        "stamp": prepared.stamp,
        "experiment": spec.name,
        "env": spec.env,
        "build_id": prepared.request.build_id,
        "stage": spec.env,
        "created": prepared.created or begun,
        "resumed": begun if prepared.created else None,
        "git": git_facts(settings.project),
        "use_case": str(spec.folder),
        "file": str(spec.file),
        "overlay": str(spec.overlay) if spec.overlay else None,
        "flow": {"source": str(spec.flow), "kind": prepared.flow.kind, "name": prepared.flow.name},
        "nodes": [node.name for node in prepared.flow.row_nodes],
        "request": prepared.request.to_json(),
        "plan": {**prepared.plan.to_json(), "estimate": prepared.estimate.to_json()},
        "baseline": spec.baseline,
        "gate": spec.gate,
        "alert_policy": public_alert(spec.alert),
        "findings": [finding.to_json() for finding in prepared.findings],
        "runs": [],
        "evaluations": [],
        "scores": [],
        "comparisons": [],
        "regressions": [],
        "winners": [],
        "confirmation": [],
        "noise_floor": None,
        "verdict": {"result": "not judged", "reasons": []},
        "reports": [],
        "model_calls": 0,
        "kept": 0,
        "tokens": {"input": 0, "output": 0},
        "cost_usd": None,
        "duration_s": 0.0,
        "row_scores": ROW_SCORES_FILE,
        "source": "live",
    }


def public_alert(block: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The block `alert` without the addresses that a message goes to: whoever holds one may post there."""
    return None if block is None else {key: value for key, value in block.items() if key not in ("webhook", "token")}


def status_of(finished: Sequence[Finished], evaluations: Sequence[Evaluation], request: ExperimentRequest) -> str:
    """`completed`, or `failed`: more failed rows than are allowed, an evaluator that failed, or nothing at all."""
    for item in finished:
        record = item.record
        ran = record.rows.completed + record.rows.failed
        if record.status == "failed" or (ran and record.rows.failed / ran > request.max_failed):
            return "failed"
    return "failed" if any(e.status == "failed" for e in evaluations) or not finished else "completed"


def evaluation_form(evaluation: Evaluation, digests: EvaluatorDigests | None) -> dict[str, Any]:
    """The entry of `evaluations`; `digests` tell two states of the evaluator apart."""
    rows = {"total": len(evaluation.rows) + evaluation.unmatched, "completed": len(evaluation.rows) - evaluation.failed}
    return {
        "id": evaluation.id,
        "path": str(evaluation.path) if evaluation.path else None,
        "evaluator": evaluation.evaluator,
        "evaluator_digest": digests.whole if digests else None,
        "code_digest": digests.code if digests else None,
        "run": evaluation.run,
        "dataset": evaluation.dataset,
        "rows": {**rows, "failed": evaluation.failed, "skipped": evaluation.unmatched},
        "status": evaluation.status,
        "error": evaluation.error,
        "model_calls": evaluation.model_calls,
        "kept": evaluation.kept,
        "tokens": {"input": evaluation.input_tokens, "output": evaluation.output_tokens},
        "cost_usd": evaluation.cost_usd,
        "duration_s": round(evaluation.duration_s, 3),
    }


def totals(
    records: Sequence[RunRecord], evaluations: Sequence[Evaluation], request: ExperimentRequest
) -> dict[str, Any]:
    """What all runs and evaluations took together, and where their replies came from."""
    costs = [c for c in (*(r.cost_usd for r in records), *(e.cost_usd for e in evaluations)) if c is not None]
    return {
        "model_calls": sum(r.model_calls for r in records) + sum(e.model_calls for e in evaluations),
        "kept": sum(r.kept for r in records) + sum(e.kept for e in evaluations),
        "tokens": {
            "input": sum(r.tokens.get("input", 0) for r in records) + sum(e.input_tokens for e in evaluations),
            "output": sum(r.tokens.get("output", 0) for r in records) + sum(e.output_tokens for e in evaluations),
        },
        "cost_usd": round(sum(costs), 9) if costs else None,
        "source": _source(records, request),
    }


def _source(records: Sequence[RunRecord], request: ExperimentRequest) -> str:
    if request.model_calls == "replay":
        return "recorded"
    simulated = [record.simulated for record in records]
    return "simulated" if simulated and all(simulated) else "mixed" if any(simulated) else "live"


def now() -> str:
    """The moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
