"""Prompt flow's own package tools that are plain functions: embedding, search, content safety, template rendering."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.flows._compile import CompiledNode, Compiler
from genaiops.flows._counted_models import CountedModels
from genaiops.flows._literals import LiteralPreparer
from genaiops.flows._model import Node
from genaiops.flows._outcome import Services
from genaiops.flows._sources import tool_error
from genaiops.flows._tools import ToolFunction, package_tools, tool_function

if TYPE_CHECKING:
    from genaiops.flows._outcome import NodeOutcome
    from genaiops.flows._row import GraphRow
    from genaiops.flows._threads import WorkerThreads


def owns_tool(identity: str | None) -> bool:
    """True for a tool that `prompts` serves, or knows to be retired and nobody here has taken over."""
    from genaiops.prompts import PACKAGE_TOOLS

    if identity is None or identity not in PACKAGE_TOOLS:
        return False
    return PACKAGE_TOOLS[identity] is not None or identity not in package_tools()


def load_builtin_tool(
    node: Node,
    compiler: Compiler,
    literals: LiteralPreparer,
    services: Services,
    threads: WorkerThreads,
    *,
    file: Path,
) -> CompiledNode:
    """A node with one of these tools.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `PackageToolNotFoundError` for a retired tool, with what to use
            in its place.
    """
    from genaiops.prompts import PACKAGE_TOOLS, retired_tool_hint

    identity = (node.source.tool if node.source else None) or ""
    function = PACKAGE_TOOLS[identity]
    if function is None:
        raise tool_error(
            node,
            "PackageToolNotFoundError",
            f"The tool {identity!r} is retired.",
            file=file,
            line=node.lines.get("source.tool", node.line),
            hint=retired_tool_hint(identity),
        )
    tool = tool_function(function)
    return compiler.compile(
        node,
        constants=literals.prepare(node, tool.parameters, tool.module),
        mode="async",
        function=function,
        defaults=frozenset(name for name, item in tool.parameters.items() if item.has_default),
        model=_BuiltinTool(tool, services, threads, keep=node.cache is not False),
    )


class _BuiltinTool:
    """Runs one of these tools with the models and connections of the flow."""

    def __init__(self, tool: ToolFunction, services: Services, threads: WorkerThreads, *, keep: bool) -> None:
        self._tool = tool
        self._services = services
        self._threads = threads
        self._keep = keep

    async def run(self, arguments: dict[str, Any], outcome: NodeOutcome, row: GraphRow) -> Any:
        """The tool's result."""
        from genaiops.prompts import PromptServices, use_services

        models: Any = CountedModels(self._services, outcome, repeat=row.repeat, keep=self._keep)
        connections: Any = self._services.connections
        with use_services(PromptServices(models=models, connections=connections, folder=row.folder)):
            if self._tool.is_async:
                return await self._tool.call(**arguments)
            value = await self._threads.run(lambda: self._tool.call(**arguments))
            return await value if inspect.isawaitable(value) else value
