"""What a package leaves open until it runs: init values and declared variables that are secrets or placeholders.

A package holds `${NAME}` where a value depends on where it runs, never the value. The rules are those of `init.json`
and `env.yaml`: `${NAME}` reads the variable that is written, then the one of the convention `<PARENT>_<KEY>`; a
variable of the convention that is set wins over a literal too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from genaiops.connections import is_secret_variable
from genaiops.flows import find_secrets

_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Inside a longer text only upper-case names count: a prompt may hold ${question} and mean it.
_INSIDE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Filled(NamedTuple):
    """Values with nothing left open, and the variables that would have been needed."""

    values: dict[str, Any]
    missing: list[str]


def open_init(values: Mapping[str, Any]) -> dict[str, Any]:
    """Init values as a package may hold them: a secret becomes the name of the variable that sets it.

    >>> open_init({"model_config": {"api_key": "s3cr3t-k3y", "max_tokens": 20}})
    {'model_config': {'api_key': '${MODEL_CONFIG_API_KEY}', 'max_tokens': 20}}
    """
    return {key: _without_secrets(value, (key,)) for key, value in values.items()}


def open_variables(values: Mapping[str, Any]) -> dict[str, str]:
    """Declared variables as a package may hold them; a secret has no value."""
    return {name: "" if _is_secret(name, str(value)) else str(value) for name, value in values.items()}


def names_left_open(init: Mapping[str, Any], variables: Mapping[str, str]) -> list[str]:
    """The variables that must be set where the package runs."""
    found = [name for name, value in variables.items() if not value]
    for text in (*_texts(init), *variables.values()):
        found += [match[1] for match in (_WHOLE.fullmatch(text),) if match] or _INSIDE.findall(text)
    return sorted(set(found))


def connections_in(init: Mapping[str, Any]) -> list[str]:
    """Connections that init values name: `{"model_config": {"connection": "aoai"}}`, `{"connection": "aoai"}`."""
    named = [
        value.get("connection") if isinstance(value, Mapping) else value if "connection" in key.lower() else None
        for key, value in init.items()
    ]
    return [name for name in named if isinstance(name, str) and name and not _WHOLE.search(name)]


def fill_init(values: Mapping[str, Any], environ: Mapping[str, str]) -> Filled:
    """Init values where the package runs."""
    missing: list[str] = []
    filled: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            filled[key] = {name: _fill(item, f"{key}_{name}".upper(), environ, missing) for name, item in value.items()}
        else:
            # One-word names are never taken from the surroundings: PATH and HOME are somebody else's.
            whole = isinstance(value, str) and _WHOLE.fullmatch(value)
            filled[key] = _fill(value, key.upper() if "_" in key or whole else None, environ, missing)
    return Filled(filled, missing)


def fill_variables(values: Mapping[str, str], environ: Mapping[str, str]) -> Filled:
    """Declared variables where the package runs; those that are set already are left out, they win."""
    missing: list[str] = []
    unset = {name: value for name, value in values.items() if name not in environ}
    return Filled({name: _fill(value, None, environ, missing) for name, value in unset.items()}, missing)


def _fill(value: Any, convention: str | None, environ: Mapping[str, str], missing: list[str]) -> Any:
    whole = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    if whole:
        names = [name for name in dict.fromkeys((whole[1], convention)) if name]
        found = next((environ[name] for name in names if environ.get(name)), None)
        if found is None:
            missing.append(" or ".join(names))
        return found
    if convention is not None and convention in environ and not isinstance(value, Mapping | list):
        return _as_type_of(value, environ[convention])
    return _fill_deep(value, environ, missing)


def _fill_deep(value: Any, environ: Mapping[str, str], missing: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill_deep(item, environ, missing) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_deep(item, environ, missing) for item in value]
    if not isinstance(value, str):
        return value
    missing += [name for name in _INSIDE.findall(value) if not environ.get(name)]
    return _INSIDE.sub(lambda match: environ.get(match[1]) or match[0], value)


def _as_type_of(literal: Any, text: str) -> Any:
    """A variable's text as the JSON type that it replaces, where it can be read so."""
    if isinstance(literal, bool | int | float):
        try:
            value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
        except ValueError:
            return text
        return value if isinstance(value, bool | int | float) else text
    return text


def _without_secrets(value: Any, place: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, (*place, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, place) for item in value]
    if isinstance(value, str) and _is_secret(place[-1], value):
        return "${" + re.sub(r"\W", "_", "_".join(place)).upper() + "}"
    return value


def _is_secret(name: str, value: str) -> bool:
    """A value whose name, or whose own shape, says that it is a secret; `${NAME}` is none."""
    if not value or _INSIDE.search(value) or _WHOLE.search(value):
        return False
    return is_secret_variable(_WORD_BREAK.sub("_", name)) or bool(find_secrets(f'{name}: "{value}"'))


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
