"""Files that a flow reads from outside of its folder: they stand on this machine, and in no image of the flow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genaiops.flows._check_graph import mapping
from genaiops.flows._check_prompty import split_prompty
from genaiops.flows._check_report import Report
from genaiops.flows._check_source import parse_source
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._yaml import YamlDocument
from genaiops.records import record

_FILE = re.compile(r"\$\{file:(.*?)\}", re.DOTALL)
_IMAGE_KEY = re.compile(r"data:image/[^;]*;path")
_IMAGE_TEXT = re.compile(r"data:image/[^;]*;\s*path:\s*(.*)", re.DOTALL)


@record(frozen=True, slots=True)
class OutsideFile:
    """A file outside of the flow's folder, and where it is named.

    Args:
        file: The file that names it.
        line: Where in it.
        written: The path as it stands there.
        is_needed: The flow cannot be opened without it; otherwise a text of the code only looks like its path.
    """

    file: Path
    line: int | None
    written: str
    is_needed: bool


def outside_files(survey: FlowSurvey) -> list[OutsideFile]:
    """Files outside of the flow's folder: that its promptys refer to, its values show as images, its code names."""
    home = survey.files.home.resolve()
    prompties = [survey.path] if survey.kind == "prompty" else sorted(home.rglob("*.prompty"))
    named = [found for path in prompties for found in _named_by_prompty(path)]
    if survey.kind != "prompty" and survey.document is not None:
        named += _images(survey.path, survey.document.data, survey.document)
    named += [found for path in survey.python_files() for found in _named_by_code(path, home)]
    return [found for found in named if not (found.file.parent / found.written).resolve().is_relative_to(home)]


def check_outside_files(survey: FlowSurvey, report: Report) -> None:
    """Doubt whether the flow runs anywhere but here."""
    for found in outside_files(survey):
        report.warning(
            "file-outside",
            f"{found.written!r} lies outside the flow's folder; an image of the flow does not hold it.",
            file=found.file,
            line=found.line,
            hint="Move the file into the flow's folder.",
        )


def _named_by_prompty(path: Path) -> Iterator[OutsideFile]:
    parts = split_prompty(path, Report())
    if parts is None:
        return
    front = mapping(parts.front.data)
    for place, text in _texts(front, ()):
        reference = _FILE.match(text)
        if reference is not None:
            yield OutsideFile(path, parts.front.line(*place), reference[1], is_needed=True)
        elif place == ("sample",) and not front.get("inputs"):
            yield OutsideFile(path, parts.front.line(*place), text.removeprefix("file:").strip(), is_needed=True)
    yield from _images(path, front, parts.front)


def _images(path: Path, data: Any, document: YamlDocument) -> Iterator[OutsideFile]:
    """Image files that the values of a file show; a sample's are only read where nothing else is given."""
    for place, text in _texts(data, ()):
        as_text = _IMAGE_TEXT.fullmatch(text)
        is_key = _IMAGE_KEY.fullmatch(str(place[-1])) if place else None
        if as_text or is_key or place[-2:] == ("image_file", "path") or _is_default_of_image(place, data):
            written = as_text[1] if as_text else text
            yield OutsideFile(path, document.line(*place), written.strip(), is_needed=place[0] != "sample")


def _is_default_of_image(place: tuple[str | int, ...], data: Any) -> bool:
    if len(place) != 3 or place[0] != "inputs" or place[2] != "default":
        return False
    return mapping(mapping(mapping(data).get("inputs")).get(str(place[1]))).get("type") == "image"


def _named_by_code(path: Path, home: Path) -> Iterator[OutsideFile]:
    try:
        tree = parse_source(path)
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or not node.value.startswith("../"):
            continue
        if "\n" not in node.value and any((folder / node.value).is_file() for folder in (path.parent, home)):
            yield OutsideFile(path, node.lineno, node.value, is_needed=False)


def _texts(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*place, number))
