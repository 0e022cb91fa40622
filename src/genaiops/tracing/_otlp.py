"""Spans in OpenTelemetry's words, as OTLP/JSON: lines for files, requests for back-ends.

Names follow the GenAI semantic conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/); they are still in
development, so this is the only module that knows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _text
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
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def spans_to_otlp_json(spans: Sequence[Span], resource: Mapping[str, Any] | None = None) -> str:
    """One line of OTLP/JSON (an ExportTraceServiceRequest) for the spans of a row, without the newline.

    Source:
        OpenTelemetry protocol 1.x, JSON encoding: ids in hexadecimal, 64-bit numbers as text.
    """
    attributes = _attributes({"service.name": "genaiops", **(resource or {})})
    return (
        f'{{"resourceSpans":[{{"resource":{{"attributes":{attributes}}},'
        f'"scopeSpans":[{{"scope":{{"name":"genaiops"}},"spans":[{",".join(map(_span, spans))}]}}]}}]}}'
    )


# Written as text: each row has some spans, and to build dicts for the encoder takes as long as to encode them.


def _span(span: Span) -> str:
    kind = _CLIENT if span.kind in ("llm", "embedding") else _INTERNAL
    parent_id = span.parent_id
    parent = f',"parentSpanId":"{parent_id:016x}"' if parent_id else ""
    status = "" if span.error is None else f',"status":{{"code":{_STATUS_ERROR},"message":{_text(span.error)}}}'
    events = f',"events":[{",".join(_event(*event) for event in span.events)}]' if span.events else ""
    return (
        f'{{"traceId":"{span.trace_id:032x}","spanId":"{span.span_id:016x}","name":{_text(span.name)},"kind":{kind},'
        f'"startTimeUnixNano":"{span.start_ns}","endTimeUnixNano":"{span.end_ns}",'
        f'"attributes":{_attributes(span_attributes(span))}{parent}{status}{events}}}'
    )


def _event(name: str, when_ns: int, attributes: Mapping[str, Any]) -> str:
    return f'{{"name":{_text(name)},"timeUnixNano":"{when_ns}","attributes":{_attributes(attributes)}}}'


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


def _attributes(values: Mapping[str, Any]) -> str:
    found = [f'{{"key":{_text(key)},"value":{_value(value)}}}' for key, value in values.items() if value is not None]
    return f"[{','.join(found)}]"


def _value(value: Any) -> str:
    if type(value) is str:
        return f'{{"stringValue":{_text(value)}}}'
    if isinstance(value, bool):
        return f'{{"boolValue":{_json(value)}}}'
    if isinstance(value, int):
        return f'{{"intValue":{_text(str(value))}}}'
    if isinstance(value, float):
        return f'{{"doubleValue":{_json(value)}}}'
    if isinstance(value, (list, tuple)):
        return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return f'{{"stringValue":{_text(str(value))}}}'
