"""Experiment folders in the published file form, as small as a test needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.stats import estimate

Scores = Mapping[str, Sequence[float | None]]


def write_experiment(
    folder: Path,
    variants: Mapping[str, Scores],
    *,
    default: str | None = "variant_0",
    dataset: str = "train",
    digest: str = "d" * 64,
    evaluator: str = "quality",
    evaluator_digest: str | None = None,
    failed: Mapping[str, int] | None = None,
    lower_is_better: Sequence[str] = (),
    aggregates: Mapping[str, Mapping[str, float]] | None = None,
    segments: Mapping[str, Any] | None = None,
    clusters: Sequence[str] | None = None,
    cost_usd: float | None = 0.5,
    p95: float | None = 1.5,
    repeats: int = 1,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write `experiment.json` and `row_scores.jsonl` for variants with the given scores of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    runs, scores, lines = [], [], []
    for variant, metrics in variants.items():
        for repeat in range(repeats):
            run = f"{variant}_{repeat}" if repeats > 1 else f"run_{variant}"
            rows = max((len(values) for values in metrics.values()), default=0)
            bad = (failed or {}).get(variant, 0)
            runs.append(
                {
                    "id": run,
                    "variant_label": variant,
                    "is_baseline": variant == default,
                    "dataset": dataset,
                    "dataset_digest": digest,
                    "rows": {"total": rows + bad, "completed": rows, "failed": bad, "skipped": 0},
                    "cost_usd": cost_usd,
                    "duration_s": rows * 0.8,
                    "latency_s": {"p50": 0.7, "p95": p95},
                    "repeat": repeat,
                }
            )
            forms = {name: _form(values, name not in lower_is_better) for name, values in metrics.items()}
            for name, value in (aggregates or {}).get(variant, {}).items():
                forms[name] = {
                    "value": value,
                    "low": None,
                    "high": None,
                    "rows": rows,
                    "failed": 0,
                    "kind": "aggregate",
                }
            score = {"evaluator": evaluator, "run": run, "variant_label": variant, "dataset": dataset}
            scores.append({**score, "metrics": forms, "segments": segments or {}, "evaluator_digest": evaluator_digest})
            for row in range(rows):
                values = {name: metrics[name][row] for name in metrics}
                line: dict[str, Any] = {"evaluator": evaluator, "run": run, "dataset": dataset, "row": row}
                if clusters:
                    line["cluster"] = clusters[row]
                lines.append({**line, "scores": values, "error": None})
    result = {
        "schema_version": 1,
        "id": folder.name,
        "experiment": "demo",
        "env": "dev",
        "runs": runs,
        "scores": scores,
    }
    result |= {"row_scores": "row_scores.jsonl", "verdict": {"result": "not judged", "reasons": []}, **(extra or {})}
    (folder / "experiment.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "row_scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def passes(count: int, total: int) -> list[float | None]:
    """Scores of 0 and 1, passes first."""
    return [1.0] * count + [0.0] * (total - count)


def _form(values: Sequence[float | None], higher_is_better: bool) -> dict[str, Any]:
    scored = [value for value in values if value is not None]
    form = {"value": None, "low": None, "high": None, "kind": "rate"}
    if scored:
        found = estimate(scored)
        form = {"value": found.value, "low": found.low, "high": found.high, "kind": found.kind}
    failed = len(values) - len(scored)
    return {**form, "rows": len(scored), "failed": failed, "higher_is_better": higher_is_better}
