"""See inside: spans of every row, tokens, cost."""

from genaiops.tracing._otlp import export_otlp, spans_to_otlp_json
from genaiops.tracing._prices import price_usd, remember_prices
from genaiops.tracing._spans import Span, SpanRecorder, TokenUsage, current_span, start_span
from genaiops.tracing._trace import trace

__all__ = [
    "Span",
    "SpanRecorder",
    "TokenUsage",
    "current_span",
    "export_otlp",
    "price_usd",
    "remember_prices",
    "spans_to_otlp_json",
    "start_span",
    "trace",
]
