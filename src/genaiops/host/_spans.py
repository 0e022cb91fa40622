"""Spans of rows: lines of OTLP/JSON for the run's folder, and a copy to a back-end when one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genaiops.host._export import SpanExporter

if TYPE_CHECKING:
    from genaiops.flows import Outcome
    from genaiops.tracing import Span

_LAST_MOMENTS_S = 2.0


class SpanWriter:
    """Decides which rows are traced, and writes their spans.

    Args:
        share: The share of rows that is traced, a fraction; which ones depends on their number alone.
        resource: Attributes of the process and the run.
        environ: Where `OTEL_EXPORTER_OTLP_ENDPOINT` may stand.
        redact: Takes secrets out of what is sent to a back-end.
    """

    def __init__(
        self,
        *,
        share: float,
        resource: Mapping[str, Any],
        environ: Mapping[str, str],
        redact: Callable[[bytes], bytes],
    ) -> None:
        from genaiops.tracing import otlp_endpoint

        self._share = share
        self._resource = dict(resource)
        is_exported = share > 0 and otlp_endpoint(environ) is not None
        self._exporter = SpanExporter(environ, self._resource, redact=redact) if is_exported else None

    def wants(self, outcome: Outcome) -> bool:
        """Whether this row is traced."""
        if self._share >= 1:
            return True
        # Fibonacci hashing spreads neighbouring numbers evenly over [0, 1).
        return ((outcome.row or 0) * 0x9E3779B97F4A7C15 % (1 << 64)) / (1 << 64) < self._share

    def lines(self, rows: Sequence[Sequence[Span]]) -> bytes:
        """One line for the spans of all these rows."""
        from genaiops.tracing import spans_to_otlp_json

        spans = [span for row in rows for span in row]
        if self._exporter is not None:
            self._exporter.take(spans)
        return spans_to_otlp_json(spans, self._resource).encode("utf-8", "backslashreplace") + b"\n"

    def close(self) -> str | None:
        """Send what still waits, for a moment at most; what went wrong, if anything did."""
        return self._exporter.close(_LAST_MOMENTS_S) if self._exporter is not None else None
