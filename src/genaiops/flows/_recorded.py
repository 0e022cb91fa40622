"""Values as they are written down: JSON only, and a copy, so that later changes do not show."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import Any

from genaiops.flows._generators import PROXIES

PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
_KEY_TYPES = (str, int, float, bool, type(None))

# Turns an image into its JSON form; set per plan, because the form depends on the flow's message format.
ImageWriter = Callable[[Any], Any]


class NotJsonError(TypeError):
    """A value has no JSON form."""


def to_json_value(value: Any, write_image: ImageWriter | None = None) -> Any:
    """`value` as JSON data: dataclasses as dicts, enums as their values, images as dicts, tuples as lists.

    Raises:
        NotJsonError: Some part of it has no JSON form.
    """
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if kind is dict:
        return _dict(value, write_image)
    if kind is list or kind is tuple:
        # Embeddings are lists of thousands of numbers: look at the set of types once, not at each item.
        if PLAIN_TYPES.issuperset(map(type, value)):
            return list(value)
        return [to_json_value(item, write_image) for item in value]
    return _other(value, write_image)


def _dict(value: dict[Any, Any], write_image: ImageWriter | None) -> dict[Any, Any]:
    result = {}
    for key, item in value.items():
        if type(key) is not str and not isinstance(key, _KEY_TYPES):
            raise NotJsonError(f"a key of type {type(key).__name__}")
        result[key] = item if type(item) in PLAIN_TYPES else to_json_value(item, write_image)
    return result


def _other(value: Any, write_image: ImageWriter | None) -> Any:
    """Everything that is not one of the plain types themselves."""
    if isinstance(value, enum.Enum):
        return to_json_value(value.value, write_image)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes) and write_image is not None and hasattr(value, "_mime_type"):
        return write_image(value)
    if isinstance(value, dict):
        return _dict(value, write_image)
    if isinstance(value, list | tuple):
        return [to_json_value(item, write_image) for item in value]
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat() + ("" if value.tzinfo else "Z")
    if type(value) in PROXIES:
        return to_json_value(value.items, write_image)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_json_value(getattr(value, field.name), write_image) for field in fields}
    if _is_connection(value):
        return value.name
    if callable(getattr(value, "model_dump", None)):  # pydantic, which need not be imported for this
        return to_json_value(value.model_dump(), write_image)
    raise NotJsonError(f"a value of type {type(value).__name__}")


def _is_connection(value: Any) -> bool:
    return any(cls.__name__ in ("Connection", "_Connection") for cls in type(value).__mro__)


def recorded(value: Any, write_image: ImageWriter | None = None) -> Any:
    """`value` as JSON data; what has no JSON form is written as its `repr`."""
    if type(value) in PLAIN_TYPES:
        return value
    try:
        return to_json_value(value, write_image)
    except (NotJsonError, RecursionError):
        return _repr(value)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type(value).__name__}>"
