"""Prompt flow's own package tools that are plain functions: embedding, search, content safety, template rendering."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from genaiops.flows._compile import CompiledNode, Compiler
from genaiops.flows._literals import LiteralPreparer
from genaiops.flows._model import Node
from genaiops.flows._outcome import Services
from genaiops.flows._sources import tool_error
from genaiops.flows._tools import tool_function


def _table() -> Mapping[str, Any]:
    prompts = importlib.import_module("genaiops.prompts")
    table: Mapping[str, Any] = getattr(prompts, "PACKAGE_TOOLS", {})
    return table


def owns_tool(identity: str | None) -> bool:
    """True for a tool that `prompts` serves."""
    return identity is not None and identity in _table()


def load_builtin_tool(node: Node, compiler: Compiler, literals: LiteralPreparer, services: Services) -> CompiledNode:
    """A node with one of these tools.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `PackageToolNotFoundError` for a retired tool.
    """
    identity = (node.source.tool if node.source else None) or ""
    function = _table().get(identity)
    if function is None:
        raise tool_error(
            node,
            "PackageToolNotFoundError",
            f"The tool {identity!r} is retired.",
            file=None,
            line=node.line,
            hint=importlib.import_module("genaiops.prompts").retired_tool_hint(identity),
        )
    tool = tool_function(function)
    constants = literals.prepare(node, tool.parameters, tool.module)
    return compiler.compile(
        node,
        constants=constants,
        mode="async" if tool.is_async else "thread",
        function=tool.call,
        defaults=frozenset(name for name, item in tool.parameters.items() if item.has_default),
    )
