"""Connection files: found by their content, read as YAML 1.2 with lines."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genaiops.connections._definition import Definition, read_definition
from genaiops.connections._spelling import is_connection_type
from genaiops.errors import ConnectionSettingsError

_log = logging.getLogger(__name__)
_TYPE_LINE = re.compile(r"^type:[ \t]*[\"']?([\w.]+)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_SCHEMA_LINE = re.compile(r"^\$schema:.*Connection\.schema\.json", re.MULTILINE)
# Says "connection" even when the type is misspelt, so that the mistake can be told.
_FIELD_LINE = re.compile(r"^(?:api_key|api_base|base_url|endpoint|auth_mode|secrets|configs):", re.MULTILINE)
_NAME_LINE = re.compile(r"^name:", re.MULTILINE)
_LARGEST_BYTES = 64 * 1024
_SUBFOLDERS = ("connections", "connection", "configs")


def find_connection_files(folders: Iterable[Path]) -> list[Path]:
    """YAML files in these folders (and their `connections/`) that describe a connection, in a stable order."""
    found: dict[Path, None] = {}
    for folder in folders:
        for place in (folder, *(folder / name for name in _SUBFOLDERS)):
            if not place.is_dir():
                continue
            for path in sorted(place.iterdir()):
                if path.suffix in (".yml", ".yaml") and _looks_like_connection(path):
                    found[path.resolve()] = None
    return list(found)


def _looks_like_connection(path: Path) -> bool:
    """Cheap, so that a folder full of other YAML files costs no parsing."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return False
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if _SCHEMA_LINE.search(text):
        return True
    found = _TYPE_LINE.search(text)
    if found is None or _NAME_LINE.search(text) is None:
        return False
    return is_connection_type(found[1]) or _FIELD_LINE.search(text) is not None


def read_connection_file(path: Path) -> Definition:
    """What a connection file says.

    Raises:
        ConnectionSettingsError: It is not YAML, or not a mapping.
    """
    written = _read_yaml(path)
    return read_definition(written, name=path.stem, source=str(path))


def read_execution_json(path: Path) -> list[Definition]:
    """The connections in a file of the form that prompt flow's test hook reads.

    Raises:
        ConnectionSettingsError: It cannot be read, or is not a JSON object of objects.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConnectionSettingsError(
            f"PROMPTFLOW_CONNECTIONS names a file that cannot be read as JSON: {error}.", file=path
        ) from error
    if not isinstance(written, Mapping) or not all(isinstance(item, Mapping) for item in written.values()):
        raise ConnectionSettingsError(
            "PROMPTFLOW_CONNECTIONS names a file that is not an object of connections.",
            file=path,
            hint='Write: {"NAME": {"type": "AzureOpenAIConnection", "value": {…}}}',
        )
    return [read_definition({**item, "name": name}, source=str(path)) for name, item in written.items()]


def _read_yaml(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml.error import YAMLError

    try:
        loaded = _yaml().load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or str(error)
        raise ConnectionSettingsError(f"The connection file is not YAML: {problem}.", file=path, line=line) from error
    if not isinstance(loaded, Mapping):
        raise ConnectionSettingsError("The connection file is not a mapping of fields.", file=path, line=1)
    return loaded


@functools.cache
def _yaml() -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import RoundTripConstructor

    class _TextDates(RoundTripConstructor):
        """Leaves dates alone: in connection files `2024-06-01` is a version."""

    _TextDates.add_constructor(
        "tag:yaml.org,2002:timestamp", lambda constructor, node: constructor.construct_scalar(node)
    )
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _TextDates
    return yaml
