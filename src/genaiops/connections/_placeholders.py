"""`${NAME}` and `${env:NAME}` in connection values, and the variables that set a field by convention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from genaiops.connections._base import Field

_PLACEHOLDER = re.compile(r"\$\{\s*(?:env:)?\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}")
_FULL = re.compile(r"^\s*\$\{\s*(?:env:)?\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\s*$")


class Filled(NamedTuple):
    """A value with its placeholders replaced.

    Args:
        value: The value, or None when a variable is not set.
        variables: The variables that were read.
        missing: The variables that are not set.
    """

    value: Any
    variables: tuple[str, ...]
    missing: tuple[str, ...]


def has_placeholder(value: Any) -> bool:
    """Whether a written value names a variable."""
    if isinstance(value, Mapping):
        return any(map(has_placeholder, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_placeholder, value))
    return isinstance(value, str) and _PLACEHOLDER.search(value) is not None


def fill_placeholders(value: Any, environ: Mapping[str, str]) -> Filled:
    """Read each variable that a text names; empty variables count as not set.

    >>> fill_placeholders("https://${HOST}/", {"HOST": "x"}).value
    'https://x/'
    """
    if not isinstance(value, str):
        return Filled(value, (), ())
    names = tuple(dict.fromkeys(_PLACEHOLDER.findall(value)))
    missing = tuple(name for name in names if not environ.get(name))
    if missing:
        return Filled(None, names, missing)
    if whole := _FULL.match(value):
        return Filled(environ[whole[1]], names, ())
    return Filled(_PLACEHOLDER.sub(lambda found: environ[found[1]], value), names, ())


def variable_prefix(name: str) -> str:
    """`my-conn.1` → `MY_CONN_1`.

    >>> variable_prefix("my-conn.1")
    'MY_CONN_1'
    """
    return re.sub(r"\W", "_", name).upper()


def field_variables(connection: str, field: Field) -> list[str]:
    """The variables that set a field, the first set one wins: `AOAI_API_BASE`, `AOAI_BASE_URL`, `AOAI_ENDPOINT`."""
    prefix = variable_prefix(connection)
    return [f"{prefix}_{ending}" for ending in (variable_prefix(field.name), *field.variables)]
