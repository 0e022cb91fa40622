"""What calling a prompty gives for what the model answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from genaiops.prompts._errors import PromptError
from genaiops.prompts._replies import first_of, whole_message
from genaiops.records import record


@record(frozen=True, kw_only=True)
class PromptyReply:
    """Reads the answers to one prompty.

    Args:
        file: The prompty, named in errors.
        api: `chat` or `completion`.
        outputs: Members of a JSON answer to keep; none keeps all.
        response_format: As it was sent.
        whole: Give the provider's answer as it is.
        as_sdk_object: Then as an object of the OpenAI SDK.
    """

    file: Path
    api: str
    outputs: tuple[str, ...]
    response_format: Any
    whole: bool
    as_sdk_object: bool

    @property
    def is_json(self) -> bool:
        """The answer was asked for as a JSON object."""
        return isinstance(self.response_format, Mapping) and self.response_format.get("type") == "json_object"

    def value(self, reply: Mapping[str, Any]) -> Any:
        """The result for an answer in one piece."""
        if self.whole:
            return _sdk_object(reply, self.api, chunk=False) if self.as_sdk_object else dict(reply)
        choice = first_of(reply, "choices")
        if self.api == "completion":
            return self._formed(choice.get("text"))
        message = choice.get("message") or {}
        # By what the message holds: a call that the request forces ends with the reason `stop`.
        if message.get("tool_calls") or message.get("function_call"):
            return whole_message(message)
        return self._formed(message.get("content"))

    def stream(self, chunks: Iterator[Mapping[str, Any]]) -> Any:
        """The result for an answer in chunks: an iterator, or a mapping for a JSON answer."""
        if self.whole:
            return (_sdk_object(chunk, self.api, chunk=True) if self.as_sdk_object else chunk for chunk in chunks)
        texts = self._texts(chunks)
        return self._formed("".join(texts)) if self.is_json else texts

    async def stream_async(self, chunks: AsyncIterator[Mapping[str, Any]]) -> Any:
        """The same for an asynchronous stream."""
        if self.whole:
            return self._whole_async(chunks)
        texts = self._texts_async(chunks)
        return self._formed("".join([text async for text in texts])) if self.is_json else texts

    def _texts(self, chunks: Iterator[Mapping[str, Any]]) -> Iterator[str]:
        choice = _FirstChoice(self.api)
        for chunk in chunks:
            if text := choice.text_of(chunk):
                yield text

    async def _texts_async(self, chunks: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[str]:
        choice = _FirstChoice(self.api)
        async for chunk in chunks:
            if text := choice.text_of(chunk):
                yield text

    async def _whole_async(self, chunks: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            yield _sdk_object(chunk, self.api, chunk=True) if self.as_sdk_object else chunk

    def _formed(self, content: str | None) -> Any:
        if not self.is_json:
            return content
        try:
            found = json.loads(content or "")
        except ValueError as error:
            raise PromptError(
                f"The model's answer is no JSON: {error}.", file=self.file, kind="LLMError", type="JSONDecodeError"
            ) from error
        if not self.outputs:
            return found
        members = list(found) if isinstance(found, dict) else []
        for name in self.outputs:
            if name not in members:
                raise PromptError(
                    f"Cannot find {name} in response {members}.", file=self.file, kind="InvalidOutputKeyError"
                )
        return {name: found[name] for name in self.outputs}


class _FirstChoice:
    """The text of the choice that a stream begins with; chunks of further ones are passed over."""

    def __init__(self, api: str) -> None:
        self._is_completion = api == "completion"
        self._index: int | None = None

    def text_of(self, chunk: Mapping[str, Any]) -> str | None:
        choices = chunk.get("choices")
        if not choices:
            return None
        choice = choices[0]
        text = choice.get("text") if self._is_completion else (choice.get("delta") or {}).get("content")
        if not text:
            return None
        if self._index is None:
            self._index = choice.get("index")
        return str(text) if choice.get("index") == self._index else None


def _sdk_object(reply: Mapping[str, Any], api: str, *, chunk: bool) -> Any:
    """The answer with attributes, as code written for the SDK reads it."""
    from openai.types import Completion
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    if api == "completion":
        return Completion.construct(**reply)
    return ChatCompletionChunk.construct(**reply) if chunk else ChatCompletion.construct(**reply)
