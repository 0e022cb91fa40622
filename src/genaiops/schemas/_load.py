"""Schemas by name, each complete in itself."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_END = ".schema.json"
_COMMON = "common"


def schema_names() -> list[str]:
    """What there are schemas of, such as `experiment-yaml` or `flow-run`."""
    found = (file.name for file in files("genaiops.schemas").iterdir() if file.name.endswith(_END))
    return sorted(name.removesuffix(_END) for name in found if name != _COMMON + _END)


def load_schema(name: str) -> dict[str, Any]:
    """A schema, draft 2020-12, with the parts that it shares with others inside, so that it needs no other file.

    Args:
        name: One of `schema_names`.

    Raises:
        KeyError: There is no such schema.

    Example:
        >>> load_schema("verdict")["title"]
        "a gate's verdict"
    """
    if name not in schema_names():
        raise KeyError(name)
    text = files("genaiops.schemas").joinpath(name + _END).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    if f"{_COMMON}{_END}#" in text:
        # A compound document, as the standard names it: references find the part by its $id.
        common = json.loads(files("genaiops.schemas").joinpath(_COMMON + _END).read_text(encoding="utf-8"))
        schema["$defs"] = {**schema.get("$defs", {}), _COMMON: common}
    return schema
