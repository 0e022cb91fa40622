"""Replies of a model that is not there: by rule, deterministic, in the wire's own form."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_VECTOR_SIZE = 8


def simulated_body(
    api: str, body: Mapping[str, Any], *, rules: Sequence[tuple[str, str]] = (), reply: str | None = None
) -> dict[str, Any]:
    """What the simulated model answers: the same for the same request, always.

    Args:
        api: `chat`, `completion` or `embedding`.
        body: The request.
        rules: Pairs of a regular expression on the last message and a reply that may use its groups (`\\1`).
        reply: Answers everything instead of the rules. Without both, the last message comes back.

    >>> simulated_body("chat", {"messages": [{"role": "user", "content": "hi"}]})["choices"][0]["message"]["content"]
    'hi'
    """
    model = str(body.get("model") or "simulated")
    if api == "embedding":
        return _embedding(body, model)
    messages = body.get("messages") or [{"content": body.get("prompt", "")}]
    asked = [message_text(message) for message in messages]
    text = _answer(asked[-1], rules, reply)
    given, made = count_tokens("\n".join(asked)), count_tokens(text)
    usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    digest = hashlib.sha256(json.dumps([asked, model], ensure_ascii=False).encode()).hexdigest()[:24]
    head = {"id": f"sim-{digest}", "created": 0, "model": model}
    if api == "completion":
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        return {**head, "object": "text_completion", "choices": [choice], "usage": usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


def message_text(message: Mapping[str, Any]) -> str:
    """The text parts of a message."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    return "" if content is None else str(content)


def count_tokens(text: str) -> int:
    """About four characters a token; never none."""
    return max(1, len(text) // 4)


def _answer(last: str, rules: Sequence[tuple[str, str]], reply: str | None) -> str:
    if reply is not None:
        return reply
    for pattern, template in rules:
        if found := re.search(pattern, last, re.DOTALL):
            return found.expand(template)
    return last


def _embedding(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    given = body.get("input", "")
    texts = [str(item) for item in given] if isinstance(given, list) else [str(given)]
    rows = [{"object": "embedding", "index": i, "embedding": _vector(text)} for i, text in enumerate(texts)]
    tokens = sum(map(count_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": model, "usage": usage}


def _vector(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [round(byte / 127.5 - 1, 6) for byte in digest[:_VECTOR_SIZE]]
