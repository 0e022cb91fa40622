"""What a plan will take before it is started: runs, model calls, tokens, dollars, minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from genaiops.errors import GenaiopsError
from genaiops.experiments._result import ExperimentResult, newest_experiments
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._targets import flow_source
from genaiops.experiments._tasks import RunTask, evaluation_tasks, rows_of
from genaiops.flows import Flow, Node, Reference, load_flow
from genaiops.records import record
from genaiops.settings import Settings, state_folder
from genaiops.tracing import TokenUsage, price_usd, remember_prices

_MODEL_NODES = ("llm", "custom_llm")
_LETTERS_PER_TOKEN = 4
_USUAL_REPLY = 256
_CALLS_AT_ONCE = 16
_SECONDS_PER_CALL = 1.5
_LOOK_BACK = 20
# Whose prices count first. Hosts of most connections ask for the same, and find what was looked up here.
_PROVIDER = "openai"


class Span(NamedTuple):
    """Between `low` and `high`."""

    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """The published form."""
        return {"low": self.low, "high": self.high}


@record(frozen=True, kw_only=True)
class Estimate:
    """What a plan will take.

    Args:
        runs: Runs of the application.
        evaluations: Runs of evaluators.
        rows: Rows of all runs of the application together.
        model_calls: Model calls at most; `None` when a flow's code calls models itself.
        evaluation_calls: The same for the evaluators.
        shared_calls: Calls that cells share and that are therefore made once.
        tokens: Sent and received together.
        cost_usd: Dollars; `None` when nobody knows the price.
        duration_s: Wall-clock seconds.
        basis: Where the figures come from.
    """

    runs: int
    evaluations: int
    rows: int
    model_calls: int | None
    evaluation_calls: int | None
    shared_calls: int
    tokens: Span | None
    cost_usd: Span | None
    duration_s: Span | None
    basis: str

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        spans = {name: getattr(self, name) for name in ("tokens", "cost_usd", "duration_s")}
        return {
            "runs": self.runs,
            "evaluations": self.evaluations,
            "rows": self.rows,
            "model_calls": self.model_calls,
            "evaluation_calls": self.evaluation_calls,
            "shared_calls": self.shared_calls,
            **{name: None if span is None else span.to_json() for name, span in spans.items()},
            "basis": self.basis,
        }


def estimate_plan(
    spec: ExperimentSpec,
    tasks: Sequence[RunTask],
    counts: Mapping[Path, int],
    settings: Settings,
    *,
    times: int = 1,
) -> Estimate:
    """Estimate without running anything.

    Args:
        spec: The use case.
        tasks: Its runs.
        counts: Rows of each data file.
        settings: Where earlier experiments of the same name are, whose figures are the best guess.
        times: Trials of a search, of which the runs are the first one. What trials share and what is stopped early is
            not known before, so that the figures are the most it can take.
    """
    flows = _Flows(spec, settings)
    calls, shared, known = (0, 0, True) if spec.logged else _application_calls(tasks, counts, flows)
    evaluations = [evaluation for task in tasks for evaluation in evaluation_tasks(spec, task)]
    scoring = 0
    scoring_known = True
    for evaluation in evaluations:
        flow = flows.evaluator(evaluation.evaluator.path) if evaluation.evaluator.kind == "flow" else None
        per_row = _calls_per_row(flow) if flow is not None else 0
        scoring_known = scoring_known and per_row is not None
        scoring += (per_row or 0) * rows_of(evaluation.run, counts)
    calls, scoring = calls * times, scoring * times
    total = calls + scoring
    earlier = _earlier(spec, settings)
    if earlier is None:
        remember_prices(state_folder(settings, "cache"))
    tokens, cost, duration, basis = _prices(earlier, tasks, flows, total)
    return Estimate(
        runs=len(tasks) * times,
        evaluations=len(evaluations) * times,
        rows=sum(rows_of(task, counts) for task in tasks) * times,
        model_calls=calls if known else None,
        evaluation_calls=scoring if scoring_known else None,
        shared_calls=shared,
        tokens=tokens,
        cost_usd=cost,
        duration_s=duration,
        basis=basis,
    )


class _Flows:
    """Flows of cells and evaluators, each loaded once; one that cannot be loaded counts as unknown."""

    def __init__(self, spec: ExperimentSpec, settings: Settings) -> None:
        self._spec = spec
        self._settings = settings
        self._cells: dict[str, Flow | None] = {}
        self._evaluators: dict[Path, Flow | None] = {}

    def cell(self, task: RunTask) -> Flow | None:
        """The application with the variants and parameters of a cell."""
        if task.cell.label not in self._cells:
            source = flow_source(self._spec, self._spec.flow, self._settings)
            try:
                flow = load_flow(source, variant=dict(task.cell.variant) or None, overrides=task.cell.overrides or None)
            except GenaiopsError:
                flow = None
            self._cells[task.cell.label] = flow
        return self._cells[task.cell.label]

    def evaluator(self, path: Path | None) -> Flow | None:
        """An evaluation flow."""
        if path is None:
            return None
        if path not in self._evaluators:
            try:
                self._evaluators[path] = load_flow(path)
            except GenaiopsError:
                self._evaluators[path] = None
        return self._evaluators[path]


def _application_calls(tasks: Sequence[RunTask], counts: Mapping[Path, int], flows: _Flows) -> tuple[int, int, bool]:
    """Calls that will be made, calls that cells share, and whether code may make more."""
    made = shared = 0
    known = True
    seen: set[tuple[Path | None, int, str]] = set()
    for task in tasks:
        flow, rows = flows.cell(task), rows_of(task, counts)
        if flow is None or flow.kind in ("function", "class"):
            known = False
            continue
        for mark in _model_marks(flow):
            key = (task.dataset.path, task.repeat, mark)
            if key in seen and task.spec.keep:
                shared += rows
            else:
                seen.add(key)
                made += rows
    return made, shared, known


def _calls_per_row(flow: Flow) -> int | None:
    if flow.kind == "prompty":
        return 1
    if flow.kind != "graph":
        return None
    return sum(node.type in _MODEL_NODES for node in flow.row_nodes)


def _model_marks(flow: Flow) -> list[str]:
    """For each model call of a row a digest of all that decides it."""
    if flow.kind == "prompty":
        return [_digest([str(flow.path), dict(flow.prompty)])]
    marks: dict[str, str] = {}
    for node in flow.nodes:
        above = {name: _mark(value, marks) for name, value in node.inputs.items()}
        when = [_mark(node.activate.when, marks), node.activate.expected] if node.activate else None
        source = [node.source.path, node.source.tool, _file_digest(flow.folder, node)] if node.source else None
        marks[node.name] = _digest([node.name, node.type, source, above, when, node.connection, node.api])
    return [marks[node.name] for node in flow.row_nodes if node.type in _MODEL_NODES]


def _mark(value: Any, marks: Mapping[str, str]) -> Any:
    if isinstance(value, Reference):
        return [str(value), marks.get(value.name, "")] if value.kind == "node" else str(value)
    return value


def _file_digest(folder: Path, node: Node) -> str:
    path = folder / node.source.path if node.source is not None and node.source.path else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _earlier(spec: ExperimentSpec, settings: Settings) -> ExperimentResult | None:
    """The latest experiment of this name that called a model."""
    for result in islice(newest_experiments(settings), _LOOK_BACK):
        if result.data.get("experiment") == spec.name and result.data.get("model_calls"):
            return result
    return None


def _prices(
    earlier: ExperimentResult | None, tasks: Sequence[RunTask], flows: _Flows, calls: int
) -> tuple[Span | None, Span | None, Span | None, str]:
    """Tokens, dollars and seconds of so many calls, and where the figures come from."""
    if not calls:
        return Span(0, 0), Span(0.0, 0.0), None, "no model is called"
    if earlier is not None:
        return (*_from_earlier(earlier, calls), f"the experiment {earlier.id}")
    return (*_from_templates(tasks, flows, calls), "the length of the templates")


def _from_earlier(earlier: ExperimentResult, calls: int) -> tuple[Span | None, Span | None, Span | None]:
    runs = [run for run in earlier.runs if run.get("model_calls")]
    tokens = [sum(run["tokens"].values()) / run["model_calls"] for run in runs]
    costs = [run["cost_usd"] / run["model_calls"] for run in runs if run.get("cost_usd") is not None]
    seconds = [run["duration_s"] / run["model_calls"] for run in runs]
    return _spread(tokens, calls), _spread(costs, calls), _spread(seconds, calls)


def _spread(per_call: Sequence[float], calls: int) -> Span | None:
    """What runs of the past span, and a fifth more at each end."""
    return Span(0.8 * min(per_call) * calls, 1.2 * max(per_call) * calls) if per_call else None


def _from_templates(
    tasks: Sequence[RunTask], flows: _Flows, calls: int
) -> tuple[Span | None, Span | None, Span | None]:
    lengths, replies, models = [], [], set()
    for task in tasks:
        flow = flows.cell(task)
        for node in flow.row_nodes if flow is not None and flow.kind == "graph" else ():
            if node.type in _MODEL_NODES:
                lengths.append(_template_length(flow, node) if flow else 0)
                limit = node.inputs.get("max_tokens")
                replies.append(int(limit) if isinstance(limit, int) else _USUAL_REPLY)
                models.add(str(node.inputs.get("deployment_name") or node.inputs.get("model") or ""))
    if not lengths:
        return None, None, None
    sent = Span(min(lengths) / _LETTERS_PER_TOKEN, 4 * max(lengths) / _LETTERS_PER_TOKEN + 50)
    received = Span(1, max(replies))
    duration = Span(0.3 * calls / _CALLS_AT_ONCE, 2 * _SECONDS_PER_CALL * calls / _CALLS_AT_ONCE + 2)
    tokens = Span((sent.low + received.low) * calls, (sent.high + received.high) * calls)
    return tokens, _cost(models, sent, received, calls), duration


def _template_length(flow: Flow, node: Node) -> int:
    path = flow.folder / node.source.path if node.source is not None and node.source.path else None
    return len(path.read_text(encoding="utf-8", errors="replace")) if path is not None and path.is_file() else 400


def _cost(models: Iterable[str], sent: Span, received: Span, calls: int) -> Span | None:
    low: list[float] = []
    high: list[float] = []
    for model in models:
        least = price_usd(model, _PROVIDER, TokenUsage(input=int(sent.low), output=int(received.low)))
        most = price_usd(model, _PROVIDER, TokenUsage(input=int(sent.high), output=int(received.high)))
        if least is None or most is None:
            return None
        low.append(least)
        high.append(most)
    return Span(min(low) * calls, max(high) * calls) if low else None
