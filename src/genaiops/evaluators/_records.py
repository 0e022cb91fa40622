"""What an evaluator gave for the rows of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from genaiops.records import record


@record(frozen=True, slots=True, kw_only=True)
class RowScore:
    """The scores of one row.

    Args:
        row: Number of the row in the application's dataset.
        scores: Metric -> score; `None` where the evaluator gave none.
        error: Why it gave none.
    """

    row: int
    scores: Mapping[str, float | None] = field(default_factory=dict)
    error: str | None = None


@record(frozen=True, kw_only=True)
class Evaluation:
    """One evaluator on one run.

    Args:
        id: Unique; the id of the evaluation's run where there is one.
        path: Folder with what the evaluator wrote.
        evaluator: Name of the evaluator.
        run: The run that was evaluated; `None` when the evaluator runs its own target.
        dataset: The evaluation dataset.
        rows: One score a row that the application completed and that has a partner in the dataset.
        metrics: What the evaluator summed up itself over all rows.
        higher_is_better: Direction of the metrics whose direction is known.
        unmatched: Completed rows of the run that the dataset has no partner for.
        status: `completed`, `failed` or `interrupted`.
        error: Why it failed as a whole.
    """

    id: str
    path: Path | None = None
    evaluator: str
    run: str | None
    dataset: str
    rows: tuple[RowScore, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    unmatched: int = 0
    status: str = "completed"
    error: str | None = None
    model_calls: int = 0
    kept: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    duration_s: float = 0.0
    source: str = "live"

    @property
    def failed(self) -> int:
        """Rows that the evaluator could not score; failures of the application are not among them."""
        return sum(row.error is not None for row in self.rows)
