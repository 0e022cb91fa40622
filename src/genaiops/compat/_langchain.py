"""A LangChain callback handler that makes spans of chains, models and tools."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from genaiops.errors import MissingExtraError
from genaiops.tracing import TokenUsage, start_span

if TYPE_CHECKING:
    from genaiops.tracing import Span

_MAX_CHARACTERS = 8_000


class PromptFlowCallbackHandler:
    """Records what a LangChain chain does as spans of the row that runs now.

    Made a LangChain handler when it is constructed, so that importing it does not need LangChain.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(_handler_class())


@functools.cache
def _handler_class() -> type:
    try:
        from langchain_core.callbacks import BaseCallbackHandler  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingExtraError(
            "langchain-core", extra="langchain", purpose="by a flow that traces LangChain"
        ) from error

    return type("PromptFlowCallbackHandler", (_SpanEvents, BaseCallbackHandler), {})


class _SpanEvents:
    """The events of LangChain that begin and end spans."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: dict[Any, Span] = {}

    def _begin(self, kind: str, serialized: Any, given: Any, run_id: Any) -> None:
        name = ((serialized or {}).get("id") or [kind])[-1]
        span = start_span(str(name), kind, {"inputs": str(given)[:_MAX_CHARACTERS], "framework": "langchain"})
        self._spans[run_id] = span

    def _end(self, output: Any, run_id: Any, error: BaseException | None = None) -> None:
        span = self._spans.pop(run_id, None)
        if span is None:
            return
        if output is not None:
            span.set(output=str(output)[:_MAX_CHARACTERS])
        usage = (getattr(output, "llm_output", None) or {}).get("token_usage") or {}
        if usage:
            span.add_usage(TokenUsage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0))
        span.end(error)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any = None, **_: Any) -> None:
        self._begin("llm", serialized, prompts, run_id)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any = None, **_: Any) -> None:
        self._begin("llm", serialized, messages, run_id)

    def on_llm_end(self, response: Any, *, run_id: Any = None, **_: Any) -> None:
        self._end(response, run_id)

    def on_llm_error(self, error: BaseException, *, run_id: Any = None, **_: Any) -> None:
        self._end(None, run_id, error)

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any = None, **_: Any) -> None:
        self._begin("function", serialized, inputs, run_id)

    def on_chain_end(self, outputs: Any, *, run_id: Any = None, **_: Any) -> None:
        self._end(outputs, run_id)

    def on_chain_error(self, error: BaseException, *, run_id: Any = None, **_: Any) -> None:
        self._end(None, run_id, error)

    def on_tool_start(self, serialized: Any, input_str: Any, *, run_id: Any = None, **_: Any) -> None:
        self._begin("function", serialized, input_str, run_id)

    def on_tool_end(self, output: Any, *, run_id: Any = None, **_: Any) -> None:
        self._end(output, run_id)

    def on_tool_error(self, error: BaseException, *, run_id: Any = None, **_: Any) -> None:
        self._end(None, run_id, error)

    def on_agent_action(self, action: Any, **_: Any) -> None:
        """Part of a chain's span."""

    def on_agent_finish(self, finish: Any, **_: Any) -> None:
        """Part of a chain's span."""
