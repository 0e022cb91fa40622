"""Each value in force and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genaiops.experiments._spec import ExperimentSpec, Place, Setting
from genaiops.experiments._variables import redacted

if TYPE_CHECKING:
    from genaiops.experiments._blocks import Block

_DEFAULTS: dict[str, Any] = {"plan": "one-at-a-time", "baseline": "defaults", "repeats": 1, "runtime": None}


def explain_blocks(spec: ExperimentSpec, blocks: Mapping[str, Block]) -> list[Setting]:
    """Settings of the experiment file and its overlay, in the order of the file's blocks."""
    found = [_setting("name", spec.name, blocks, "name"), _setting("flow", spec.flow_text, blocks, "flow")]
    for dataset in spec.datasets:
        found += _dataset(
            f"datasets.{dataset.name}", dataset.source, dataset.mappings, blocks, "datasets", dataset.place
        )
    for evaluator in spec.evaluators:
        prefix = f"evaluators.{evaluator.name}"
        found.append(_setting(f"{prefix}.flow", evaluator.flow, blocks, "evaluators", evaluator.place))
        for dataset in evaluator.datasets:
            key = f"{prefix}.datasets.{dataset.name}"
            found += _dataset(key, dataset.source, dataset.mappings, blocks, "evaluators", dataset.place)
    for connection in spec.connections:
        for field, value in connection.items():
            if field not in ("name", "__file__"):
                key = f"connections.{connection.get('name')}.{field}"
                found.append(_setting(key, redacted(field, value), blocks, "connections"))
    for key, default in _DEFAULTS.items():
        value = blocks[key].value if key in blocks else default
        found.append(_setting(key, value, blocks, key))
    for key in ("outputs", "search_space", "metrics", "gate", "alert", "report", "data_checks", "confirm"):
        if key in blocks:
            found.append(_setting(key, _shown(key, blocks[key].value), blocks, key))
    return found


def _shown(key: str, value: Any) -> Any:
    """An alert's address is as good as a password: whoever holds it may post there."""
    if key != "alert" or not isinstance(value, Mapping):
        return value
    return {
        name: redacted("secret", item) if name in ("webhook", "token") and "${" not in str(item) else item
        for name, item in value.items()
    }


def _dataset(
    key: str, source: str, mappings: Mapping[str, Any], blocks: Mapping[str, Block], block: str, place: Place
) -> list[Setting]:
    first = _setting(f"{key}.source", source, blocks, block, place)
    return [
        first,
        *(_setting(f"{key}.mappings.{name}", value, blocks, block, place) for name, value in mappings.items()),
    ]


def _setting(key: str, value: Any, blocks: Mapping[str, Block], block: str, place: Place | None = None) -> Setting:
    if block not in blocks:
        return Setting(key=key, value=value, source="default", where="default")
    found = blocks[block]
    where = place or found.document.place(block)
    return Setting(key=key, value=value, source="overlay" if found.is_overlay else "base", where=str(where))
