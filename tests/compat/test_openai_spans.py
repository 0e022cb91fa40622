"""Calls of the OpenAI SDK in user code become spans of the row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from genaiops.compat._openai_spans import record_openai_calls, stop_recording_openai_calls
from genaiops.testing._model_server import ModelServer
from genaiops.tracing import Span, SpanRecorder, start_span

MESSAGES: Any = [{"role": "user", "content": "The capital of France?"}]


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    record_openai_calls()
    yield
    stop_recording_openai_calls()


def spans_of(work: Any) -> tuple[Span, list[Span]]:
    """The outermost span, and those below it."""
    recorder = SpanRecorder()
    with recorder.span("flow", "flow") as root:
        work()
    return root, [span for span in recorder.spans if span is not root]


def ask(server: ModelServer, **options: Any) -> Any:
    from openai import OpenAI

    with OpenAI(api_key="k", base_url=f"{server.url}/v1") as client:
        return client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **options)


def test_a_chat_call_becomes_an_llm_span_with_its_tokens(model_server: ModelServer) -> None:
    root, [span] = spans_of(lambda: ask(model_server))

    assert (span.name, span.kind) == ("openai_chat", "llm")
    assert span.usage.output > 0
    assert root.usage == span.usage
    assert span.attributes["gen_ai.request.model"] == "gpt-4o"
    assert "Paris" in span.attributes["output"]


def test_a_stream_keeps_its_span_open_until_it_is_read(model_server: ModelServer) -> None:
    texts: list[str] = []

    def work() -> None:
        from openai import OpenAI

        with OpenAI(api_key="k", base_url=f"{model_server.url}/v1") as client:
            stream = client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            texts.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    root, [span] = spans_of(work)

    assert "".join(texts) == "Paris"
    assert span.attributes["output"] == "Paris"
    assert span.attributes["output_type"] == "iterated"
    assert root.usage.output > 0


def test_async_calls_and_raw_responses_are_recorded(model_server: ModelServer) -> None:
    async def call() -> None:
        from openai import AsyncOpenAI

        async with AsyncOpenAI(api_key="k", base_url=f"{model_server.url}/v1") as client:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
            assert raw.parse().choices[0].message.content == "Paris"

    root, spans = spans_of(lambda: asyncio.run(call()))

    assert [span.name for span in spans] == ["openai_chat_async", "openai_chat_async"]
    assert all(span.usage.output for span in spans)
    assert root.usage.output == sum(span.usage.output for span in spans)


def test_embeddings_are_recorded_without_their_vectors(model_server: ModelServer) -> None:
    def work() -> None:
        from openai import OpenAI

        with OpenAI(api_key="k", base_url=f"{model_server.url}/v1") as client:
            client.embeddings.create(model="ada", input="hello")

    _, [span] = spans_of(work)

    assert span.kind == "embedding"
    assert "output" not in span.attributes


def test_a_call_inside_a_recorded_model_call_is_not_counted_twice(model_server: ModelServer) -> None:
    def work() -> None:
        with start_span("chat", "llm"):
            ask(model_server)

    root, spans = spans_of(work)

    assert [span.name for span in spans] == ["chat"]
    assert not root.usage


def test_a_failing_call_is_recorded_and_goes_on() -> None:
    from openai import APIConnectionError, OpenAI

    recorder = SpanRecorder()
    with (
        OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=0) as client,
        recorder.span("flow", "flow"),
        pytest.raises(APIConnectionError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert (recorder.spans[0].error or "").startswith("APIConnectionError")


def test_outside_of_a_row_the_sdk_is_left_alone(model_server: ModelServer) -> None:
    assert ask(model_server).choices[0].message.content == "Paris"
