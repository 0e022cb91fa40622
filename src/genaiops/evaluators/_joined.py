"""Rows of a run and rows of a dataset, joined by a key column or written down for a program that wants one file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genaiops.datasets import read_rows
from genaiops.errors import DataError
from genaiops.runs import RunRecord

_LOOKUP = re.compile(r"\$\{(data|run\.outputs|run\.inputs|target)\.([^{}]+)\}")
_COLUMNS = {"run.outputs": "__outputs.", "target": "__outputs.", "run.inputs": "__inputs."}


class Joined(NamedTuple):
    """A completed row of a run with its partner.

    Attributes:
        row: Its number in the run.
        data: The partner's values.
        outputs: What the application gave.
        inputs: Columns of the run's own dataset.
        outcome: The whole outcome.
    """

    row: int
    data: Mapping[str, Any]
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outcome: Mapping[str, Any]


def join_rows(record: RunRecord, data: Path, *, key: str | None = None) -> Iterator[Joined]:
    """Completed rows of a run with their partners in a dataset, by row number or by the values of a key column.

    Args:
        record: The run.
        data: The evaluation dataset.
        key: A column that both datasets have; its values are compared as text.

    Raises:
        DataError: The key is missing, or a value of it stands twice in the evaluation dataset.
    """
    partners: dict[str | int, Mapping[str, Any]] = {}
    if key:
        partners.update(_by_key(data, key))
    else:
        partners.update({row.index: row.values for row in read_rows(data, on_bad_row="skip")})
    own = record.dataset.get("path")
    inputs = {row.index: row.values for row in read_rows(own, on_bad_row="skip")} if own and Path(own).exists() else {}
    for outcome in record.outcomes():
        if outcome.get("status") != "completed":
            continue
        row = int(outcome["row"])
        columns = inputs.get(row, {})
        partner = partners.get(_key_of(columns, key, record) if key else row)
        if partner is not None:
            yield Joined(row, partner, outcome.get("outputs") or {}, columns, outcome)


def write_joined(
    record: RunRecord, data: Path, mappings: Mapping[str, Any], target: Path, *, key: str | None = None
) -> tuple[dict[str, Any], list[int]]:
    """Write the joined rows as one JSON Lines file.

    Args:
        record: The run.
        data: The evaluation dataset.
        mappings: As the use case wrote them.
        target: The file to write.
        key: As for `join_rows`.

    Returns:
        Mappings that name the columns of that file, and the run's row number of each of its lines.
    """
    rows: list[int] = []
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as file:
        for joined in join_rows(record, data, key=key):
            values = dict(joined.data)
            values |= {f"__outputs.{name}": value for name, value in joined.outputs.items()}
            values |= {f"__inputs.{name}": value for name, value in joined.inputs.items()}
            file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
            rows.append(joined.row)
    return {name: _renamed(value) for name, value in mappings.items()}, rows


def resolve(mappings: Mapping[str, Any], joined: Joined) -> dict[str, Any]:
    """The mapped inputs of one row; what a row lacks is left out."""
    sources: dict[str, Mapping[str, Any]] = {
        "data": joined.data,
        "run.outputs": joined.outputs,
        "target": joined.outputs,
        "run.inputs": joined.inputs,
    }
    found = {}
    for name, value in mappings.items():
        match = _LOOKUP.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            found[name] = value
        elif match[2] in sources[match[1]]:
            found[name] = sources[match[1]][match[2]]
    return found


def _renamed(value: Any) -> Any:
    match = _LOOKUP.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] == "data":
        return value
    return f"${{data.{_COLUMNS[match[1]]}{match[2]}}}"


def _by_key(data: Path, key: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for row in read_rows(data, on_bad_row="skip"):
        if key not in row.values:
            raise DataError(f"The row has no column {key!r} to join by.", file=row.file, line=row.line)
        value = _as_text(row.values[key])
        if value in found:
            raise DataError(
                f"The value {row.values[key]!r} of the key column {key!r} stands twice.", file=row.file, line=row.line
            )
        found[value] = row.values
    return found


def _key_of(values: Mapping[str, Any], key: str, record: RunRecord) -> str:
    if key not in values:
        raise DataError(f"The dataset of the run {record.id!r} has no column {key!r} to join by.")
    return _as_text(values[key])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
