"""Spans in OpenTelemetry's words, as OTLP/JSON: lines for files, requests for back-ends.

Names follow the GenAI semantic conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/); they are still in
development, so this is the only module that knows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from genaiops.tracing._spans import Span

# Our word for what a span is -> gen_ai.operation.name
_OPERATIONS = {
    "flow": "invoke_workflow",
    "node": "execute_tool",
    "llm": "chat",
    "embedding": "embeddings",
    "retrieval": "retrieval",
}
_CLIENT = 3  # SpanKind: a call that leaves this process
_INTERNAL = 1
_STATUS_ERROR = 2


def spans_to_otlp_json(spans: Sequence[Span], resource: Mapping[str, Any] | None = None) -> str:
    """One line of OTLP/JSON (an ExportTraceServiceRequest) for the spans of a row, without the newline.

    Source:
        OpenTelemetry protocol 1.x, JSON encoding: ids in hexadecimal, 64-bit numbers as text.
    """
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": "genaiops", **(resource or {})})},
                "scopeSpans": [{"scope": {"name": "genaiops"}, "spans": [_span_to_json(span) for span in spans]}],
            }
        ]
    }
    return json.dumps(request, ensure_ascii=False, separators=(",", ":"), default=str)


def _span_to_json(span: Span) -> dict[str, Any]:
    data: dict[str, Any] = {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        "name": span.name,
        "kind": _CLIENT if span.kind in ("llm", "embedding") else _INTERNAL,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span_attributes(span)),
    }
    if span.parent_id:
        data["parentSpanId"] = f"{span.parent_id:016x}"
    if span.error is not None:
        data["status"] = {"code": _STATUS_ERROR, "message": span.error}
    if span.events:
        data["events"] = [
            {"name": name, "timeUnixNano": str(when), "attributes": _attributes(attributes)}
            for name, when, attributes in span.events
        ]
    return data


def span_attributes(span: Span) -> dict[str, Any]:
    """A span's attributes, with the conventions' names for what we know of it."""
    found: dict[str, Any] = dict(span.recorder.attributes) if span.recorder and span.parent is None else {}
    operation = _OPERATIONS.get(span.kind)
    if operation is not None:
        found["gen_ai.operation.name"] = operation
    if span.kind == "node":
        found["gen_ai.tool.name"] = span.name
    if span.usage:
        found["gen_ai.usage.input_tokens"] = span.usage.input
        found["gen_ai.usage.output_tokens"] = span.usage.output
    if span.error is not None:
        found["error.type"] = span.error.partition(":")[0]
    found.update(span.attributes)
    return found


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"stringValue": json.dumps(value, ensure_ascii=False, default=str)}
    return {"stringValue": str(value)}
