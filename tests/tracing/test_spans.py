"""Spans follow the call tree, cost nothing outside of a row, and sum tokens upwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from genaiops.tracing import SpanRecorder, TokenUsage, current_span, spans_to_otlp_json, start_span, trace


def test_tokens_of_a_model_call_count_in_every_span_above() -> None:
    recorder = SpanRecorder()

    with recorder.span("flow", "flow") as flow, start_span("node", "node") as node, start_span("chat", "llm") as call:
        call.add_usage(TokenUsage(input=3, output=4))
        call.add_usage(TokenUsage(input=1, output=1))

    assert [span.usage for span in (call, node, flow)] == [TokenUsage(4, 5)] * 3


def test_an_exception_marks_the_span_and_goes_on() -> None:
    recorder = SpanRecorder()

    with pytest.raises(ValueError, match="bad"), recorder.span("flow", "flow"):
        raise ValueError("bad")

    assert recorder.spans[0].error == "ValueError: bad"


def test_outside_of_a_row_nothing_is_recorded() -> None:
    with start_span("alone", "function") as span:
        assert current_span() is span

    assert span.recorder is None
    assert current_span() is None


def test_a_row_keeps_a_bounded_number_of_spans_and_counts_the_rest() -> None:
    recorder = SpanRecorder(max_spans=2)

    with recorder.span("flow", "flow"):
        for _ in range(5):
            with start_span("step"):
                pass

    assert len(recorder.spans) == 2
    assert recorder.dropped == 4


def test_traced_functions_of_every_kind_record_inputs_and_output() -> None:
    @trace
    def plain(a: int) -> int:
        return a + 1

    @trace
    async def coroutine(a: int) -> int:
        return a + 2

    @trace
    def generator(a: int) -> Iterator[int]:
        yield from range(a)

    @trace
    async def async_generator(a: int) -> AsyncIterator[int]:
        for item in range(a):
            yield item

    async def run() -> SpanRecorder:
        recorder = SpanRecorder()
        with recorder.span("flow", "flow"):
            assert plain(1) == 2
            assert await coroutine(1) == 3
            assert list(generator(2)) == [0, 1]
            assert [item async for item in async_generator(2)] == [0, 1]
        return recorder

    recorder = asyncio.run(run())

    shown = [(span.attributes["inputs"], span.attributes["output"]) for span in recorder.spans[:-1]]
    assert shown == [('{"a": 1}', "2"), ('{"a": 1}', "3"), ('{"a": 2}', "[0, 1]"), ('{"a": 2}', "[0, 1]")]
    assert {span.parent.name for span in recorder.spans[:-1] if span.parent} == {"flow"}


def test_a_consumer_of_a_traced_generator_is_not_inside_its_span() -> None:
    @trace
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    recorder = SpanRecorder()
    with recorder.span("flow", "flow") as flow:
        seen = [current_span() for _ in numbers()]

    assert seen == [flow, flow]


def test_a_line_of_otlp_json_has_hexadecimal_ids_and_64_bit_numbers_as_text() -> None:
    recorder = SpanRecorder({"genaiops.row": 7})
    with recorder.span("my_flow", "flow"), start_span("ask", "llm", {"gen_ai.request.model": "m"}) as call:
        call.add_usage(TokenUsage(input=10, output=2))

    spans = json.loads(spans_to_otlp_json(recorder.spans))["resourceSpans"][0]["scopeSpans"][0]["spans"]

    call_json, flow_json = spans
    assert call_json["parentSpanId"] == flow_json["spanId"]
    assert len(call_json["traceId"]) == 32
    assert int(call_json["startTimeUnixNano"]) <= int(call_json["endTimeUnixNano"])
    attributes = {item["key"]: item["value"] for item in call_json["attributes"]}
    assert attributes["gen_ai.operation.name"] == {"stringValue": "chat"}
    assert attributes["gen_ai.usage.input_tokens"] == {"intValue": "10"}
