"""Spans of rows: lines of OTLP/JSON for the run's folder, and a copy to a back-end when one is named."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.flows import Outcome
    from genaiops.tracing import Span

_log = logging.getLogger(__name__)
_MAX_WAITING = 200
_LAST_MOMENTS_S = 2.0


class SpanWriter:
    """Decides which rows are traced, and writes their spans.

    Args:
        share: The share of rows that is traced, a fraction; which ones depends on their number alone.
        resource: Attributes of the process and the run.
        environ: Where `OTEL_EXPORTER_OTLP_ENDPOINT` may stand.
    """

    def __init__(self, *, share: float, resource: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._share = share
        self._resource = dict(resource)
        self._exporter = _Exporter(environ, self._resource) if share > 0 and _has_endpoint(environ) else None

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
            self._exporter.put(spans)
        return spans_to_otlp_json(spans, self._resource).encode("utf-8", "backslashreplace") + b"\n"

    def close(self) -> None:
        """Send what still waits, for a moment at most."""
        if self._exporter is not None:
            self._exporter.close()


def _has_endpoint(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


class _Exporter:
    """Sends spans in a thread of its own; when the back-end is slow spans are dropped, never rows delayed."""

    def __init__(self, environ: Mapping[str, str], resource: Mapping[str, Any]) -> None:
        self._environ = dict(environ)
        self._resource = resource
        self._waiting: queue.Queue[list[Span] | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._send, name="genaiops-otlp", daemon=True)
        self._thread.start()

    def put(self, spans: list[Span]) -> None:
        try:
            self._waiting.put_nowait(spans)
        except queue.Full:
            _log.warning("The trace back-end is too slow; some spans were not sent to it.")

    def close(self) -> None:
        try:
            self._waiting.put(None, timeout=_LAST_MOMENTS_S)
        except queue.Full:
            return
        self._thread.join(_LAST_MOMENTS_S)

    def _send(self) -> None:
        from genaiops.tracing import export_otlp

        while (spans := self._waiting.get()) is not None:
            try:
                export_otlp(spans, self._environ, self._resource)
            except Exception as error:  # noqa: BLE001 - tracing must never harm a run
                _log.warning("Spans could not be sent: %s", error)
                return
