"""Run files: `flow`, `data`, `column_mapping`, … in YAML, as `pf run create --file` reads them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import InputError, suggest
from genaiops.flows import load_yaml

logger = logging.getLogger(__name__)

_KEYS = frozenset(
    {
        "flow",
        "data",
        "run",
        "column_mapping",
        "variant",
        "connections",
        "environment_variables",
        "init",
        "name",
        "display_name",
        "description",
        "tags",
        "properties",
        "resume_from",
    }
)
# Of runs in a cloud workspace; they mean nothing on this machine.
_CLOUD = frozenset({"$schema", "type", "runtime", "resources", "identity", "compute", "environment", "outputs"})
_PATHS = ("flow", "data")


def read_run_file(path: Path, *, overrides: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The keys of a run file, paths made absolute.

    Args:
        path: The file.
        overrides: Dotted keys and values that win over the file.

    Raises:
        FlowDefinitionError: The file cannot be read.
        InputError: It holds no mapping.
    """
    data = load_yaml(path).data
    if not isinstance(data, Mapping):
        raise InputError("A run file holds a mapping with flow, data, column_mapping, ….", file=str(path))
    form = dict(data)
    for override in overrides:
        for key, value in override.items():
            set_dotted(form, str(key), value)
    for key in [key for key in form if key not in _KEYS]:
        if key not in _CLOUD:
            logger.warning("%s: unknown key %r. %s", path, key, suggest(key, _KEYS))
        form.pop(key)
    return {key: _resolved(key, value, path.parent) for key, value in form.items()}


def _resolved(key: str, value: Any, folder: Path) -> Any:
    if key in _PATHS and isinstance(value, str):
        return _beside(value, folder)
    if key in ("init", "environment_variables") and isinstance(value, str):
        return _beside(value, folder)
    return value


def _beside(text: str, folder: Path) -> str:
    """An existing path beside the file as an absolute one; `module:name` and the like as they are."""
    place = (folder / text).resolve()
    return str(place) if place.exists() else text


def set_dotted(form: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b.c`; what is on the way and no mapping is replaced."""
    *path, last = key.split(".")
    place = form
    for part in path:
        inner = place.get(part)
        if not isinstance(inner, dict):
            inner = dict(inner) if isinstance(inner, Mapping) else {}
            place[part] = inner
        place = inner
    place[last] = value


def read_init(value: Any) -> Mapping[str, Any] | None:
    """Constructor arguments: a mapping, or the path of a JSON file.

    Raises:
        InputError: The file cannot be read.
    """
    if not isinstance(value, (str, Path)):
        return value  # type: ignore[no-any-return]
    try:
        found = json.loads(Path(value).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"init: {value!s} cannot be read as JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise InputError(f"init: {value!s} holds no JSON object.")
    return found


def read_environment_variables(value: Any) -> dict[str, Any]:
    """Variables: a mapping, or the path of a `.env` file."""
    if not value:
        return {}
    if isinstance(value, (str, Path)):
        from genaiops.settings import read_dotenv

        return dict(read_dotenv(Path(value)))
    return dict(value)


def flat_connections(value: Any) -> dict[str, Any]:
    """`{node: {connection: x}}` as `{node.connection: x}`; the flat form as it is."""
    flat: dict[str, Any] = {}
    for node, inner in (value or {}).items():
        if isinstance(inner, Mapping):
            flat |= {f"{node}.{key}": item for key, item in inner.items()}
        else:
            flat[node] = inner
    return flat
