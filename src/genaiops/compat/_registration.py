"""Registration of tools, which packages do on import: accepted, and without effect.

Tools are found by their entry point (`package_tools`) or in the flow's files; nothing needs to be registered.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

Item = TypeVar("Item")


class ToolType(StrEnum):
    """The types of nodes."""

    LLM = "llm"
    PYTHON = "python"
    CSHARP = "csharp"
    PROMPT = "prompt"
    _ACTION = "action"
    CUSTOM_LLM = "custom_llm"


def register_builtins(provider: Item) -> Item:
    """The class, as it is."""
    return provider


def register_apis(provider: Item) -> Item:
    """The class, as it is."""
    return provider


def register_builtin_method(method: Item) -> Item:
    """The method, as it is."""
    return method


def register_api_method(method: Item) -> Item:
    """The method, as it is."""
    return method


def register_connections(connections: Any) -> None:
    """Nothing to do: a connection type is known by its class."""
