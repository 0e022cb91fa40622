"""Spans on their way to a back-end, in a thread of their own: a slow back-end costs spans, never a row or a request."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.tracing import Span

_MOST_WAITING = 1000
_SPANS_A_REQUEST = 512
# A back-end that fails so often in a row is left alone.
_MOST_FAILURES = 3


class SpanExporter:
    """Sends spans to the back-end that the OTLP variables name, without secrets.

    Args:
        environ: Where `OTEL_EXPORTER_OTLP_ENDPOINT` and the like may stand.
        resource: Attributes of the process.
        redact: Takes secrets out of what is sent.
    """

    def __init__(
        self, environ: Mapping[str, str], resource: Mapping[str, Any], *, redact: Callable[[bytes], bytes]
    ) -> None:
        self._environ = dict(environ)
        self._resource = dict(resource)
        self._redact = redact
        self._waiting: queue.Queue[list[Span] | None] = queue.Queue(_MOST_WAITING)
        self._lost = 0
        self._failures = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._send, name="genaiops-otlp", daemon=True)
        self._thread.start()

    def take(self, spans: Sequence[Span]) -> None:
        """Send these some time soon."""
        try:
            self._waiting.put_nowait(list(spans))
        except queue.Full:
            self._lose(len(spans), "The trace back-end is too slow.")

    def close(self, wait_s: float) -> str | None:
        """Send what waits, for so long at most; what went wrong, in one sentence, if anything did."""
        try:
            self._waiting.put(None, timeout=wait_s)
        except queue.Full:
            self._lose(0, "The trace back-end is too slow.")
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self._lose(0, "The trace back-end is too slow.")
        return f"Some spans were not sent ({self._lost} at least). {self._trouble}" if self._trouble else None

    def _send(self) -> None:
        ended = False
        while not ended:
            spans, ended = self._gather()
            if spans and self._failures < _MOST_FAILURES:
                self._try(spans)
            elif spans:
                self._lose(len(spans), self._trouble)

    def _gather(self) -> tuple[list[Span], bool]:
        """What waits, up to a request full; whether this is the end."""
        gathered = self._waiting.get()
        spans: list[Span] = list(gathered or [])
        while gathered is not None and len(spans) < _SPANS_A_REQUEST and not self._waiting.empty():
            gathered = self._waiting.get()
            spans += gathered or []
        return spans, gathered is None

    def _try(self, spans: list[Span]) -> None:
        from genaiops.tracing import export_otlp, spans_to_otlp_json

        try:
            request = spans_to_otlp_json(spans, self._resource).encode("utf-8", "backslashreplace")
            export_otlp(self._redact(request), self._environ)
        except Exception as error:  # noqa: BLE001 - tracing must never harm a run
            self._failures += 1
            self._lose(len(spans), str(error))
        else:
            self._failures = 0

    def _lose(self, count: int, why: str) -> None:
        self._lost += count
        self._trouble = self._trouble or why
