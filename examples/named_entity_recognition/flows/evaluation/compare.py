"""Does the answer hold exactly the right entities, or at least one of them?"""

from __future__ import annotations

from genaiops.flows import tool


@tool
def compare(entities: list[str], truth: str) -> dict[str, int]:
    found = {entity.casefold() for entity in entities}
    right = {entity.strip().casefold() for entity in truth.split(",")}
    return {"exact_match": int(found == right), "partial_match": int(bool(found & right))}
