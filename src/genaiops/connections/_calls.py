"""What goes to a model and what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from genaiops.connections._base import Connection
from genaiops.connections._types import AzureOpenAIConnection, ServerlessConnection, SimulatedConnection
from genaiops.errors import ConnectionSettingsError
from genaiops.records import record
from genaiops.tracing import TokenUsage

Api = Literal["chat", "completion", "embedding"]
Source = Literal["live", "recorded", "simulated"]
PATHS: dict[str, str] = {"chat": "/chat/completions", "completion": "/completions", "embedding": "/embeddings"}
_OPENAI = "https://api.openai.com/v1"


@record(frozen=True, slots=True)
class ModelReply:
    """One answer of a model.

    Args:
        body: The reply's JSON as the server sent it.
        usage: Tokens used.
        model: The model that answered, as it calls itself.
        finish_reason: Why it stopped: `stop`, `length`, `tool_calls`, …; empty for embeddings.
        retries: How often the call was tried again.
        duration_s: Seconds of the last try.
        waited_s: Seconds spent waiting: for a slot, for a rate limit, between tries, in tries that failed.
        source: A live model, a recording, or a simulated one.
        recorded: The date of the recording, when it is one.
    """

    body: dict[str, Any]
    usage: TokenUsage
    model: str
    finish_reason: str
    retries: int = 0
    duration_s: float = 0.0
    waited_s: float = 0.0
    source: Source = "live"
    recorded: str | None = None


def model_endpoint(connection: Connection) -> str:
    """The address that model calls of this connection go to, without a trailing slash.

    Raises:
        ConnectionSettingsError: This type of connection does not lead to a model.
    """
    if isinstance(connection, SimulatedConnection):
        return f"simulated:{connection.name or ''}"
    if isinstance(connection, ServerlessConnection):
        base = str(connection.api_base).rstrip("/")
        return base if base.endswith("/v1") else f"{base}/v1"
    if isinstance(connection, AzureOpenAIConnection):
        return str(connection.api_base).rstrip("/")
    if "base_url" in connection.configs:
        return str(connection.configs["base_url"] or _OPENAI).rstrip("/")
    raise ConnectionSettingsError(
        f"Connection {connection.name!r} is of type {connection.SPELLING}, which does not lead to a model.",
        hint="Use a connection of type azure_open_ai, open_ai, serverless or simulated.",
        kind="InvalidConnectionType",
    )


def model_identity(connection: Connection, body: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which model answers, without any secret: for keys of kept results."""
    identity: dict[str, Any] = {"endpoint": model_endpoint(connection), "deployment": str(body.get("model") or "")}
    if isinstance(connection, AzureOpenAIConnection):
        identity["api_version"] = connection.api_version
    if isinstance(connection, SimulatedConnection):
        identity["simulated"] = dict(connection.configs)
    return identity


def reply_from_body(body: dict[str, Any], **known: Any) -> ModelReply:
    """A reply with what its body says about tokens, model and end."""
    usage = body.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    choices = body.get("choices") or [{}]
    reason = choices[0].get("finish_reason") if isinstance(choices[0], Mapping) else None
    return ModelReply(
        body=body,
        usage=TokenUsage(
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
            int(details.get("cached_tokens") or 0),
        ),
        model=str(body.get("model") or ""),
        finish_reason=str(reason or ""),
        **known,
    )


def chunks_of_body(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A whole reply as the chunks of a stream: for recordings and simulated models."""
    head = {key: value for key, value in body.items() if key not in ("choices", "usage", "object")}
    chunks: list[dict[str, Any]] = []
    for choice in body.get("choices") or []:
        index, reason = choice.get("index", 0), choice.get("finish_reason")
        if "message" not in choice:
            chunks.append({**head, "choices": [{"index": index, "text": choice.get("text"), "finish_reason": reason}]})
            continue
        message = dict(choice["message"])
        first = {key: value for key, value in message.items() if key != "content"}
        pieces = _pieces(message.get("content"))
        deltas = [{**first, "content": ""}, *({"content": piece} for piece in pieces), {}]
        last = len(deltas) - 1
        chunks += [
            {**head, "choices": [{"index": index, "delta": delta, "finish_reason": reason if i == last else None}]}
            for i, delta in enumerate(deltas)
        ]
    if body.get("usage"):
        chunks.append({**head, "choices": [], "usage": body["usage"]})
    return chunks


def body_of_chunks(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole reply that a stream was: for recordings and token counts."""
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        body |= {k: v for k, v in chunk.items() if k not in ("choices", "object") and v is not None}
        for part in chunk.get("choices") or []:
            _join_choice(choices.setdefault(part.get("index", 0), {}), part)
    body["choices"] = [choices[index] for index in sorted(choices)]
    return body


def _join_choice(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    choice["index"] = part.get("index", 0)
    if part.get("finish_reason"):
        choice["finish_reason"] = part["finish_reason"]
    if "delta" not in part:
        choice["text"] = choice.get("text", "") + (part.get("text") or "")
        return
    message = choice.setdefault("message", {"role": "assistant", "content": None})
    delta = part["delta"] or {}
    for key, value in delta.items():
        if key == "content":
            message["content"] = (message["content"] or "") + value if value is not None else message["content"]
        elif key == "tool_calls":
            _join_tool_calls(message.setdefault("tool_calls", []), value or [])
        elif value is not None:
            message[key] = value


def _join_tool_calls(calls: list[dict[str, Any]], parts: list[Mapping[str, Any]]) -> None:
    for place, part in enumerate(parts):
        index = part.get("index", place)
        while len(calls) <= index:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = calls[index]
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _pieces(content: Any) -> list[str]:
    if not isinstance(content, str) or not content:
        return []
    words = content.split(" ")
    return [f"{word} " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def estimate_tokens(body: Mapping[str, Any]) -> int:
    """A rough count before the call, for budgets of tokens a minute: a quarter of the characters, and what may come."""
    asked = body.get("messages") or body.get("prompt") or body.get("input") or ""
    characters = len(asked) if isinstance(asked, str) else len(json.dumps(asked, ensure_ascii=False, default=str))
    most = body.get("max_completion_tokens") or body.get("max_tokens") or 256
    return characters // 4 + (int(most) if isinstance(most, int) else 256)
