"""A limit of calls or dollars over a whole experiment, shared out so that what was done can still be compared."""

from __future__ import annotations

from dataclasses import replace

from genaiops.plain_text import plural
from genaiops.runs import RunRecord, RunSpec

_ROWS_AT_ONCE = 4


class Budget:
    """What is left to spend.

    Runs go one after the other and each gets its share of what is left. Every run takes the rows in the same order, so
    the variants end with the same first rows done, and can be compared on those.

    Args:
        max_calls: Model calls in all.
        budget_usd: Dollars in all.
    """

    def __init__(self, max_calls: int | None, budget_usd: float | None) -> None:
        self._max_calls = max_calls
        self._budget_usd = budget_usd
        self._calls = 0
        self._usd = 0.0
        self._stopped = False

    @property
    def is_set(self) -> bool:
        """There is a limit."""
        return self._max_calls is not None or self._budget_usd is not None

    @property
    def is_spent(self) -> bool:
        """Nothing is left."""
        calls = self._max_calls is not None and self._calls >= self._max_calls
        return calls or (self._budget_usd is not None and self._usd >= self._budget_usd)

    @property
    def reason(self) -> str | None:
        """Why the experiment holds less than was planned; `None` when it does not."""
        if not self._stopped and not self.is_spent:
            return None
        spent = f"{plural(self._calls, 'model call')} and ${self._usd:.4f}"
        limits = [plural(self._max_calls, "call")] if self._max_calls is not None else []
        limits += [f"${self._budget_usd:g}"] if self._budget_usd is not None else []
        return f"The budget of {' and '.join(limits)} ended the experiment after {spent}."

    def limited(self, spec: RunSpec, *, left: int) -> RunSpec:
        """A run with its share of what is left.

        Args:
            spec: The run.
            left: Runs that have not ended, this one included.
        """
        if not self.is_set:
            return spec
        share = max(1, left)
        calls = None if self._max_calls is None else max(1, (self._max_calls - self._calls) // share)
        usd = None if self._budget_usd is None else max(1e-9, (self._budget_usd - self._usd) / share)
        rows = _ROWS_AT_ONCE if calls is None else max(1, min(_ROWS_AT_ONCE, calls // 4))
        concurrency = min(rows, spec.concurrency) if spec.concurrency else rows
        return replace(spec, max_calls=calls, budget_usd=usd, concurrency=concurrency)

    def spend(self, record: RunRecord) -> None:
        """Take note of what a run made."""
        self._calls += record.model_calls
        self._usd += record.cost_usd or 0.0
        if (record.stopped or {}).get("reason") == "budget":
            self._stopped = True
