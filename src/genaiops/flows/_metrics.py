"""`log_metric`: what aggregation nodes report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_collector: ContextVar[dict[str, Any] | None] = ContextVar("genaiops_metrics", default=None)
# Collectors that are open anywhere: a thread that user code started itself does not inherit the context.
_open: list[dict[str, Any]] = []


def log_metric(key: str, value: Any, variant_id: str | None = None) -> None:
    """Report a metric of the run; the last value of a name counts.

    Outside of an aggregation it does nothing, as in prompt flow. `variant_id` is accepted and ignored.
    """
    metrics = _collector.get()
    if metrics is None and len(_open) == 1:
        metrics = _open[0]
    if metrics is not None:
        metrics[key] = value


@contextlib.contextmanager
def collecting_metrics() -> Iterator[dict[str, Any]]:
    """Collect what `log_metric` is told until the end of the block."""
    metrics: dict[str, Any] = {}
    token = _collector.set(metrics)
    _open.append(metrics)
    try:
        yield metrics
    finally:
        _collector.reset(token)
        _open[:] = [other for other in _open if other is not metrics]
