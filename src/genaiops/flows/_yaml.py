"""YAML 1.2 into plain Python data, with the line of every key and item.

In 1.2 `yes`, `on` and `1:30` are text and `010` is ten: prompt flow reads its files so, and `activate.is` depends on
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError
from genaiops.records import record

Place = tuple[str | int, ...]


@record(frozen=True)
class YamlDocument:
    """Plain data of a file and where each part of it stands.

    Args:
        path: The file.
        data: Dicts, lists and scalars of the standard library's types only.
        lines: Line, counted from 1, of each place such as `("nodes", 2, "inputs", "text")`.
    """

    path: Path
    data: Any
    lines: Mapping[Place, int]

    def line(self, *place: str | int) -> int | None:
        """The line of a place, or of the nearest thing around it."""
        while place:
            if place in self.lines:
                return self.lines[place]
            place = place[:-1]
        return self.lines.get(())


def load_yaml(path: Path) -> YamlDocument:
    """Read a YAML file.

    Raises:
        FlowDefinitionError: The file cannot be read or parsed, or holds a key twice; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FlowDefinitionError(f"There is no file {str(path)!r}.", file=path, kind="UserErrorException") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FlowDefinitionError(f"The file cannot be read as UTF-8 text: {error}", file=path) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path, *, first_line: int = 1, allow_duplicate_keys: bool = False) -> YamlDocument:
    """Read YAML text that stands in `path` from `first_line` on.

    With `allow_duplicate_keys` the first of two equal keys counts: for checks that want to see the rest.

    Raises:
        FlowDefinitionError: As `load_yaml`.
    """
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data, lines = _read(text, first_line, allow_duplicate_keys)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + first_line if error.problem_mark else None
        # The parser's own words quote the values, which may be secrets.
        key = re.search(r'duplicate key "([^"]*)"', str(error.problem))
        raise FlowDefinitionError(
            f"The key {key[1]!r} stands twice in the same mapping." if key else "A key stands twice in one mapping.",
            file=path,
            line=line,
            hint="Keep one of the two.",
            kind="DuplicateKeyError",
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        near = text.splitlines()[max(0, mark.line - 1) : mark.line + 1] if mark else []
        raise FlowDefinitionError(
            f"This is not valid YAML: {error.problem or error.context}.",
            file=path,
            line=mark.line + first_line if mark else None,
            # By far the most frequent slip in flows; the parser stumbles over its brace, at times a line later.
            hint='A reference inside { } is written in quotes: "${…}".' if _BARE.search("\n".join(near)) else None,
            kind="YamlParseError",
        ) from error
    except (YAMLError, ValueError) as error:
        raise FlowDefinitionError(f"This is not valid YAML: {error}.", file=path, kind="YamlParseError") from error
    return YamlDocument(path, _copy(data), lines)


_BARE = re.compile(r"\{[^}\n]*[:,]\s*\$\{")


@lru_cache(maxsize=64)
def _read(text: str, first_line: int, allow_duplicate_keys: bool) -> tuple[Any, Mapping[Place, int]]:
    """Plain data and lines. Checks, estimates and runs of one command read the same few files many times over."""
    from ruamel.yaml import YAML

    reader = YAML(typ="rt", pure=True)
    reader.allow_duplicate_keys = allow_duplicate_keys
    lines: dict[Place, int] = {(): first_line}
    return _plain(reader.load(text), (), lines, first_line), lines


def _copy(value: Any) -> Any:
    """Data of its own for each reader."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any, place: Place, lines: dict[Place, int], first_line: int) -> Any:
    """Round-trip nodes into plain data, noting lines on the way."""
    if isinstance(value, dict):
        marks = getattr(getattr(value, "lc", None), "data", None) or {}
        plain: dict[Any, Any] = {}
        for key, item in value.items():
            inner = (*place, key)
            if key in marks:
                lines[inner] = marks[key][0] + first_line
            plain[_scalar(key)] = _plain(item, inner, lines, first_line)
        return plain
    if isinstance(value, list):
        marks = getattr(getattr(value, "lc", None), "data", None) or {}
        for index in marks:
            lines[(*place, index)] = marks[index][0] + first_line
        return [_plain(item, (*place, index), lines, first_line) for index, item in enumerate(value)]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """A round-trip scalar as the plain type it stands for."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if type(value).__name__ == "TaggedScalar":  # an explicit tag such as `!!str 12`
        return str(value.value)
    return value
