"""What is written about a connection somewhere: a mapping of `experiment.yaml`, a YAML file, JSON of an engine."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from genaiops.records import record

# Keys of connection files that say nothing about how to reach the service.
_NOT_FIELDS = frozenset(
    {
        "$schema",
        "$source",
        "__file__",
        "name",
        "type",
        "connection_type",
        "module",
        "package",
        "package_version",
        "custom_type",
    }
    | {"configs", "secrets", "created_date", "last_modified_date", "description", "tags", "expiry_time", "secret_keys"}
)
_NO_VALUE = re.compile(r"^\s*(\*+|<no-change>|<user-input>|<[\w .-]*(?:key|secret|endpoint|base)[\w .-]*>)?\s*$", re.I)


@record(frozen=True, slots=True)
class Definition:
    """One place that says something about one connection.

    Args:
        name: As flows call it.
        spelling: Its type as written; None where nothing is said.
        values: Fields as written, placeholders included.
        secret_keys: Fields of a custom connection that are secret.
        source: Where it is written, for people: a path, `experiment.yaml`, `PROMPTFLOW_CONNECTIONS`.
        lines: Line of each field, counted from 1; `""` is the line of the connection itself.
    """

    name: str
    spelling: str | None
    values: Mapping[str, Any]
    secret_keys: frozenset[str] = frozenset()
    source: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, key: str = "") -> str:
        """`FILE:LINE` of a field."""
        line = self.lines.get(key) or self.lines.get("")
        return f"{self.source}:{line}" if line else self.source


def read_definition(written: Mapping[str, Any], *, name: str | None = None, source: str = "") -> Definition:
    """A definition from a flat mapping (YAML file, `experiment.yaml`) or the execution form of engines.

    In the execution form the fields stand under `value`; in a custom connection under `configs` and `secrets`.
    """
    spelling = written.get("connection_type") or written.get("type")
    inner = written.get("value")
    if isinstance(inner, Mapping):
        values = dict(inner)
        secret_keys = frozenset(map(str, written.get("secret_keys") or ()))
    else:
        configs, secrets = _mapping(written.get("configs")), _mapping(written.get("secrets"))
        flat = {key: value for key, value in written.items() if key not in _NOT_FIELDS}
        values = {**flat, **configs, **secrets, **_markers(written)}
        secret_keys = frozenset(secrets)
    lines = _lines(written)
    return Definition(
        name=str(written.get("name") or name or ""),
        spelling=str(spelling) if spelling else None,
        values={str(key): plain_value(value) for key, value in values.items()},
        secret_keys=secret_keys,
        source=source,
        lines=lines,
    )


def plain_value(value: Any) -> Any:
    """YAML dates become the text that was meant: `api_version: 2024-06-01` is a version, not a day."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def is_blank(value: Any) -> bool:
    """Whether a written value stands for "none yet": empty, `<user-input>`, only stars, `<your-api-key>`."""
    return value is None or (isinstance(value, str) and _NO_VALUE.match(value) is not None)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _markers(written: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("custom_type", "module", "package", "package_version")
    if "custom_type" not in written:
        return {}
    return {f"promptflow.connection.{key}": written[key] for key in keys if written.get(key)}


def _lines(written: Mapping[str, Any]) -> dict[str, int]:
    """Lines of the keys, when the mapping comes from a YAML reader that kept them."""
    position = getattr(written, "lc", None)
    if position is None or getattr(position, "data", None) is None:
        return {}
    lines = {str(key): spot[0] + 1 for key, spot in position.data.items() if isinstance(spot, Iterable)}  # type: ignore[index]
    lines[""] = position.line + 1
    for part in ("configs", "secrets"):
        inner = written.get(part)
        if isinstance(inner, Mapping):
            lines |= {key: line for key, line in _lines(inner).items() if key}
    return lines
