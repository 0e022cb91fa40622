import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from genaiops.connections import (
    AzureOpenAIConnection,
    ModelCallError,
    ModelRefusedError,
    ModelReply,
    Models,
    OpenAIConnection,
    RetriesExhaustedError,
    SerpConnection,
    ServerlessConnection,
)
from genaiops.errors import ConnectionSettingsError, MissingExtraError
from genaiops.testing import ModelServer, ModelServerOptions
from genaiops.tracing import SpanRecorder
from tests.slowness import seconds_here

_KEY = "sk-planted-0123456789"


def _body(text: str = "hello", **parameters: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **parameters}


def _run(options: ModelServerOptions, work: Callable[[ModelServer, Models], Awaitable[Any]], **limits: Any) -> Any:
    """Run `work` against a model server on loopback."""

    async def main() -> Any:
        async with ModelServer(options) as server, Models(rng=random.Random(1), **limits) as models:
            return await work(server, models)

    return asyncio.run(main())


def _azure(server: ModelServer) -> AzureOpenAIConnection:
    return AzureOpenAIConnection(api_base=f"{server.url}/", api_key=_KEY, api_version="2024-06-01", name="aoai")


def _text(reply: ModelReply) -> str:
    return str(reply.body["choices"][0]["message"]["content"])


def test_each_kind_of_connection_speaks_its_dialect() -> None:
    async def work(server: ModelServer, models: Models) -> list[str]:
        connections = (
            _azure(server),
            OpenAIConnection(_KEY, base_url=f"{server.url}/v1", organization="org-1"),
            ServerlessConnection(_KEY, server.url),
            AzureOpenAIConnection(api_base=f"{server.url}/openai/v1", api_key=_KEY),
        )
        replies = [await models.call(c, _body("hi", top_k=3, seed=7), api="chat") for c in connections]
        assert [_text(reply) for reply in replies] == ["hi"] * 4
        first, second = server.requests[0], server.requests[1]
        assert first["target"] == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"
        assert first["headers"]["api-key"] == _KEY
        assert second["headers"]["authorization"] == f"Bearer {_KEY}"
        assert second["headers"]["openai-organization"] == "org-1"
        assert first["body"] == _body("hi", top_k=3, seed=7)
        assert first["headers"]["user-agent"].startswith("genaiops/")
        return [request["target"].partition("?")[0] for request in server.requests[1:]]

    assert _run(ModelServerOptions(record=True), work) == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/openai/v1/chat/completions",
    ]


def test_completions_and_embeddings_are_called_too() -> None:
    async def work(server: ModelServer, models: Models) -> Any:
        text = await models.call(_azure(server), {"model": "davinci", "prompt": "once"}, api="completion")
        vector = await models.call(_azure(server), {"model": "ada", "input": ["a", "b"]}, api="embedding")
        return text.body["choices"][0]["text"], len(vector.body["data"]), vector.usage.input, text.finish_reason

    assert _run(ModelServerOptions(), work) == ("once", 2, 2, "stop")


def test_a_reply_says_what_it_took() -> None:
    async def work(server: ModelServer, models: Models) -> ModelReply:
        return await models.call(_azure(server), _body("x" * 400), api="chat")

    reply = _run(ModelServerOptions(latency_ms=50), work)

    assert (reply.usage.input, reply.usage.output) == (100, 100)
    assert (reply.model, reply.finish_reason, reply.retries, reply.source) == ("gpt-4o", "stop", 0, "live")
    assert 0.05 <= reply.duration_s < seconds_here(2)


def test_each_call_is_a_span_with_its_tokens() -> None:
    async def work(server: ModelServer, models: Models) -> Any:
        recorder = SpanRecorder()
        with recorder.span("row", "flow") as row:
            await models.call(_azure(server), _body("x" * 40), api="chat")
            async for _ in models.stream(_azure(server), _body("x" * 40), api="chat"):
                pass
        return row.usage, [span for span in recorder.spans if span.kind == "llm"]

    usage, spans = _run(ModelServerOptions(), work)

    assert (usage.input, usage.output) == (20, 20)
    assert [span.attributes["gen_ai.response.model"] for span in spans] == ["gpt-4o", "gpt-4o"]
    assert all(_KEY not in repr(span.attributes) for span in spans)


def test_faults_of_every_kind_cost_no_call() -> None:
    """20 % 429, 5 % 500, 5 % cut-off, 1 % dropped and 1 % hanging connections."""
    options = ModelServerOptions(
        latency_ms=20,
        share_429=0.2,
        share_500=0.05,
        share_cut=0.05,
        share_drop=0.01,
        share_hang=0.01,
        retry_after_s=0.1,
    )

    async def work(server: ModelServer, models: Models) -> Any:
        calls = (models.call(_azure(server), _body(str(i)), api="chat") for i in range(300))
        replies = await asyncio.gather(*calls)
        assert [_text(reply) for reply in replies] == [str(i) for i in range(300)]
        return models.stats, sum(reply.retries for reply in replies)

    stats, retries = _run(options, work)

    assert stats.failed == 0
    assert stats.retries == retries == sum(stats.troubles.values()) > 60
    assert {"refused", "server", "connection"} <= set(stats.troubles)


def test_a_server_limited_to_twenty_a_second_is_not_flooded() -> None:
    async def work(server: ModelServer, models: Models) -> float:
        await asyncio.gather(*(models.call(_azure(server), _body(str(i)), api="chat") for i in range(160)))
        return server.stats.requests / server.stats.succeeded

    assert _run(ModelServerOptions(latency_ms=20, rate_per_s=20), work) <= 1.25  # 160 calls: the start weighs much


def test_no_thread_waits_for_a_call() -> None:
    async def work(server: ModelServer, models: Models) -> tuple[int, int]:
        before = set(threading.enumerate())  # other tests of this process may have left some
        await models.call(_azure(server), _body(), api="chat")
        calls = [asyncio.create_task(models.call(_azure(server), _body(), api="chat")) for _ in range(200)]
        await asyncio.sleep(0.3)
        threads = len(set(threading.enumerate()) - before)
        await asyncio.gather(*calls)
        return threads, server.stats.max_in_flight

    threads, in_flight = _run(ModelServerOptions(latency_ms=200), work)

    assert in_flight > 40
    assert threads < 10


@pytest.mark.parametrize("status_options", [ModelServerOptions(key="another")])
def test_a_refused_key_is_permanent_and_never_tried_again(status_options: ModelServerOptions) -> None:
    async def work(server: ModelServer, models: Models) -> tuple[ModelRefusedError, int]:
        with pytest.raises(ModelRefusedError) as caught:
            await models.call(_azure(server), _body(), api="chat")
        return caught.value, server.stats.requests

    error, requests = _run(status_options, work)

    assert requests == 1
    assert error.permanent
    assert error.to_json()["permanent"] is True
    assert (error.kind, error.type, error.status) == ("WrappedOpenAIError", "AuthenticationError", 401)
    assert str(error).startswith("OpenAI API hits AuthenticationError: Error code: 401")
    assert _KEY not in str(error)
    assert "connection 'aoai'" in str(error)


def test_an_address_where_nobody_answers_is_given_up_soon() -> None:
    async def main() -> RetriesExhaustedError:
        async with Models(rng=random.Random(1)) as models:
            connection = OpenAIConnection(_KEY, base_url="http://127.0.0.1:9/v1", name="local")
            with pytest.raises(RetriesExhaustedError) as caught:
                await models.call(connection, _body(), api="chat")
            return caught.value

    started = time.monotonic()
    error = asyncio.run(main())

    assert time.monotonic() - started < seconds_here(10)
    assert error.permanent
    assert error.kind == "ExceedMaxRetryTimes"
    assert "http://127.0.0.1:9/v1" in str(error)


def test_a_wrong_path_is_permanent_and_says_what_to_check() -> None:
    async def work(server: ModelServer, models: Models) -> ModelRefusedError:
        connection = OpenAIConnection(_KEY, base_url=f"{server.url}/elsewhere", name="local")
        with pytest.raises(ModelRefusedError) as caught:
            await models.call(connection, _body(), api="chat")
        return caught.value

    error = _run(ModelServerOptions(), work)

    assert (error.status, error.type, error.permanent) == (404, "NotFoundError", True)
    assert "'gpt-4o' exists at the address of connection 'local'" in str(error)


def test_a_connection_without_a_name_is_not_called_none() -> None:
    async def work(server: ModelServer, models: Models) -> ModelRefusedError:
        connection = OpenAIConnection(_KEY, base_url=f"{server.url}/elsewhere")
        with pytest.raises(ModelRefusedError) as caught:
            await models.call(connection, _body(), api="chat")
        return caught.value

    error = _run(ModelServerOptions(), work)

    assert "'gpt-4o' exists at the address that the model's configuration gives" in str(error)
    assert "None" not in (error.hint or "")


def test_max_tokens_gets_its_newer_name_once_and_for_all(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: ModelServer, models: Models) -> list[Any]:
        for _ in range(3):
            reply = await models.call(_azure(server), _body(max_tokens=5), api="chat")
            assert reply.retries == 0
        return [(r["body"].get("max_tokens"), r["body"].get("max_completion_tokens")) for r in server.requests]

    sent = _run(ModelServerOptions(max_completion_tokens_only=True, record=True), work)

    assert sent == [(5, None), (None, 5), (None, 5), (None, 5)]
    assert caplog.text.count("max_completion_tokens") == 1


def test_a_hanging_connection_is_given_up_once_replies_are_known() -> None:
    async def work(server: ModelServer, models: Models) -> float:
        started = time.monotonic()
        await asyncio.gather(*(models.call(_azure(server), _body(str(i)), api="chat") for i in range(60)))
        return time.monotonic() - started

    # Far below the first bound of two minutes, which also held for calls that were sent before anything was known.
    assert _run(ModelServerOptions(latency_ms=5, share_hang=0.05), work) < 60


def test_a_call_ends_at_its_deadline() -> None:
    async def work(server: ModelServer, models: Models) -> RetriesExhaustedError:
        with pytest.raises(RetriesExhaustedError) as caught:
            await models.call(_azure(server), _body(), api="chat", timeout_s=0.3)
        return caught.value

    started = time.monotonic()
    error = _run(ModelServerOptions(share_hang=1.0), work)

    assert time.monotonic() - started < seconds_here(5)
    assert error.type == "APITimeoutError"


def test_a_cancelled_call_gives_its_slot_back() -> None:
    async def work(server: ModelServer, models: Models) -> str:
        calls = [asyncio.create_task(models.call(_azure(server), _body(), api="chat")) for _ in range(10)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        server.options = ModelServerOptions()
        return _text(await asyncio.wait_for(models.call(_azure(server), _body("next"), api="chat"), 10))

    assert _run(ModelServerOptions(share_hang=1.0), work, max_concurrency=2) == "next"


def test_streams_come_in_chunks_and_keep_the_limit() -> None:
    async def work(server: ModelServer, models: Models) -> Any:
        async def read(i: int) -> str:
            chunks = models.stream(_azure(server), _body(f"one two {i}"), api="chat")
            return "".join([chunk["choices"][0]["delta"].get("content") or "" async for chunk in chunks])

        texts = await asyncio.gather(*(read(i) for i in range(20)))
        assert texts == [f"one two {i}" for i in range(20)]
        return server.stats.max_in_flight, models.stats.usage.total

    in_flight, tokens = _run(ModelServerOptions(latency_ms=10, share_500=0.2), work, max_concurrency=3)

    assert in_flight <= 3
    assert tokens == 20 * 4


def test_a_stream_that_is_left_early_gives_its_slot_back() -> None:
    async def work(server: ModelServer, models: Models) -> str:
        chunks = models.stream(_azure(server), _body("one two three"), api="chat")
        async for _ in chunks:
            break
        await chunks.aclose()
        return _text(await asyncio.wait_for(models.call(_azure(server), _body("next"), api="chat"), 10))

    assert _run(ModelServerOptions(), work, max_concurrency=1) == "next"


def test_a_stream_that_breaks_off_is_an_error_and_no_short_answer() -> None:
    async def work(server: ModelServer, models: Models) -> ModelCallError:
        with pytest.raises(ModelCallError) as caught:
            async for _ in models.stream(_azure(server), _body("one two three four"), api="chat", timeout_s=5):
                pass
        return caught.value

    assert _run(ModelServerOptions(share_cut=1.0), work).kind in ("LLMError", "ExceedMaxRetryTimes")


def test_threads_and_other_loops_use_the_same_client() -> None:
    async def work(server: ModelServer, models: Models) -> list[str]:
        connection = _azure(server)

        def in_thread() -> str:
            return _text(models.call_sync(connection, _body("sync"), api="chat"))

        def stream_in_thread() -> str:
            chunks = models.stream_sync(connection, _body("a b"), api="chat")
            return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)

        def in_other_loop() -> str:
            return asyncio.run(other_loop())

        async def other_loop() -> str:
            return _text(await models.call(connection, _body("other"), api="chat"))

        await models.call(connection, _body(), api="chat")
        threaded = await asyncio.gather(*(asyncio.to_thread(f) for f in (in_thread, stream_in_thread, in_other_loop)))
        # Synchronous code on the loop's own thread must not wait for that loop.
        blocking = _text(models.call_sync(connection, _body("own thread"), api="chat"))
        return [*threaded, blocking]

    # The server needs a thread of its own for the last of these.
    async def serve(started: threading.Event, box: list[ModelServer], stop: threading.Event) -> None:
        async with ModelServer() as server:
            box.append(server)
            started.set()
            await asyncio.to_thread(stop.wait)

    started, stop, box = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=lambda: asyncio.run(serve(started, box, stop)))
    thread.start()
    started.wait(10)

    async def main() -> list[str]:
        async with Models() as models:
            return await work(box[0], models)

    try:
        assert asyncio.run(main()) == ["sync", "a b", "other", "own thread"]
    finally:
        stop.set()
        thread.join()


def test_one_loop_after_another_works_as_in_a_notebook() -> None:
    models = Models()

    async def once() -> str:
        async with ModelServer() as server:
            reply = await models.call(_azure(server), _body("again"), api="chat")
            await models.aclose()
            return _text(reply)

    assert [asyncio.run(once()) for _ in range(2)] == ["again", "again"]


def test_a_connection_that_leads_to_no_model_is_refused() -> None:
    with pytest.raises(ConnectionSettingsError, match="does not lead to a model"):
        Models().call_sync(SerpConnection("key"), _body(), api="chat")


def test_a_budget_of_requests_a_minute_is_kept() -> None:
    async def work(server: ModelServer, models: Models) -> float:
        started = time.monotonic()
        await asyncio.gather(*(models.call(_azure(server), _body(), api="chat") for _ in range(30)))
        return time.monotonic() - started

    assert _run(ModelServerOptions(), work, rpm=1200) >= 29 / 20 * 0.9


@pytest.mark.parametrize("streams", [False, True])
def test_a_budget_of_tokens_a_minute_is_kept(streams: bool) -> None:
    """Room for ten seconds' worth (1,000), then 100 tokens a second; a call is estimated at 50 of reply and some."""

    async def work(server: ModelServer, models: Models) -> float:
        started = time.monotonic()
        body = _body("x" * 200, max_tokens=50)

        async def ask() -> None:
            if not streams:
                await models.call(_azure(server), body, api="chat")
                return
            async for _ in models.stream(_azure(server), body, api="chat"):
                pass

        await asyncio.gather(*(ask() for _ in range(11)))
        return time.monotonic() - started

    assert _run(ModelServerOptions(), work, tpm=6000) >= 0.3


@pytest.mark.parametrize(
    "program",
    [
        "models.call_sync(connection, body, api='chat')",
        "asyncio.run(models.call(connection, body, api='chat'))",
        "for _ in range(2): asyncio.run(models.call(connection, body, api='chat'))",
        "next(models.stream_sync(connection, body, api='chat'))",
    ],
)
def test_who_forgets_to_close_gets_no_warning(program: str) -> None:
    text = f"""
import asyncio, sys, warnings
from genaiops.connections import Models, OpenAIConnection
warnings.simplefilter("error")
models = Models()
connection = OpenAIConnection("any-key-at-all", base_url=sys.argv[1] + "/v1")
body = {{"model": "m", "messages": [{{"role": "user", "content": "x"}}]}}
{program}
"""

    async def main() -> Any:
        async with ModelServer() as server:
            arguments = [sys.executable, "-X", "dev", "-c", text, server.url]
            return await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True)

    result = asyncio.run(main())

    noise = [line for line in result.stderr.splitlines() if "nclosed" in line or "Warning" in line or "Error" in line]
    assert (result.returncode, noise) == (0, [])


def test_a_light_import_and_a_call_without_network_load_no_sdk() -> None:
    program = """
import sys
from genaiops.connections import Models, SimulatedConnection
heavy = {"openai", "aiohttp", "httpx2", "numpy", "ruamel.yaml", "rapidfuzz", "jinja2", "azure"} & set(sys.modules)
assert not heavy, heavy
models = Models()
models.call_sync(SimulatedConnection(), {"messages": [{"role": "user", "content": "x"}]}, api="chat")
models.close()
assert "openai" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_loop_that_flow_code_runs_in_a_thread_takes_no_other_call_with_it() -> None:
    """A node that says `asyncio.run(ask())` ends its loop while the calls of other nodes are still on their way."""

    def ask(models: Models, connection: OpenAIConnection, text: str) -> str:
        async def call() -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            reply = await models.call(connection, body, api="chat")
            return str(reply.body["choices"][0]["message"]["content"])

        return asyncio.run(call())

    def ask_all(url: str) -> list[str]:
        models = Models()
        connection = OpenAIConnection(api_key="k", base_url=f"{url}/v1")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: ask(models, connection, str(number)), range(24)))
        models.close()
        return answers

    async def main() -> list[str]:
        async with ModelServer(ModelServerOptions(latency_ms=50, latency_sigma=0.8)) as server:
            return await asyncio.to_thread(ask_all, server.url)

    assert asyncio.run(main()) == [str(number) for number in range(24)]


def test_an_address_that_still_names_a_variable_fails_at_once_and_names_it() -> None:
    async def work(server: ModelServer, models: Models) -> tuple[str, float]:
        started = time.monotonic()
        connection = OpenAIConnection(_KEY, base_url="https://${REGION}.example.com/${env:PLACE}/v1", name="aoai")
        with pytest.raises(ConnectionSettingsError) as raised:
            await models.call(connection, _body(), api="chat")
        with pytest.raises(ConnectionSettingsError, match="REGION, PLACE"):
            models.require(connection)
        return raised.value.message, time.monotonic() - started

    message, took_s = _run(ModelServerOptions(), work)

    assert "'aoai' names a variable that is not set: REGION, PLACE." in message
    assert took_s < 1


def test_a_sign_in_without_its_package_is_known_before_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure", None)
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    connection = AzureOpenAIConnection(api_base="https://x.example.com", auth_mode="meid_token")
    models = Models()

    with pytest.raises(MissingExtraError, match="azure-identity") as raised:
        models.require(connection)

    models.close()
    assert raised.value.exit_code == 2
    assert "genaiops[azure]" in str(raised.value.hint)
