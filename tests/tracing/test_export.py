"""Spans go to a back-end as OTLP over HTTP."""

from __future__ import annotations

import json

import pytest

from genaiops.errors import GenaiopsError
from genaiops.tracing import SpanRecorder, export_otlp, spans_to_otlp_json
from tests.collector import collector


def one_span() -> bytes:
    recorder = SpanRecorder({"row": 3})
    with recorder.span("outer", "flow"), recorder.span("inner", "llm"):
        pass
    return spans_to_otlp_json(recorder.spans, {"genaiops.run": "r"}).encode()


def test_spans_arrive_as_they_stand_in_the_file_with_the_headers_of_the_variables() -> None:
    request = one_span()
    with collector() as (url, posted):
        export_otlp(
            request,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/", "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b, x-key = k=1"},
        )

    (found,) = posted
    assert (found.path, found.body) == ("/v1/traces", request)
    assert found.headers["content-type"] == "application/json"
    assert (found.headers["x-team"], found.headers["x-key"]) == ("a b", "k=1")


def test_an_address_for_traces_alone_is_taken_as_it_is() -> None:
    with collector() as (url, posted):
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/here",
        }
        export_otlp(one_span(), environ)

    assert [found.path for found in posted] == ["/here"]


def test_a_back_end_that_refuses_or_is_not_there_is_an_error_that_names_it() -> None:
    with collector(status=415) as (url, _), pytest.raises(GenaiopsError, match="/v1/traces answered 415"):
        export_otlp(one_span(), {"OTEL_EXPORTER_OTLP_ENDPOINT": url})

    with pytest.raises(GenaiopsError, match=r"127\.0\.0\.1:9/v1/traces cannot be reached"):
        export_otlp(one_span(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    with pytest.raises(GenaiopsError, match="no address"):
        export_otlp(one_span(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "file:///etc/hosts"})


def test_protobuf_says_the_same_as_json() -> None:
    service = pytest.importorskip(
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otlp"
    )
    request = one_span()
    with collector() as (url, posted):
        export_otlp(request, {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})

    assert posted[0].headers["content-type"] == "application/x-protobuf"
    spans = service.ExportTraceServiceRequest.FromString(posted[0].body).resource_spans[0].scope_spans[0].spans
    written = json.loads(request)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [(span.name, span.trace_id.hex(), span.span_id.hex()) for span in spans] == [
        (span["name"], span["traceId"], span["spanId"]) for span in written
    ]
    assert [span.start_time_unix_nano for span in spans] == [int(span["startTimeUnixNano"]) for span in written]
