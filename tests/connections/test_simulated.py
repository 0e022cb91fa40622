import asyncio
import time
from typing import Any

from genaiops.connections import ModelReply, Models, SimulatedConnection, model_identity, simulated_body
from tests.slowness import seconds_here


def _body(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def _call(connection: SimulatedConnection, *texts: str) -> tuple[list[ModelReply], Models]:
    models = Models()

    async def main() -> list[ModelReply]:
        replies = await asyncio.gather(*(models.call(connection, _body(text), api="chat") for text in texts))
        await models.aclose()
        return replies

    return asyncio.run(main()), models


def _text(reply: ModelReply) -> str:
    return str(reply.body["choices"][0]["message"]["content"])


def test_rules_answer_by_the_last_message() -> None:
    connection = SimulatedConnection(
        rules=[("capital of (\\w+)", "Not \\1, surely"), {"pattern": "(?s)^.*page", "reply": "App"}]
    )

    replies, _ = _call(connection, "the capital of France?", "this\npage", "neither")

    assert [_text(reply) for reply in replies] == ["Not France, surely", "App", "neither"]
    assert {reply.source for reply in replies} == {"simulated"}


def test_the_same_request_gets_the_same_reply() -> None:
    assert simulated_body("chat", _body("x")) == simulated_body("chat", _body("x"))
    vectors = simulated_body("embedding", {"model": "e", "input": ["a", "b", "a"]})["data"]
    assert vectors[0]["embedding"] == vectors[2]["embedding"] != vectors[1]["embedding"]


def test_latency_is_waited_for() -> None:
    started = time.monotonic()

    _call(SimulatedConnection(latency_ms=80), *map(str, range(10)))

    took = time.monotonic() - started
    assert 0.08 <= took < seconds_here(0.8)  # one after the other they take 0.8


def test_faults_are_retried_like_real_ones() -> None:
    connection = SimulatedConnection(share_429=0.2, share_500=0.1, share_cut=0.1, share_drop=0.05)

    replies, models = _call(connection, *map(str, range(100)))

    assert [_text(reply) for reply in replies] == [str(i) for i in range(100)]
    assert models.stats.retries > 20
    assert {"refused", "server", "body", "connection"} <= set(models.stats.troubles)


def test_vision_messages_answer_to_their_text() -> None:
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:"}}]

    reply = simulated_body("chat", {"messages": [{"role": "user", "content": content}]})

    assert reply["choices"][0]["message"]["content"] == "what is it?"


def test_rules_are_part_of_a_models_identity() -> None:
    """A kept result must not outlive the rule that made it."""
    one, other = SimulatedConnection(reply="a", name="s"), SimulatedConnection(reply="b", name="s")

    assert model_identity(one, {"model": "m"}) != model_identity(other, {"model": "m"})
