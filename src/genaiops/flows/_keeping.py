"""Results of plain functions kept by content, for nodes with `cache: true` and tools with `@tool(cache=True)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.flows._fingerprint import code_fingerprint
from genaiops.flows._model import Node
from genaiops.flows._recorded import NotJsonError, to_json_value
from genaiops.flows._threads import WorkerThreads
from genaiops.flows._tools import ToolFunction

if TYPE_CHECKING:
    from genaiops.flows._outcome import NodeOutcome
    from genaiops.flows._row import GraphRow
    from genaiops.kept import KeptResults


class KeptFunction:
    """Runs a function unless its result for the same code and the same arguments is known.

    Arguments or results without a JSON form are not kept; then the function simply runs.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        node: Node,
        tool: ToolFunction,
        folder: Path,
        kept: KeptResults,
        threads: WorkerThreads,
    ) -> None:
        self._function = function
        self._tool = tool
        self._kept = kept
        self._threads = threads
        self._code = code_fingerprint(tool.file, folder) if tool.file else node.source and node.source.tool

    async def run(self, arguments: dict[str, Any], outcome: NodeOutcome, row: GraphRow) -> Any:
        """The function's result, fresh or kept."""
        from genaiops.kept import content_key

        try:
            shown = to_json_value(arguments)
        except (NotJsonError, RecursionError):
            return await self._call(arguments)
        parts = {"kind": "python", "code": self._code, "arguments": shown}
        # Repetitions of a row are never copies of each other.
        key = content_key({**parts, "repeat": row.repeat} if row.repeat else parts)
        fresh: list[Any] = []

        async def make() -> dict[str, Any]:
            value = await self._call(arguments)
            fresh.append(value)
            return {"output": to_json_value(value)}

        try:
            stored, source = await self._kept.share(key, make)
        except (NotJsonError, RecursionError):
            return fresh[0] if fresh else await self._call(arguments)
        if fresh:
            return fresh[0]
        outcome.kept = source != "fresh"
        return stored["output"]

    async def _call(self, arguments: dict[str, Any]) -> Any:
        if self._tool.is_async:
            return await self._function(**arguments)
        value = await self._threads.run(lambda: self._function(**arguments))
        return await value if inspect.isawaitable(value) else value
