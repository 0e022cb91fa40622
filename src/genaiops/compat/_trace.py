"""What code written for `promptflow.tracing` imports; spans themselves are made by the room `tracing`."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from genaiops.compat._table import VERSION

logger = logging.getLogger(__name__)


class TraceType(StrEnum):
    """Kinds of spans, for code that names one."""

    LLM = "LLM"
    FUNCTION = "Function"
    LANGCHAIN = "LangChain"
    FLOW = "Flow"
    EMBEDDING = "Embedding"
    RETRIEVAL = "Retrieval"
    PROMPT = "Prompt"


def start_trace(*, resource_attributes: dict[str, Any] | None = None, collection: str | None = None, **_: Any) -> None:
    """Accepted and harmless: rows are traced anyway, and no service is started.

    Never raises. Model calls of the OpenAI SDK are recorded from now on, also outside of a flow host.
    """
    from genaiops.compat._openai_spans import record_openai_calls

    try:
        record_openai_calls()
        OperationContext.get_instance()._add_otel_attributes("collection", collection)
    except Exception as error:  # noqa: BLE001 - tracing must not break what it looks at
        logger.debug("start_trace: %s", error)


class ThreadPoolExecutorWithContext(ThreadPoolExecutor):
    """A thread pool whose threads know the span and the context of who started the work.

    The context is taken when work is submitted, so two rows that share a pool do not mix their spans.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)


_current: ContextVar[OperationContext | None] = ContextVar("genaiops_operation_context", default=None)


class OperationContext(dict[str, Any]):
    """Facts about the current operation: keys are attributes too."""

    USER_AGENT_KEY = "user_agent"
    REQUEST_ID_KEY = "request_id"
    EXECUTION_TARGET = "execution_target"
    _OTEL_ATTRIBUTES = "_otel_attributes"

    @classmethod
    def get_instance(cls) -> OperationContext:
        """The context in force; an empty one is made when there is none."""
        found = _current.get()
        if found is None:
            found = cls()
            _current.set(found)
        _add_row_facts(found)
        return found

    @classmethod
    def set_instance(cls, instance: OperationContext | None) -> None:
        _current.set(instance)

    def copy(self) -> OperationContext:
        twin = OperationContext(self)
        twin[self._OTEL_ATTRIBUTES] = self._get_otel_attributes()
        return twin

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(name)
        del self[name]

    def _add_otel_attributes(self, key: str, value: Any) -> None:
        """Attributes are put on the current span; None is left out."""
        attributes = dict(self.get(self._OTEL_ATTRIBUTES, {}))
        attributes[key] = value
        self[self._OTEL_ATTRIBUTES] = attributes
        from genaiops.tracing import current_span

        span = current_span()
        if span is not None and value is not None:
            span.set(**{key: value})

    def _remove_otel_attributes(self, keys: list[str] | str) -> None:
        gone = [keys] if isinstance(keys, str) else keys
        attributes = self.get(self._OTEL_ATTRIBUTES, {})
        self[self._OTEL_ATTRIBUTES] = {key: value for key, value in attributes.items() if key not in gone}

    def _get_otel_attributes(self) -> dict[str, Any]:
        return {key: value for key, value in self.get(self._OTEL_ATTRIBUTES, {}).items() if value is not None}

    def get_user_agent(self) -> str:
        return f"{self.get(self.USER_AGENT_KEY, '')} promptflow-tracing/{VERSION}".strip()

    def append_user_agent(self, user_agent: str) -> None:
        known = str(self.get(self.USER_AGENT_KEY, ""))
        if user_agent not in known:
            self[self.USER_AGENT_KEY] = f"{known} {user_agent}".strip()

    def get_request_id(self) -> str:
        return str(self.get(self.REQUEST_ID_KEY, "unknown"))

    def set_execution_target(self, execution_target: str) -> None:
        self[self.EXECUTION_TARGET] = execution_target
        self._add_otel_attributes(self.EXECUTION_TARGET, execution_target)

    def get_context_dict(self) -> dict[str, Any]:
        return dict(self)


def _add_row_facts(context: OperationContext) -> None:
    """`flow_id`, `root_run_id` and `line_number` of the row that runs now, for code that asks."""
    from genaiops.tracing import current_span

    span = current_span()
    if span is None or span.recorder is None:
        return
    known = span.recorder.attributes
    context.setdefault("flow_id", "default_flow_id")
    context.setdefault("root_run_id", str(known.get("run", f"{span.trace_id:032x}")))
    if known.get("row") is not None:
        context["line_number"] = known["row"]
