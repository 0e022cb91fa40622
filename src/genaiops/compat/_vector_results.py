"""The record of one search hit, which the question-and-answer flows of Azure's studio unpack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class SearchResultEntity:
    """One hit of a search in an index.

    Args:
        text: The passage.
        vector: Its embedding.
        score: How well it fits.
        original_entity: The document as the search service gave it.
        metadata: What the index says about the passage.
        additional_fields: Anything else.
    """

    text: str | None = None
    vector: list[float] | None = None
    score: float | None = None
    original_entity: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    additional_fields: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchResultEntity:
        """Take the known members of a mapping; others are ignored."""
        return cls(**{item.name: data.get(item.name) for item in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        """All members."""
        return asdict(self)

    to_dict = as_dict
