"""The block `data_checks`: what the rows must satisfy before anything is paid for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genaiops.datasets import Row, read_rows
from genaiops.errors import GenaiopsError, suggest
from genaiops.experiments._spec import DatasetSpec, Place
from genaiops.flows import Finding
from genaiops.plain_text import plural

KEYS = ("min_rows", "required", "unique", "schema", "severity")
_SHOWN = 5


def check_data(dataset: DatasetSpec, checks: Mapping[str, Any], place: Place, folder: Path) -> list[Finding]:
    """Hold the rows of a dataset against the checks of the use case.

    Args:
        dataset: The dataset; its file exists and has rows.
        checks: `min_rows`, `required`, `unique`, `schema` (an object or a path), `severity`.
        place: Where the checks stand.
        folder: Where a schema's path starts.
    """
    severity = checks.get("severity", "error")
    found = [
        _finding("warning", "unknown-key", f"data_checks has no {key!r}.", place, suggest(str(key), KEYS))
        for key in checks
        if key not in KEYS
    ]
    assert dataset.path is not None
    messages: list[tuple[str, Place]] = []
    seen: dict[str, dict[str, int]] = {column: {} for column in _texts(checks.get("unique"))}
    schema = _schema(checks.get("schema"), folder)
    count = 0
    try:
        for row in read_rows(dataset.path, limit=dataset.limit):
            count += 1
            messages += [(message, Place(file=row.file, line=row.line)) for message in _row(row, checks, seen, schema)]
    except GenaiopsError as error:
        messages.append((error.message, Place(file=dataset.path, line=error.line)))
    least = int(checks.get("min_rows", 0))
    if count < least:
        wanted = "1 is" if least == 1 else f"{least:,} are"
        messages.append((f"The dataset {dataset.name!r} has {plural(count, 'row')}; at least {wanted} wanted.", place))
    shown = [_finding(severity, "data-check", message, where, None) for message, where in messages[:_SHOWN]]
    if len(messages) > _SHOWN:
        rest = len(messages) - _SHOWN
        does = "does" if rest == 1 else "do"
        more = f"{plural(rest, 'more row')} of {dataset.name!r} {does} not pass the data checks."
        shown.append(_finding(severity, "data-check", more, place, None))
    return found + shown


def _row(row: Row, checks: Mapping[str, Any], seen: dict[str, dict[str, int]], schema: Any) -> Iterator[str]:
    for column in _texts(checks.get("required")):
        if row.values.get(column) in (None, "", [], {}):
            yield f"The row has no value in {column!r}."
    for column, values in seen.items():
        text = json.dumps(row.values.get(column), sort_keys=True, default=str)
        if text in values:
            yield f"The value of {column!r} stands in line {values[text]} already."
        values.setdefault(text, row.line)
    if schema is not None:
        yield from (f"The row does not fit the schema: {error.message}" for error in schema.iter_errors(row.values))


def _schema(written: Any, folder: Path) -> Any:
    if written is None:
        return None
    import jsonschema

    if isinstance(written, str):
        written = json.loads((folder / written).read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(written)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _finding(severity: str, code: str, message: str, place: Place, hint: str | None) -> Finding:
    return Finding(
        severity="warning" if severity == "warning" else "error",
        code=code,
        file=str(place.file),
        line=place.line,
        message=message,
        hint=hint,
    )
