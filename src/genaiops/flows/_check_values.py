"""Whether a literal fits a declared type."""

from __future__ import annotations

from genaiops.flows._conversion import VALUE_TYPES, convert_value

__all__ = ["VALUE_TYPES", "misfit"]

_MEANING = {
    "int": "not an int",
    "double": "not a double",
    "bool": "not a bool (true or false)",
    "list": "neither a list nor the JSON text of one",
}


def misfit(kind: str, value: object) -> str | None:
    """What is wrong with a value for a type, as the end of "the default is …"; None when it fits.

    >>> misfit("int", "3") is None
    True
    >>> misfit("int", "three")
    "'three', which is not an int"
    """
    try:
        convert_value(value, kind)
    except (ValueError, TypeError, OverflowError):
        text = repr(value)
        shown = text if len(text) <= 60 else f"{text[:59]}…"
        return f"{shown}, which is {_MEANING.get(kind, f'not of type {kind}')}"
    return None
