"""Model calls that user code makes with the OpenAI SDK become spans of the current row, with their tokens.

The SDK's `create` methods are wrapped when their modules are imported, so a flow without such calls pays nothing.
A call inside an `llm` or `embedding` span is the wire of a call that is recorded already, and is left alone.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

from genaiops.compat._after_loading import AfterLoading
from genaiops.tracing import Span, TokenUsage, current_span, start_span

_MAX_CHARACTERS = 8_000
_ORIGINAL = "_original"
_PARAMETERS = {
    "model": "gen_ai.request.model",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
}
_NOT_SHOWN = frozenset({"api_key", "headers", "extra_headers", "extra_query", "timeout"})


class _Api(NamedTuple):
    """One method of the SDK."""

    module: str
    owner: str
    method: str
    kind: str
    name: str


_APIS = (
    _Api("openai.resources.chat.completions.completions", "Completions", "create", "llm", "openai_chat"),
    _Api("openai.resources.chat.completions.completions", "Completions", "parse", "llm", "openai_chat"),
    _Api("openai.resources.chat.completions.completions", "AsyncCompletions", "create", "llm", "openai_chat_async"),
    _Api("openai.resources.chat.completions.completions", "AsyncCompletions", "parse", "llm", "openai_chat_async"),
    _Api("openai.resources.completions", "Completions", "create", "llm", "openai_completion"),
    _Api("openai.resources.completions", "AsyncCompletions", "create", "llm", "openai_completion_async"),
    _Api("openai.resources.embeddings", "Embeddings", "create", "embedding", "openai_embeddings"),
    _Api("openai.resources.embeddings", "AsyncEmbeddings", "create", "embedding", "openai_embeddings_async"),
    _Api("openai.resources.responses.responses", "Responses", "create", "llm", "openai_responses"),
    _Api("openai.resources.responses.responses", "AsyncResponses", "create", "llm", "openai_responses_async"),
)
_MODULES = frozenset(api.module for api in _APIS)


def record_openai_calls() -> None:
    """Record model calls of the OpenAI SDK from now on; calling it again does nothing."""
    if not any(isinstance(finder, _SdkFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SdkFinder())
    for name in _MODULES:
        if name in sys.modules:
            _wrap_module(sys.modules[name])


def stop_recording_openai_calls() -> None:
    """Put the SDK's own methods back."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _SdkFinder)]
    for api in _APIS:
        owner = getattr(sys.modules.get(api.module), api.owner, None)
        original = getattr(getattr(owner, api.method, None), _ORIGINAL, None)
        if owner is not None and original is not None:
            setattr(owner, api.method, original)


class _SdkFinder:
    """Sees the SDK's modules when they are imported; finds nothing itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        others = [finder for finder in sys.meta_path if not isinstance(finder, _SdkFinder)]
        for finder in others:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = AfterLoading(spec.loader, _wrap_module)  # type: ignore[assignment]
                return spec
        return None


def _wrap_module(module: ModuleType) -> None:
    for api in _APIS:
        owner = getattr(module, api.owner, None) if api.module == module.__name__ else None
        method = getattr(owner, api.method, None)
        if owner is None or method is None or hasattr(method, _ORIGINAL):
            continue
        wrapper = _wrap_async(method, api) if api.owner.startswith("Async") else _wrap(method, api)
        setattr(wrapper, _ORIGINAL, method)
        setattr(owner, api.method, wrapper)


def _wrap(method: Callable[..., Any], api: _Api) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        span = _begin(api, kwargs)
        if span is None:
            return method(self, *args, **kwargs)
        try:
            with span.active():
                reply = method(self, *args, **kwargs)
        except BaseException as error:
            span.end(error)
            raise
        if hasattr(reply, "_iterator"):
            reply._iterator = _watched(reply._iterator, span)
        else:
            _finish(span, _unwrapped(reply))
        return reply

    return call


def _wrap_async(method: Callable[..., Any], api: _Api) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        span = _begin(api, kwargs)
        if span is None:
            return await method(self, *args, **kwargs)
        try:
            with span.active():
                reply = await method(self, *args, **kwargs)
        except BaseException as error:
            span.end(error)
            raise
        if hasattr(reply, "_iterator"):
            reply._iterator = _watched_async(reply._iterator, span)
        else:
            _finish(span, _unwrapped(reply))
        return reply

    return call


def _begin(api: _Api, kwargs: Mapping[str, Any]) -> Span | None:
    """A span, or None when there is no row or the call is part of one that is recorded."""
    parent = current_span()
    if parent is None or parent.kind in ("llm", "embedding"):
        return None
    span = start_span(api.name, api.kind, {"function": f"{api.module}.{api.owner}.{api.method}"})
    for parameter, attribute in _PARAMETERS.items():
        if isinstance(kwargs.get(parameter), (str, int, float)):
            span.attributes[attribute] = kwargs[parameter]
    shown = {key: value for key, value in kwargs.items() if key not in _NOT_SHOWN}
    span.attributes["inputs"] = _shown(shown)
    return span


def _unwrapped(reply: Any) -> Any:
    """The parsed reply of a `with_raw_response` call; the SDK keeps it, so this costs the caller nothing."""
    if not (hasattr(reply, "http_response") and hasattr(reply, "parse")):
        return reply
    try:
        parsed = reply.parse()
    except Exception:  # noqa: BLE001 - the caller meets it when it parses
        return None
    return None if hasattr(parsed, "_iterator") or hasattr(parsed, "__await__") else parsed


def _finish(span: Span, reply: Any) -> None:
    usage = getattr(reply, "usage", None)
    if usage is not None:
        span.add_usage(_usage(usage))
    if getattr(reply, "model", None):
        span.attributes["gen_ai.response.model"] = str(reply.model)
    if span.kind == "llm" and reply is not None:
        dump = getattr(reply, "model_dump", None)
        span.attributes["output"] = _shown(dump(mode="json", exclude_none=True, warnings=False) if dump else reply)
    span.end()


def _usage(usage: Any) -> TokenUsage:
    """Tokens in the words of either API: `prompt_tokens` or `input_tokens`."""
    sent = getattr(usage, "prompt_tokens", None) or getattr(usage, "input_tokens", None) or 0
    received = getattr(usage, "completion_tokens", None) or getattr(usage, "output_tokens", None) or 0
    details = getattr(usage, "prompt_tokens_details", None) or getattr(usage, "input_tokens_details", None)
    return TokenUsage(int(sent), int(received), int(getattr(details, "cached_tokens", 0) or 0))


class _StreamNotes:
    """What a stream said: its text, and the usage that came with a chunk if the caller asked for it."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.texts: list[str] = []

    def note(self, chunk: Any) -> None:
        source = getattr(chunk, "response", None) or chunk
        usage = getattr(source, "usage", None)
        if usage is not None and not self.span.usage:
            self.span.add_usage(_usage(usage))
        if getattr(source, "model", None):
            self.span.attributes["gen_ai.response.model"] = str(source.model)
        for choice in getattr(chunk, "choices", None) or ():
            text = getattr(getattr(choice, "delta", None), "content", None) or getattr(choice, "text", None)
            if text:
                self.texts.append(text)
        if isinstance(getattr(chunk, "delta", None), str):
            self.texts.append(chunk.delta)

    def close(self) -> None:
        self.span.attributes["output"] = _shown("".join(self.texts))
        self.span.attributes["output_type"] = "iterated"


def _watched(iterator: Iterator[Any], span: Span) -> Iterator[Any]:
    notes = _StreamNotes(span)
    try:
        for chunk in iterator:
            notes.note(chunk)
            yield chunk
    except BaseException as error:
        notes.close()
        span.end(None if isinstance(error, GeneratorExit) else error)
        raise
    notes.close()
    span.end()


async def _watched_async(iterator: AsyncIterator[Any], span: Span) -> AsyncIterator[Any]:
    notes = _StreamNotes(span)
    try:
        async for chunk in iterator:
            notes.note(chunk)
            yield chunk
    except BaseException as error:
        notes.close()
        span.end(None if isinstance(error, GeneratorExit) else error)
        raise
    notes.close()
    span.end()


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}… ({len(text)} characters)"
