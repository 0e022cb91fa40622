"""See inside: spans of every row, tokens, cost."""

from genaiops.tracing._export import export_otlp, otlp_endpoint
from genaiops.tracing._otlp import spans_to_otlp_json
from genaiops.tracing._prices import price_usd, remember_prices
from genaiops.tracing._spans import Span, SpanRecorder, TokenUsage, current_span, start_span
from genaiops.tracing._trace import trace

__all__ = [
    "Span",
    "SpanRecorder",
    "TokenUsage",
    "current_span",
    "export_otlp",
    "otlp_endpoint",
    "price_usd",
    "remember_prices",
    "spans_to_otlp_json",
    "start_span",
    "trace",
]
