"""Configuration files as plain data with the line of each part: YAML and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError, SettingsError
from genaiops.experiments._spec import Place
from genaiops.flows import YamlDocument, load_yaml


class Document:
    """A file's data and the places of its parts.

    Args:
        path: The file.
        data: Plain dicts, lists and scalars; an empty file is `None`.
    """

    def __init__(self, path: Path, data: Any, yaml: YamlDocument | None = None, text: str = "") -> None:
        self.path = path
        self.data = data
        self._yaml = yaml
        self._text = text

    def place(self, *parts: str | int) -> Place:
        """Where a part stands, or the nearest thing around it."""
        return Place(file=self.path, line=self._line(parts))

    def _line(self, parts: tuple[str | int, ...]) -> int | None:
        if self._yaml is not None:
            return self._yaml.line(*parts)
        # JSON's parser of the standard library keeps no positions: walk along the keys in the order they are written.
        position = 0
        for part in parts:
            found = self._text.find(json.dumps(part) if isinstance(part, str) else "\0", position)
            position = found if found >= 0 else position
        return self._text.count("\n", 0, position) + 1 if self._text else None


def read_document(path: Path) -> Document:
    """Read a YAML or JSON file.

    Raises:
        SettingsError: It does not exist, is not UTF-8, or cannot be parsed; with the line.
    """
    if not path.is_file():
        raise SettingsError(f"There is no file {str(path)!r}.", file=path, hint="Check the path.")
    if path.suffix.lower() == ".json":
        return _read_json(path)
    try:
        document = load_yaml(path)
    except FlowDefinitionError as error:
        raise SettingsError(
            error.message, file=error.file, line=error.line, hint=error.hint, kind=error.kind
        ) from error
    return Document(path, _texts(document.data), document)


def _read_json(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Document(path, json.loads(text) if text.strip() else None, text=text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"This is not valid JSON: {error.msg}.", file=path, line=error.lineno) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file cannot be read as UTF-8 text: {error}", file=path) from error


def _texts(value: Any) -> Any:
    """Dates back to the text that was written: `api_version: 2024-06-01` is a name, not a day."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
