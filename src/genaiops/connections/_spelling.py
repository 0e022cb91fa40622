"""The names of connection types: every spelling that files, dicts and variables use."""

from __future__ import annotations

import re
from typing import Any

import genaiops.connections._types as _types
from genaiops.connections._base import Connection
from genaiops.connections._custom import CustomConnection
from genaiops.errors import ConnectionSettingsError, suggest

CONNECTION_TYPES: dict[str, type[Connection]] = {
    cls.SPELLING: cls
    for cls in (
        _types.AzureOpenAIConnection,
        _types.OpenAIConnection,
        _types.ServerlessConnection,
        _types.CognitiveSearchConnection,
        _types.AzureAIServicesConnection,
        _types.AzureContentSafetyConnection,
        _types.FormRecognizerConnection,
        _types.SerpConnection,
        _types.QdrantConnection,
        _types.WeaviateConnection,
        _types.SimulatedConnection,
        CustomConnection,
    )
}
# Names of the same services in other tools and other years.
_OTHER_SPELLINGS = {
    "azureaisearch": "cognitive_search",
    "aisearch": "cognitive_search",
    "azureopenaiservice": "azure_open_ai",
    "aoai": "azure_open_ai",
    "documentintelligence": "form_recognizer",
    "contentsafety": "azure_content_safety",
    "serpapi": "serp",
    "customkeys": "custom",
    "customstrongtype": "custom",
}


def _squeeze(text: str) -> str:
    squeezed = re.sub(r"[^a-z0-9]", "", text.lower())
    return squeezed.removesuffix("connection") or squeezed


_BY_SQUEEZED = {_squeeze(spelling): spelling for spelling in CONNECTION_TYPES} | _OTHER_SPELLINGS


def is_connection_type(spelling: Any) -> bool:
    """Whether this is any spelling of a type that we know."""
    return isinstance(spelling, str) and _squeeze(spelling) in _BY_SQUEEZED


def connection_class(
    spelling: Any, *, connection: str = "", file: str | None = None, line: int | None = None
) -> type[Connection]:
    """The class of a type, whatever the spelling: `azure_open_ai`, `AzureOpenAI`, `AzureOpenAIConnection`.

    Raises:
        ConnectionSettingsError: No type is called that.
    """
    name = _BY_SQUEEZED.get(_squeeze(str(spelling)))
    if name is not None:
        return CONNECTION_TYPES[name]
    of = f" of connection {connection!r}" if connection else ""
    near = suggest(str(spelling), CONNECTION_TYPES)
    listing = "" if near.startswith("Valid") else f" Types: {', '.join(sorted(CONNECTION_TYPES))}."
    raise ConnectionSettingsError(
        f"The type {spelling!r}{of} is not a connection type.",
        file=file,
        line=line,
        hint=near + listing,
        kind="InvalidConnectionType",
    )
