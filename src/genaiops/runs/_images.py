"""Images in rows: relative paths start at the folder of the data file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

_PATH_KEY = re.compile(r"data:[^;]*;path")
_TEXT_FORM = re.compile(r"(data:image/[^;]*;\s*path:\s*)(.+)", re.DOTALL)
_LONGEST_PATH = 1024


def absolute_images(inputs: dict[str, Any], folder: Path, images: set[str]) -> dict[str, Any]:
    """The inputs with the paths of images made absolute.

    Args:
        inputs: The inputs of one row.
        folder: The data file's folder.
        images: Inputs of type `image`, whose text may be a bare path.
    """
    changed = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, dict | list):
            changed[name] = _absolute(value, folder)
        elif name in images and isinstance(value, str):
            changed[name] = _text(value, folder)
    return changed


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        key, path = next(iter(value.items()))
        if isinstance(path, str) and isinstance(key, str) and _PATH_KEY.fullmatch(key):
            return {key: _join(folder, path)}
    if value.get("type") == "image_file" and isinstance(value.get("image_file"), dict):
        path = value["image_file"].get("path")
        if isinstance(path, str):
            return {**value, "image_file": {**value["image_file"], "path": _join(folder, path)}}
    return {key: _absolute(item, folder) for key, item in value.items()}


def _text(value: str, folder: Path) -> str:
    match = _TEXT_FORM.fullmatch(value)
    if match is not None:
        return match[1] + _join(folder, match[2])
    if len(value) < _LONGEST_PATH and "\n" not in value and (folder / value).is_file():
        return _join(folder, value)
    return value


def _join(folder: Path, path: str) -> str:
    return os.path.normpath(folder.resolve() / path)
