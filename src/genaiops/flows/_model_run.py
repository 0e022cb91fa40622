"""One call of a model node: kept or fresh, streamed or whole."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from genaiops.errors import RowError
from genaiops.flows._counted_models import CountedModels
from genaiops.flows._outcome import Services

if TYPE_CHECKING:
    from genaiops.flows._outcome import NodeOutcome
    from genaiops.flows._row import GraphRow
    from genaiops.prompts import ModelCall


READY_PROMPT = "genaiops_ready_prompt"
"""The template variable that holds the value of an input called `prompt`."""


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
        """The output of the node: text, a message, or an iterator of text."""
        arguments = dict(arguments)
        if "prompt" in arguments:
            arguments[READY_PROMPT] = arguments.pop("prompt")
        connection = self._found(arguments.pop("connection", None) or self._connection)
        models: Any = CountedModels(self._services, outcome, repeat=row.repeat, keep=self._keep)
        streaming = self._is_streamed and row.streaming
        if self._is_read_by_nodes and str(arguments.get("stream", "")).lower() == "true":
            return self._call.run_sync(models, connection, arguments, untrusted=self._untrusted).value
        result = await self._call.run(models, connection, arguments, untrusted=self._untrusted, streaming=streaming)
        return result.value

    def _found(self, connection: Any) -> Any:
        if connection is None:
            raise RowError("The node has no connection.", kind="ConnectionNotFoundError", hint="Set connection: NAME.")
        if not isinstance(connection, str):
            return connection
        if self._services.connections is None:
            raise RowError(f"There is no connection {connection!r}.", kind="ConnectionNotFoundError")
        return self._services.connections.get(connection)
