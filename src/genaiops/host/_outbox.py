"""Finished rows on their way to the parent: gathered for a moment, written by whoever finishes one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from genaiops.host._encode import encode_outcome

if TYPE_CHECKING:
    from genaiops.flows import Outcome
    from genaiops.host._pipe import ParentPipe
    from genaiops.host._spans import SpanWriter

MAX_ROWS = 32
MAX_WAIT_S = 0.02
_MAX_BYTES = 1 << 20


class Outbox:
    """The outcomes of one plan.

    Args:
        pipe: Where they go.
        plan: The plan's number.
        redact: Takes secrets out of a line.
        spans: Writes the spans of rows.
        repeat: The repetition the rows belong to.
    """

    def __init__(
        self, pipe: ParentPipe, plan: int, *, redact: Callable[[bytes], bytes], spans: SpanWriter, repeat: int
    ) -> None:
        self._pipe = pipe
        self._plan = plan
        self._redact = redact
        self._spans = spans
        self._repeat = repeat
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._headers: list[dict[str, Any]] = []
        self._recorders: list[list[Any]] = []
        self._bytes = 0
        self._since = 0.0

    @property
    def is_filled(self) -> bool:
        """Something waits to be written."""
        return bool(self._lines)

    def put(self, outcome: Outcome, *, stuck: bool = False, at_once: bool = False) -> None:
        """Take a finished row; it is written at once, or within a moment together with others."""
        line, header = encode_outcome(outcome, repeat=self._repeat, stuck=stuck)
        line = self._redact(line)
        now = monotonic()
        with self._lock:
            if not self._lines:
                self._since = now
            self._lines.append(line)
            self._headers.append(header)
            self._bytes += len(line)
            if outcome.spans and self._spans.wants(outcome):
                self._recorders.append(outcome.spans)
            due = at_once or len(self._lines) >= MAX_ROWS or now - self._since >= MAX_WAIT_S or self._bytes > _MAX_BYTES
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what is here."""
        with self._lock:
            if not self._lines:
                return
            lines, headers, spans = self._lines, self._headers, self._recorders
            self._lines, self._headers, self._recorders, self._bytes = [], [], [], 0
            # Inside the lock: two threads that flush must not pass each other in the pipe.
            outcomes = b"".join(lines)
            traces = self._redact(self._spans.lines(spans)) if spans else b""
            self._pipe.write(
                {"type": "outcomes", "plan": self._plan, "rows": headers, "outcome_bytes": len(outcomes)},
                outcomes + traces,
            )
