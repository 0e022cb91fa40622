"""Spans: what happened inside a row, when, and what it used.

A span costs about two microseconds, so that every node of a million rows can have one; OpenTelemetry's SDK is only
loaded by the exporter. The tree follows Python's context variables, through tasks and threads alike.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any


class TokenUsage:
    """Tokens that model calls used.

    Args:
        input: Tokens sent, cached ones included.
        output: Tokens received.
        cached: Tokens of `input` that the provider served from its own prompt cache.
    """

    __slots__ = ("cached", "input", "output")

    def __init__(self, input: int = 0, output: int = 0, cached: int = 0) -> None:  # noqa: A002 - the published word
        self.input = input
        self.output = output
        self.cached = cached

    @property
    def total(self) -> int:
        """Tokens sent and received."""
        return self.input + self.output

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(self.input + other.input, self.output + other.output, self.cached + other.cached)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenUsage) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __bool__(self) -> bool:
        return bool(self.input or self.output)

    def __repr__(self) -> str:
        return f"TokenUsage(input={self.input}, output={self.output}, cached={self.cached})"

    def add(self, other: TokenUsage) -> None:
        """Count the other's tokens here too."""
        self.input += other.input
        self.output += other.output
        self.cached += other.cached

    def to_json(self) -> dict[str, int]:
        """The published JSON form."""
        return {"input": self.input, "output": self.output, "cached": self.cached}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> TokenUsage:
        """Read the published JSON form; missing numbers are 0."""
        data = data or {}
        return cls(int(data.get("input") or 0), int(data.get("output") or 0), int(data.get("cached") or 0))

    def _values(self) -> tuple[int, int, int]:
        return (self.input, self.output, self.cached)


class Span:
    """One piece of work: a flow, a node, a model call, a function.

    Used as a context manager; an exception that leaves it is recorded and goes on. Attributes may be added while it
    is open. `usage` sums the tokens of everything below it.
    """

    __slots__ = (
        "_token",
        "attributes",
        "end_ns",
        "error",
        "events",
        "kind",
        "name",
        "parent",
        "recorder",
        "span_id",
        "start_ns",
        "usage",
    )

    def __init__(self, name: str, kind: str, recorder: SpanRecorder | None, parent: Span | None) -> None:
        self.name = name
        self.kind = kind
        self.recorder = recorder
        self.parent = parent
        self.span_id = random.getrandbits(64) or 1
        self.start_ns = time.time_ns()
        self.end_ns = 0
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[str, int, dict[str, Any]]] = []
        self.error: str | None = None
        self.usage = TokenUsage()
        self._token: Token[Span | None] | None = None

    @property
    def trace_id(self) -> int:
        """The trace this span belongs to; 0 when nothing records it."""
        return self.recorder.trace_id if self.recorder else 0

    @property
    def parent_id(self) -> int:
        """The span above; 0 for the outermost, unless the row came with a trace of its own."""
        if self.parent is not None:
            return self.parent.span_id
        return self.recorder.remote_parent_id if self.recorder else 0

    def set(self, **attributes: Any) -> None:
        """Add attributes."""
        self.attributes.update(attributes)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Note that something happened now."""
        self.events.append((name, time.time_ns(), dict(attributes or {})))

    def add_usage(self, usage: TokenUsage) -> None:
        """Count tokens here and in every span above."""
        span: Span | None = self
        while span is not None:
            span.usage.add(usage)
            span = span.parent

    def end(self, error: BaseException | str | None = None) -> None:
        """Close the span; only the first call counts."""
        if self.end_ns:
            return
        self.end_ns = time.time_ns()
        if error is not None:
            self.error = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        if self.recorder is not None:
            self.recorder.add(self)

    def __enter__(self) -> Span:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:  # noqa: SIM105 - `suppress` costs as much as the rest of the span
                _current.reset(token)
            except ValueError:
                pass  # left in another context (an async generator closed by another task): nothing to undo
        self.end(error)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the current span for a while, without ending it: for generators, between two items."""
        token = _current.set(self)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                _current.reset(token)


_current: ContextVar[Span | None] = ContextVar("genaiops_span", default=None)


class SpanRecorder:
    """Collects the spans of one row.

    Args:
        attributes: What every reader of the row's spans wants to know: run, row, flow.
        trace_id: The trace to join; a new one by default.
        remote_parent_id: The caller's span, when the request came with one.
        max_spans: Later spans are counted, not kept, so that a row cannot fill the memory.
    """

    __slots__ = ("_token", "attributes", "dropped", "max_spans", "remote_parent_id", "spans", "trace_id")

    def __init__(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        trace_id: int = 0,
        remote_parent_id: int = 0,
        max_spans: int = 1000,
    ) -> None:
        self.attributes = dict(attributes or {})
        self.trace_id = trace_id or random.getrandbits(128) or 1
        self.remote_parent_id = remote_parent_id
        self.max_spans = max_spans
        self.spans: list[Span] = []
        self.dropped = 0

    def span(self, name: str, kind: str) -> Span:
        """A new outermost span of this row."""
        return Span(name, kind, self, None)

    def add(self, span: Span) -> None:
        """Keep a span that has ended."""
        if len(self.spans) < self.max_spans:
            self.spans.append(span)
        else:
            self.dropped += 1

    def take(self) -> list[Span]:
        """The spans of a row that is over.

        They know this recorder and it does not know them any more: no circle keeps them until a collector finds it.
        """
        spans, self.spans = self.spans, []
        return spans


def current_span() -> Span | None:
    """The innermost open span, or None outside of a row."""
    return _current.get()


def start_span(name: str, kind: str = "function", attributes: Mapping[str, Any] | None = None) -> Span:
    """A span below the current one; use it as a context manager.

    Outside of a row it records nothing and costs next to nothing.
    """
    parent = _current.get()
    span = Span(name, kind, parent.recorder if parent is not None else None, parent)
    if attributes:
        span.attributes.update(attributes)
    return span
