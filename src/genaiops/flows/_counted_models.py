"""Models as one node of one row sees them: what was kept is not asked again, what was asked is written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genaiops.errors import RowError
from genaiops.flows._outcome import NodeOutcome, Services
from genaiops.tracing import TokenUsage, price_usd


@dataclass(frozen=True, slots=True)
class KeptReply:
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
        outcome: The node that calls; model, retries, tokens and cost are written into it.
        repeat: Which repetition of the row this is.
        keep: Answers may be kept.
    """

    def __init__(self, services: Services, outcome: NodeOutcome, *, repeat: int, keep: bool) -> None:
        self._services = services
        self._outcome = outcome
        self._repeat = repeat
        self._keep = keep and services.kept is not None

    @property
    def _models(self) -> Any:
        if self._services.models is None:
            raise RowError("No model can be called here: no Models were given.", kind="UserErrorException")
        return self._services.models

    async def call(self, connection: Any, body: dict[str, Any], *, api: str, **options: Any) -> Any:
        """One answer, from the model or from what was kept.

        Equal calls that are under way at the same time share one answer.
        """
        if not self._keep:
            return await self._fresh(connection, body, api, options)
        from genaiops.connections import model_identity
        from genaiops.kept import content_key

        key = content_key(
            {
                "kind": "model",
                "api": api,
                "model": model_identity(connection, body),
                "body": body,
                # A model that is asked to repeat itself gives one answer; others give one for each repetition.
                "repeat": 0 if _is_repeatable(body) else self._repeat,
            }
        )
        fresh: list[Any] = []

        async def make() -> dict[str, Any]:
            reply = await self._fresh(connection, body, api, options)
            fresh.append(reply)
            return {"body": reply.body, "model": reply.model, "simulated": reply.source == "simulated"}

        assert self._services.kept is not None
        stored, _ = await self._services.kept.share(key, make)
        if fresh:
            return fresh[0]
        self._outcome.kept = True
        self._outcome.model = stored["model"]
        self._outcome.simulated = bool(stored.get("simulated"))
        return KeptReply(stored["body"], stored["model"], TokenUsage())

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
            connection, body, api=api, **self._with_repeat(options)
        )
        return chunks

    def call_sync(self, connection: Any, body: dict[str, Any], *, api: str, **options: Any) -> Any:
        """One answer, from a thread that may wait."""
        reply = self._models.call_sync(connection, body, api=api, **self._with_repeat(options))
        self._note(reply, connection)
        return reply

    def stream_sync(
        self, connection: Any, body: dict[str, Any], *, api: str, **options: Any
    ) -> Iterator[dict[str, Any]]:
        """An answer in chunks, from a thread that may wait."""
        self._outcome.model = str(body.get("model") or "")
        chunks: Iterator[dict[str, Any]] = self._models.stream_sync(
            connection, body, api=api, **self._with_repeat(options)
        )
        return chunks

    def _with_repeat(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**options, "repeat": options.get("repeat") or self._repeat or None}

    def _note(self, reply: Any, connection: Any) -> None:
        """Write down what an answer took."""
        self._outcome.model = reply.model
        self._outcome.retries += reply.retries
        self._outcome.simulated = reply.source == "simulated"
        if not self._outcome.simulated:
            cost = price_usd(reply.model, provider_name(connection), reply.usage)
            if cost is not None:
                self._outcome.cost_usd = (self._outcome.cost_usd or 0.0) + cost


def provider_name(connection: Any) -> str | None:
    """The provider by which prices are looked up."""
    names = {cls.__name__ for cls in type(connection).__mro__}
    if "AzureOpenAIConnection" in names:
        return "azure"
    return "openai" if "OpenAIConnection" in names else None


def _is_repeatable(body: Mapping[str, Any]) -> bool:
    return body.get("temperature") == 0 or body.get("seed") is not None
