"""One call of a model node: kept or fresh, streamed or whole, counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from genaiops.errors import RowError
from genaiops.flows._outcome import Services
from genaiops.tracing import price_usd

if TYPE_CHECKING:
    from genaiops.flows._outcome import NodeOutcome
    from genaiops.flows._row import GraphRow
    from genaiops.prompts import ModelCall


class ModelNode:
    """Runs a model node.

    Args:
        call: What stays the same for all rows.
        connection: The node's connection; None when it comes with the row, as an input.
        services: Models and kept results.
        untrusted: Inputs whose text may not open a message.
        is_streamed: Ask for a stream when the caller of the row takes one.
        is_read_by_nodes: Another node reads the output, so that a stream has to be a plain iterator.
        keep: Results may be kept.
    """

    def __init__(
        self,
        call: ModelCall,
        connection: Any,
        services: Services,
        *,
        untrusted: Collection[str],
        is_streamed: bool,
        is_read_by_nodes: bool,
        keep: bool,
    ) -> None:
        self._call = call
        self._connection = connection
        self._services = services
        self._untrusted = untrusted
        self._is_streamed = is_streamed
        self._is_read_by_nodes = is_read_by_nodes
        self._keep = keep

    async def run(self, arguments: dict[str, Any], outcome: NodeOutcome, row: GraphRow) -> Any:
        """The output of the node."""
        arguments = dict(arguments)
        connection = arguments.pop("connection", None) or self._connection
        if isinstance(connection, str):
            connection = self._named(connection)
        if connection is None:
            raise RowError("The node has no connection.", kind="ConnectionNotFoundError", hint="Set connection: NAME.")
        streaming = self._is_streamed and row.streaming
        body = self._call.body(arguments, untrusted=self._untrusted, streaming=streaming)
        if body["stream"]:
            return await self._stream(connection, arguments, streaming)
        reply = await self._reply(connection, body, outcome, row.repeat)
        return self._call.value(reply, body)

    def _named(self, name: str) -> Any:
        if self._services.connections is None:
            raise RowError(f"There is no connection {name!r}.", kind="ConnectionNotFoundError")
        return self._services.connections.get(name)

    @property
    def _models(self) -> Any:
        if self._services.models is None:
            raise RowError("No model can be called here: no Models were given.", kind="UserErrorException")
        return self._services.models

    async def _stream(self, connection: Any, arguments: dict[str, Any], streaming: bool) -> Any:
        """The texts of a stream: a plain iterator for nodes that read it, an asynchronous one for the caller."""
        if self._is_read_by_nodes:
            return self._call.run_sync(self._models, connection, arguments, untrusted=self._untrusted).value
        result = await self._call.run(
            self._models, connection, arguments, untrusted=self._untrusted, streaming=streaming
        )
        return result.value

    async def _reply(
        self, connection: Any, body: dict[str, Any], outcome: NodeOutcome, repeat: int
    ) -> Mapping[str, Any]:
        """The answer's JSON, from the model or from what was kept."""
        if self._services.kept is None or not self._keep:
            return await self._fresh(connection, body, outcome, repeat)
        from genaiops.connections import model_identity
        from genaiops.kept import content_key

        key = content_key(
            {
                "kind": "model",
                "api": self._call.api,
                "model": model_identity(connection, body),
                "body": body,
                # A model that is asked to repeat itself gives one answer; others give one for each repetition.
                "repeat": 0 if _is_repeatable(body) else repeat,
            }
        )

        async def make() -> dict[str, Any]:
            return {"body": await self._fresh(connection, body, outcome, repeat), "model": outcome.model}

        stored, source = await self._services.kept.share(key, make)
        if source != "fresh":
            # Tokens were counted where the call was made.
            outcome.kept = True
            outcome.model = stored.get("model")
        body_of_reply: Mapping[str, Any] = stored["body"]
        return body_of_reply

    async def _fresh(
        self, connection: Any, body: dict[str, Any], outcome: NodeOutcome, repeat: int
    ) -> Mapping[str, Any]:
        reply = await self._models.call(connection, body, api=self._call.api, repeat=repeat or None)
        note_reply(outcome, reply, connection)
        answer: Mapping[str, Any] = reply.body
        return answer


def note_reply(outcome: NodeOutcome, reply: Any, connection: Any) -> None:
    """Write down what a model's answer took."""
    outcome.model = reply.model
    outcome.retries = reply.retries
    outcome.simulated = reply.source == "simulated"
    if not outcome.tokens:
        outcome.tokens.add(reply.usage)
    if not outcome.simulated:
        outcome.cost_usd = price_usd(reply.model, provider_name(connection), reply.usage)


def provider_name(connection: Any) -> str | None:
    """The provider by which prices are looked up."""
    names = {cls.__name__ for cls in type(connection).__mro__}
    if "AzureOpenAIConnection" in names:
        return "azure"
    return "openai" if "OpenAIConnection" in names else None


def _is_repeatable(body: Mapping[str, Any]) -> bool:
    return body.get("temperature") == 0 or body.get("seed") is not None
