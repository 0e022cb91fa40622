"""Models as one node of one row sees them: what was kept is not asked again, what was asked is written down."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, NamedTuple

from genaiops.errors import RowError
from genaiops.flows._outcome import NodeOutcome, Services
from genaiops.tracing import TokenUsage, price_usd


class KeptReply(NamedTuple):
    """An answer that was not asked for again. Its tokens were counted where the call was made."""

    body: dict[str, Any]
    model: str
    usage: TokenUsage
    retries: int = 0
    source: str = "kept"


class CountedModels:
    """Passes calls on to the models of a host.

    Args:
        services: Models and kept results.
        outcome: The node that calls; model, retries and cost are written into it.
        repeat: Which repetition of the row this is.
        keep: Answers may be kept.
        loop: The loop that owns the models, for calls from threads that are to be kept.
    """

    def __init__(
        self,
        services: Services,
        outcome: NodeOutcome,
        *,
        repeat: int,
        keep: bool,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._services = services
        self._outcome = outcome
        self._repeat = repeat
        self._keep = keep and services.kept is not None
        self._loop = loop
        self._asked: dict[str, int] = {}
        self._fresh_calls = 0

    @property
    def _models(self) -> Any:
        if self._services.models is None:
            raise RowError("No model can be called here: no Models were given.", kind="UserErrorException")
        return self._services.models

    async def call(self, connection: Any, body: dict[str, Any], *, api: str, **options: Any) -> Any:
        """One answer, from the model or from what was kept.

        Equal calls of different rows that are under way at the same time share one answer.
        """
        if not self._keep:
            return await self._fresh(connection, body, api, options)
        key = self._key(connection, body, api)
        fresh: list[Any] = []

        async def make() -> dict[str, Any]:
            reply = await self._fresh(connection, body, api, options)
            fresh.append(reply)
            return {
                "body": reply.body,
                "model": reply.model,
                "simulated": reply.source == "simulated",
                "recorded": reply.recorded,
            }

        assert self._services.kept is not None
        stored, _ = await self._services.kept.share(key, make)
        if fresh:
            return fresh[0]
        self._outcome.kept = not self._fresh_calls
        self._outcome.model = stored["model"]
        self._outcome.simulated = bool(stored.get("simulated"))
        self._outcome.recorded = stored.get("recorded")
        return KeptReply(stored["body"], stored["model"], TokenUsage())

    def _key(self, connection: Any, body: dict[str, Any], api: str) -> str:
        from genaiops.connections import model_identity
        from genaiops.kept import content_key

        parts = {"kind": "model", "api": api, "model": model_identity(connection, body), "body": body}
        # What a recording said is kept for the same recording alone, never taken for the reply of a live model.
        if (recorded_in := self._models.recorded_in) is not None:
            parts["recorded_in"] = recorded_in
        asked = content_key(parts)
        # Every repetition of a row is asked anew, even at temperature 0: it is there to show how much models waver.
        which = {"repeat": self._repeat} if self._repeat else {}
        # A model that is asked to repeat itself gives one answer; others one for each time that a node asks the same.
        if not _is_repeatable(body):
            self._asked[asked] = self._asked.get(asked, 0) + 1
            which |= {"repeat": self._repeat, "time": self._asked[asked]}
        return content_key({"asked": asked, **which}) if which else asked

    async def _fresh(self, connection: Any, body: dict[str, Any], api: str, options: Mapping[str, Any]) -> Any:
        reply = await self._models.call(connection, body, api=api, **self._with_repeat(options))
        self._note(reply, connection)
        return reply

    def stream(
        self, connection: Any, body: dict[str, Any], *, api: str, **options: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """An answer in chunks; streams are not kept."""
        self._outcome.model = str(body.get("model") or "")
        chunks: AsyncIterator[dict[str, Any]] = self._models.stream(
            connection, body, api=api, **self._of_stream(connection, options)
        )
        return chunks

    def call_sync(self, connection: Any, body: dict[str, Any], *, api: str, **options: Any) -> Any:
        """One answer, from a thread that may wait."""
        if self._keep and self._loop is not None and self._loop.is_running() and _running_loop() is not self._loop:
            return _wait_for(self.call(connection, body, api=api, **options), self._loop)
        reply = self._models.call_sync(connection, body, api=api, **self._with_repeat(options))
        self._note(reply, connection)
        return reply

    def stream_sync(
        self, connection: Any, body: dict[str, Any], *, api: str, **options: Any
    ) -> Iterator[dict[str, Any]]:
        """An answer in chunks, from a thread that may wait."""
        self._outcome.model = str(body.get("model") or "")
        chunks: Iterator[dict[str, Any]] = self._models.stream_sync(
            connection, body, api=api, **self._of_stream(connection, options)
        )
        return chunks

    def _of_stream(self, connection: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._with_repeat(options), "on_reply": lambda reply: self._note(reply, connection)}

    def _with_repeat(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**options, "repeat": options.get("repeat") or self._repeat or None}

    def _note(self, reply: Any, connection: Any) -> None:
        """Write down what an answer took."""
        self._fresh_calls += 1
        self._outcome.kept = False
        self._outcome.model = reply.model
        self._outcome.retries += reply.retries
        self._outcome.simulated = reply.source == "simulated"
        self._outcome.recorded = reply.recorded
        if not self._outcome.simulated:
            cost = price_usd(reply.model, provider_name(connection), reply.usage)
            if cost is not None:
                self._outcome.cost_usd = (self._outcome.cost_usd or 0.0) + cost


class UserModels:
    """Lets user code of a flow (a prompty it loads, prompt flow's own functions) reach the models of the flow."""

    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop

    def scope(self, outcome: NodeOutcome, repeat: int) -> AbstractContextManager[Any]:
        """A block in which model calls are counted in `outcome`."""
        from genaiops.prompts import PromptServices, use_services

        models: Any = CountedModels(self._services, outcome, repeat=repeat, keep=True, loop=self._loop)
        connections: Any = self._services.connections
        return use_services(PromptServices(models=models, connections=connections, repeat=repeat or None))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _wait_for(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """Run a coroutine on another thread's loop, in the context of this one, so that its spans find their place."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = copy_context()

    def start() -> None:
        task = loop.create_task(work, context=context)
        task.add_done_callback(finish)

    def finish(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            future.cancel()
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    loop.call_soon_threadsafe(start)
    return future.result()


def provider_name(connection: Any) -> str | None:
    """The provider by which prices are looked up."""
    kind = type(connection)
    if kind not in _providers:
        names = {cls.__name__ for cls in kind.__mro__}
        if "AzureOpenAIConnection" in names:
            _providers[kind] = "azure"
        else:
            _providers[kind] = "openai" if "OpenAIConnection" in names else None
    return _providers[kind]


_providers: dict[type, str | None] = {}


def _is_repeatable(body: Mapping[str, Any]) -> bool:
    return body.get("temperature") == 0 or body.get("seed") is not None
