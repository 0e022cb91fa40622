"""What a model node gives for what a model answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from genaiops.prompts._errors import PromptError

# Members that a message has even when the provider leaves them out, so that `${llm.output.tool_calls}` resolves.
_MESSAGE_MEMBERS = ("content", "refusal", "role", "annotations", "audio", "function_call", "tool_calls")


def reply_value(reply: Mapping[str, Any], request: Mapping[str, Any], api: str) -> Any:
    """The output of a model node.

    Text of the first choice; for a request with tools or functions the whole message as a mapping, called or not;
    for an embedding the vector.

    Raises:
        PromptError: The answer holds nothing (kind `LLMError`).
    """
    if api == "embedding":
        return first_of(reply, "data")["embedding"]
    choice = first_of(reply, "choices")
    if api == "completion":
        return choice.get("text")
    message = choice.get("message") or {}
    if request.get("tools") or request.get("functions"):
        return whole_message(message)
    return message.get("content")


def whole_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with every member, those that say nothing as None."""
    return {**dict.fromkeys(_MESSAGE_MEMBERS), **message}


def chunk_text(chunk: Mapping[str, Any], api: str) -> str | None:
    """The text of one chunk of a stream; None for a chunk without a choice."""
    choices = chunk.get("choices")
    if not choices:
        return None
    if api == "completion":
        return choices[0].get("text") or ""
    return (choices[0].get("delta") or {}).get("content") or ""


def texts(chunks: Iterator[Mapping[str, Any]], api: str) -> Iterator[str]:
    """The text of each chunk of a stream."""
    for chunk in chunks:
        text = chunk_text(chunk, api)
        if text is not None:
            yield text


async def texts_async(chunks: AsyncIterator[Mapping[str, Any]], api: str) -> AsyncIterator[str]:
    """The text of each chunk of a stream."""
    async for chunk in chunks:
        text = chunk_text(chunk, api)
        if text is not None:
            yield text


def first_of(reply: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The first entry of a list in an answer.

    Raises:
        PromptError: There is none (kind `LLMError`).
    """
    entries = reply.get(key)
    if not entries or not isinstance(entries, list):
        raise PromptError(f"The model's answer has no {key!r}.", kind="LLMError")
    return entries[0]  # type: ignore[no-any-return]
