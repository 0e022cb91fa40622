"""What a row gave: outputs or an error, and what each of its nodes did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genaiops.flows._recorded import recorded
from genaiops.tracing import Span, TokenUsage

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore, Models
    from genaiops.kept import KeptResults

SCHEMA_VERSION = 1

RowStatus = Literal["completed", "failed"]
NodeStatus = Literal["completed", "bypassed", "failed", "canceled"]


@dataclass
class Services:
    """What a plan may use of the world.

    Args:
        connections: Where connections come from.
        models: How models are called; None when no node calls one.
        kept: Where results are kept by content; None keeps nothing.
        images: The folder where images of outcomes are written; None writes them into the outcome as base64.
        image_folders: Folders beside the flow's own from which images may be read: those of data files.
        environ: Variables that `${env:NAME}` reads, in model configurations and in prompty files.
    """

    connections: ConnectionStore | None = None
    models: Models | None = None
    kept: KeptResults | None = None
    images: Path | None = None
    image_folders: Sequence[Path] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class NodeOutcome:
    """What one node did in one row.

    `inputs` and `output` are JSON data (what has no JSON form is written as its `repr`). Times are seconds; `started_s`
    counts from the start of the row.
    """

    status: NodeStatus
    inputs: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    duration_s: float = 0.0
    started_s: float = 0.0
    kept: bool = False
    tokens: TokenUsage = field(default_factory=TokenUsage)
    model: str | None = None
    retries: int = 0
    cost_usd: float | None = None
    simulated: bool = False
    recorded: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        form: dict[str, Any] = {
            "status": self.status,
            "inputs": self.inputs,
            "output": recorded(self.output),
            "duration_s": round(self.duration_s, 6),
            "started_s": round(self.started_s, 6),
            "kept": self.kept,
            "tokens": {"input": self.tokens.input, "output": self.tokens.output},
        }
        if self.error is not None:
            form["error"] = self.error
        if self.model is not None:
            form["model"] = self.model
            form["retries"] = self.retries
        if self.cost_usd is not None:
            form["cost_usd"] = self.cost_usd
        if self.simulated:
            form["simulated"] = True
        if self.recorded is not None:
            form["recorded"] = self.recorded
        return form


@dataclass(slots=True)
class Outcome:
    """What one row gave.

    Args:
        row: Its number in the dataset, from 0; None for a single call.
        inputs: After defaults and conversion; None when they could not be converted.
        outputs: JSON data; when streaming was asked for, generators may stand in it.
        error: `GenaiopsError.to_json()` and the traceback of the flow's own frames.
        aggregation: What aggregation needs of this row, by the canonical text of each reference.
        value: For a function or class flow: what the entry returned, as it returned it.
        metrics: Filled by `Plan.run_single`, which aggregates the one row.
    """

    row: int | None
    status: RowStatus
    inputs: dict[str, Any] | None
    outputs: dict[str, Any]
    error: dict[str, Any] | None = None
    nodes: dict[str, NodeOutcome] = field(default_factory=dict)
    duration_s: float = 0.0
    tokens: TokenUsage = field(default_factory=TokenUsage)
    spans: list[Span] = field(default_factory=list)
    aggregation: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    metrics: dict[str, Any] = field(default_factory=dict)
    trace_id: int = 0

    def to_json(self) -> dict[str, Any]:
        """The line of `outcomes.jsonl`."""
        form: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "row": self.row,
            "status": self.status,
            "inputs": recorded(self.inputs),
            "outputs": recorded(self.outputs),
            "error": self.error,
            "nodes": {name: node.to_json() for name, node in self.nodes.items()},
            "duration_s": round(self.duration_s, 6),
            "tokens": self.tokens.to_json(),
        }
        if self.aggregation:
            form["aggregation"] = recorded(self.aggregation)
        return form


@dataclass
class AggregationInputs:
    """What aggregation is given: one list for each reference, in the order of the rows that completed.

    `columns` has the canonical text of references as keys (`${grade.output}`, `${flow.truth}`). For flows with
    `__aggregate__` the one column `outputs` holds the outputs.
    """

    columns: dict[str, list[Any]] = field(default_factory=dict)
    rows: list[int | None] = field(default_factory=list)

    @classmethod
    def from_outcomes(cls, outcomes: Iterable[Outcome | Mapping[str, Any]]) -> AggregationInputs:
        """Collect from outcomes or from lines of `outcomes.jsonl`, in any order; failed rows give nothing."""
        collected = cls()
        for outcome in outcomes:
            if isinstance(outcome, Outcome):
                collected.add(outcome.row, outcome.status, outcome.aggregation, outcome.outputs)
            else:
                collected.add(
                    outcome.get("row"), outcome["status"], outcome.get("aggregation") or {}, outcome.get("outputs")
                )
        return collected.sorted()

    def add(self, row: int | None, status: str, aggregation: Mapping[str, Any], outputs: Any) -> None:
        """Add one row, if it completed."""
        if status != "completed":
            return
        self.rows.append(row)
        for key, value in aggregation.items():
            self.columns.setdefault(key, []).append(value)
        if not aggregation:
            self.columns.setdefault("outputs", []).append(outputs)

    def sorted(self) -> AggregationInputs:
        """The same, in the order of the rows."""
        if all(first is not None and second is not None and first < second for first, second in pairwise(self.rows)):
            return self
        order = sorted(range(len(self.rows)), key=lambda index: (self.rows[index] is None, self.rows[index] or 0))
        columns = {
            key: [values[index] for index in order] if len(values) == len(order) else values
            for key, values in self.columns.items()
        }
        return AggregationInputs(columns=columns, rows=[self.rows[index] for index in order])


@dataclass
class AggregationOutcome:
    """What aggregation gave: metrics, what its nodes did, and the first error.

    An error fails the run and none of its rows; metrics logged before it are kept.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, NodeOutcome] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    warnings: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "metrics": self.metrics,
            "nodes": {name: node.to_json() for name, node in self.nodes.items()},
            "error": self.error,
            "warnings": list(self.warnings),
        }
