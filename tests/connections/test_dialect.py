"""Our requests are those of the OpenAI SDK: the SDK itself says what is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiohttp import web

from genaiops.connections import (
    AzureOpenAIConnection,
    Connection,
    ModelCallError,
    Models,
    OpenAIConnection,
    ServerlessConnection,
)

KEY = "sk-planted-0123456789"
MESSAGES = [{"role": "user", "content": "Grüße, 世界"}]
# What differs from call to call or says who calls, and what any HTTP client sets by itself.
OWN_HEADERS = ("x-stainless", "user-agent", "accept-encoding", "connection", "content-length", "idempotency", "host")


class Seen:
    """A server that keeps what it was asked and answers as it is told."""

    def __init__(self, answer: Callable[[web.Request], web.StreamResponse] | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kept = {k.lower(): v for k, v in request.headers.items() if not k.lower().startswith(OWN_HEADERS)}
        body = json.loads(await request.read())
        self.requests.append({"target": request.raw_path, "headers": kept, "body": body})
        if self._answer is not None:
            return self._answer(request)
        message = {"role": "assistant", "content": "Paris"}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "model": "m"})


def serve(seen: Seen, work: Callable[[str], Any]) -> Any:
    """Run `work(address)` while the server listens on loopback."""

    async def main() -> Any:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", seen.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            server = site._server
            return await work(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")  # type: ignore[union-attr]
        finally:
            await runner.cleanup()

    return asyncio.run(main())


async def ask_ours(connection: Connection, body: Mapping[str, Any], **options: Any) -> Any:
    async with Models() as models:
        return await models.call(connection, body, api="chat", **options)


@pytest.mark.parametrize("model", ["gpt-4o", "a deployment/with ümlauts?"])
@pytest.mark.parametrize("kind", ["azure", "azure v1", "openai", "organization", "serverless"])
def test_a_request_is_the_one_that_the_openai_sdk_sends(kind: str, model: str) -> None:
    import openai

    async def work(url: str) -> None:
        body: dict[str, Any] = {"model": model, "messages": MESSAGES, "temperature": 0.2}
        ours: Connection
        theirs: openai.AsyncOpenAI
        if kind == "azure":
            ours = AzureOpenAIConnection(api_base=f"{url}/", api_key=KEY, api_version="2024-06-01")
            theirs = openai.AsyncAzureOpenAI(azure_endpoint=f"{url}/", api_key=KEY, api_version="2024-06-01")
        elif kind == "azure v1":
            ours = AzureOpenAIConnection(api_base=f"{url}/openai/v1", api_key=KEY)
            theirs = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=KEY)
        elif kind == "serverless":
            ours = ServerlessConnection(KEY, url)
            theirs = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
        else:
            organization = "org-1" if kind == "organization" else None
            ours = OpenAIConnection(KEY, base_url=f"{url}/v1", organization=organization)
            theirs = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, organization=organization)
        await ask_ours(ours, body)
        await theirs.chat.completions.create(**body)
        await theirs.close()

    seen = Seen()
    serve(seen, work)

    ours, theirs = seen.requests
    if "ümlauts" in model and kind == "azure":
        # The SDK puts the name into the path as it is: a slash or a question mark in it leads to another address.
        assert ours["target"].startswith(
            "/openai/deployments/a%20deployment%2Fwith%20%C3%BCmlauts%3F/chat/completions?"
        )
        ours["target"] = theirs["target"] = ""
    assert ours == theirs


def test_headers_of_one_call_win_over_the_usual_ones() -> None:
    async def work(url: str) -> None:
        connection = OpenAIConnection(KEY, base_url=f"{url}/v1")
        await ask_ours(connection, {"model": "m", "messages": MESSAGES}, extra_headers={"X-Trace": "7"})

    seen = Seen()
    serve(seen, work)

    assert seen.requests[0]["headers"]["x-trace"] == "7"


def test_a_redirect_within_the_host_is_followed_once_and_remembered() -> None:
    def answer(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/"):
            return web.Response(status=307, headers={"Location": f"{request.path}/"})
        return web.json_response({"choices": [], "model": "m"})

    async def work(url: str) -> None:
        connection = OpenAIConnection(KEY, base_url=f"{url}/v1")
        async with Models() as models:
            for _ in range(2):
                await models.call(connection, {"model": "m", "messages": MESSAGES}, api="chat")

    seen = Seen(answer)
    serve(seen, work)

    first, moved = "/v1/chat/completions", "/v1/chat/completions/"
    assert [request["target"] for request in seen.requests] == [first, moved, moved]
    assert all(request["body"]["messages"] == MESSAGES for request in seen.requests)


def test_a_redirect_to_another_host_gets_neither_the_key_nor_the_text() -> None:
    elsewhere = "http://localhost:9/v1/chat/completions"
    seen = Seen(lambda _: web.Response(status=308, headers={"Location": elsewhere}))

    async def work(url: str) -> str:
        with pytest.raises(ModelCallError) as caught:
            await ask_ours(OpenAIConnection(KEY, base_url=f"{url}/v1"), {"model": "m", "messages": MESSAGES})
        return str(caught.value)

    said = serve(seen, work)

    assert len(seen.requests) == 1
    assert elsewhere in said
    assert "set that in the connection" in said


def test_calls_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(url: str) -> None:
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://user:word@"))
        monkeypatch.setenv("no_proxy", "other.example")
        connection = OpenAIConnection(KEY, base_url="http://model.example/v1")
        await ask_ours(connection, {"model": "m", "messages": MESSAGES})

    seen = Seen()
    serve(seen, work)

    (request,) = seen.requests
    assert request["target"] == "http://model.example/v1/chat/completions"
    assert request["headers"]["proxy-authorization"] == "Basic dXNlcjp3b3Jk"  # user:word (RFC 7617)


@pytest.mark.parametrize("spared", ["127.0.0.1", "*"])
def test_hosts_that_the_environment_spares_are_reached_without_the_proxy(
    spared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(url: str) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", spared)
        await ask_ours(OpenAIConnection(KEY, base_url=f"{url}/v1"), {"model": "m", "messages": MESSAGES})

    seen = Seen()
    serve(seen, work)

    assert seen.requests[0]["target"] == "/v1/chat/completions"


def test_an_address_that_is_none_is_given_up_at_once() -> None:
    connection = OpenAIConnection(KEY, base_url="ftp://127.0.0.1/v1")

    with pytest.raises(ModelCallError, match="is not an address that can be asked") as caught:
        asyncio.run(ask_ours(connection, {"model": "m", "messages": MESSAGES}))

    assert caught.value.retries == 0
    assert KEY not in str(caught.value)


def test_a_key_that_cannot_be_sent_is_given_up_at_once_and_not_shown() -> None:
    async def work(url: str) -> str:
        with pytest.raises(ModelCallError) as caught:
            await ask_ours(OpenAIConnection(f"{KEY}\nX-Bad: 1", base_url=url), {"model": "m", "messages": MESSAGES})
        return str(caught.value)

    seen = Seen()

    assert KEY not in serve(seen, work)
    assert seen.requests == []


@pytest.mark.parametrize(
    ("first", "tries"),
    [({"error": {"message": "Busy.", "type": "server_error"}}, 2), ({"error": {"message": "No."}}, 1)],
)
def test_an_error_in_place_of_the_first_chunk_is_tried_again_when_the_server_is_to_blame(
    first: dict[str, Any], tries: int
) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Paris"}, "finish_reason": "stop"}]}

    def answer(_: web.Request) -> web.StreamResponse:
        said = first if len(seen.requests) == 1 else chunk
        return web.Response(
            text=f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n", headers={"Content-Type": "text/event-stream"}
        )

    async def work(url: str) -> list[str]:
        texts: list[str] = []
        async with Models() as models:
            body = {"model": "m", "messages": MESSAGES}
            async for piece in models.stream(OpenAIConnection(KEY, base_url=url), body, api="chat"):
                texts += [part["delta"]["content"] for part in piece["choices"]]
        return texts

    seen = Seen(answer)
    if tries == 1:
        with pytest.raises(ModelCallError, match=r"No\."):
            serve(seen, work)
    else:
        assert serve(seen, work) == ["Paris"]
    assert len(seen.requests) == tries


def test_streams_use_one_connection_after_another() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Paris"}, "finish_reason": "stop"}]}
    ports: set[Any] = set()

    def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(text=f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", content_type="text/event-stream")

    async def work(url: str) -> None:
        async with Models() as models:
            for _ in range(3):
                stream = models.stream(
                    OpenAIConnection(KEY, base_url=url), {"model": "m", "messages": MESSAGES}, api="chat"
                )
                assert [piece async for piece in stream]

    serve(Seen(answer), work)

    assert len(ports) == 1
