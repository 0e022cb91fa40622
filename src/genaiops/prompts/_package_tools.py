"""Package tools of flows by id: ours, and those that somebody adds for a retired or a new id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import genaiops.prompts._service_tools as _service_tools

TOOL_GROUP = "genaiops.tools"
"""Entry point group: the name is a tool's id, the value a function whose parameters are the node's inputs."""

_log = logging.getLogger(__name__)
_OURS: dict[str, Callable[..., Any]] = {
    "promptflow.tools.embedding.embedding": _service_tools.embedding,
    "promptflow.tools.serpapi.SerpAPI.search": _service_tools.search,
    "promptflow.tools.azure_content_safety.analyze_text": _service_tools.analyze_text,
    "content_safety_text.tools.content_safety_text_tool.analyze_text": _service_tools.analyze_text,
    "promptflow.tools.template_rendering.render_template_jinja2": _service_tools.render_template_jinja2,
}
_INDEX = (
    "It read an index through a package that is no longer published. Query the index with the search service's own "
    "library in a Python node"
)
_ENDPOINT = (
    "It called an online endpoint of Azure Machine Learning. Use an llm node with a connection of the type "
    "'serverless', or 'open_ai' with a base_url"
)
_RETIRED = {
    "promptflow.tools.open_model_llm.": _ENDPOINT,
    "promptflow.tools.open_source_llm.": _ENDPOINT,
    "promptflow_vectordb.": _INDEX,
    "embeddingstore.tool.": _INDEX,
}


class PackageTools(Mapping[str, Callable[..., Any] | None]):
    """Tools by id; None for a retired one that nobody has taken over.

    >>> PACKAGE_TOOLS["promptflow_vectordb.tool.common_index_lookup.search"] is None
    True
    """

    def __getitem__(self, identity: str) -> Callable[..., Any] | None:
        if identity in _added():
            return _loaded(identity)
        if identity in _OURS:
            return _OURS[identity]
        if retired_tool_hint(identity) is not None:
            return None
        raise KeyError(identity)

    def __contains__(self, identity: object) -> bool:
        known = isinstance(identity, str) and (identity in _OURS or identity in _added())
        return known or (isinstance(identity, str) and retired_tool_hint(identity) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*_OURS, *_added()}))

    def __len__(self) -> int:
        return len({*_OURS, *_added()})


PACKAGE_TOOLS = PackageTools()


def package_tools() -> dict[str, Callable[..., Any]]:
    """Every package tool that can be called, by id."""
    return {identity: tool for identity in PACKAGE_TOOLS if (tool := PACKAGE_TOOLS[identity]) is not None}


def retired_tool_hint(identity: str) -> str | None:
    """What to use instead of a retired tool; None for any other."""
    hint = next((hint for prefix, hint in _RETIRED.items() if identity.startswith(prefix)), None)
    return f"{hint}, or register a function for {identity!r} in the entry point group {TOOL_GROUP!r}." if hint else None


@cache
def _added() -> Mapping[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=TOOL_GROUP)}


@cache
def _loaded(identity: str) -> Callable[..., Any] | None:
    point = _added()[identity]
    try:
        tool: Callable[..., Any] = point.load()
    except Exception:  # noqa: BLE001 - a package of somebody else's may fail with anything
        _log.warning("The tool %r (%s) cannot be loaded.", identity, point.value, exc_info=True)
        return None
    return tool
