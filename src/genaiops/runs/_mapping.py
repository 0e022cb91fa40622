"""From rows to flow inputs: `${data.x}`, `${run.outputs.y}`, literals; every mistake found before anything starts.

A lookup is text of exactly the form `${source.column}`; the rest of it names a top-level column, dots included. Any
other value is a literal. What looks like a lookup and is none is refused: prompt flow sends it to the model as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genaiops.errors import DataError, suggest
from genaiops.records import record

_LOOKUP = re.compile(r"\$\{([^{}]*)\}")
# `$data.x`, `{data.x}`, `${data.x`, `$(run.outputs.x)`, `${{data.x}}`, and lookups inside of longer text.
_ALMOST = re.compile(r"^[\s'\"]*[${(\[]+\s*(data|run|target|inputs|outputs)\s*\.|\$\s*[{(]+\s*(data|run)\s*\.")
_SOURCES = ("data", "run.outputs", "run.inputs")


class InputShape(NamedTuple):
    """What the mapping must know of a flow input."""

    type: str = "object"
    has_default: bool = False


class Lookup(NamedTuple):
    """A column of a source."""

    source: str
    column: str


@record(frozen=True)
class RowMapping:
    """How the inputs of a row are made.

    Args:
        lookups: Flow input to column.
        literals: Flow input to value, the same for every row.
        unknown: Inputs that the flow does not declare, when they were let through.
    """

    lookups: Mapping[str, Lookup]
    literals: Mapping[str, Any]
    unknown: tuple[str, ...] = ()

    def apply(self, sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The inputs of one row; a column that this row lacks leaves its input out.

        >>> plan = plan_mapping({"x": "${data.q}", "z": "lit"}, inputs={}, columns={"data": ["q"]}, takes_any=True)
        >>> plan.apply({"data": {"q": 1}})
        {'z': 'lit', 'x': 1}
        """
        inputs = dict(self.literals)
        for name, (source, column) in self.lookups.items():
            row = sources[source]
            if column in row:
                inputs[name] = row[column]
        return inputs

    def to_json(self) -> dict[str, Any]:
        """The mapping in force, defaults included, in the form it is written in."""
        return {
            **self.literals,
            **{name: f"${{{found.source}.{found.column}}}" for name, found in self.lookups.items()},
        }


def plan_mapping(
    mapping: Mapping[str, Any],
    *,
    inputs: Mapping[str, InputShape],
    columns: Mapping[str, Sequence[str]],
    takes_any: bool = False,
    strict: bool = True,
) -> RowMapping:
    """Check a mapping against the flow's inputs and the columns that are there.

    An input without a default that is not mapped reads the column of its own name from `data`; one with a default is
    only read from a column when the mapping says so.

    Args:
        mapping: Flow input to lookup or literal, as the user wrote it.
        inputs: The flow's inputs.
        columns: Source (`data`, `run.outputs`, `run.inputs`) to its columns.
        takes_any: The flow accepts inputs that it does not declare.
        strict: A mapping for an input that the flow lacks is an error.

    Raises:
        DataError: Lookups that lead nowhere (all of them in one error, kind `ApplyInputMappingError`), text that is
            almost a lookup, an input that the flow does not have, or no lookup at all.
    """
    written = {name: value for name, value in mapping.items() if name != "line_number"}
    unknown = tuple(name for name in written if name not in inputs and not takes_any)
    if unknown and strict:
        raise _unknown_inputs(unknown, inputs)
    lookups: dict[str, Lookup] = {}
    literals: dict[str, Any] = {}
    unresolved: list[tuple[str, str]] = []
    for name, value in {**_defaults(inputs), **written}.items():
        text = _lookup_text(name, value)
        if text is None:
            literals[name] = value
        elif (found := _resolve(text, columns)) is None:
            unresolved.append((name, text))
        else:
            lookups[name] = found
    if unresolved:
        raise _unresolved_error(unresolved, columns, set(written))
    if not lookups:
        raise DataError(
            "No input is read from a column, so every row would get the same inputs.",
            hint="Map at least one input to a column: NAME='${data.column}'.",
            kind="ValidationException",
        )
    return RowMapping(lookups=lookups, literals=literals, unknown=unknown)


def _defaults(inputs: Mapping[str, InputShape]) -> dict[str, Any]:
    return {name: f"${{data.{name}}}" for name, shape in inputs.items() if not shape.has_default}


def _lookup_text(name: str, value: Any) -> str | None:
    """What stands between the braces of a lookup; None for a literal.

    Raises:
        DataError: It is almost a lookup.
    """
    if not isinstance(value, str):
        return None
    match = _LOOKUP.fullmatch(value.strip())
    if match is not None:
        return match[1]
    if _ALMOST.search(value):
        column = re.search(r"(?:data|run\.outputs|run\.inputs|target)\s*\.\s*[\w.-]+", value)
        meant = column[0].replace(" ", "") if column else "data.column"
        raise DataError(
            f"The mapping of {name!r} is the text {value!r}, which looks like a lookup and is none.",
            hint=f"Did you mean '${{{meant}}}'? A lookup is exactly ${{source.column}}, with nothing around it.",
            kind="InputMappingError",
        )
    return None


def _resolve(text: str, columns: Mapping[str, Sequence[str]]) -> Lookup | None:
    """The source with the shortest name that has the rest as a column."""
    # Blanks inside the braces are a slip, unless the column's name has them.
    for written in (text, text.strip()):
        parts = written.split(".")
        for length in range(1, len(parts)):
            source, column = ".".join(parts[:length]), ".".join(parts[length:])
            if source in columns and column in columns[source]:
                return Lookup(source, column)
    return None


def _unresolved_error(
    unresolved: Sequence[tuple[str, str]], columns: Mapping[str, Sequence[str]], written: set[str]
) -> DataError:
    relations = ", ".join(f"${{{text}}}" for _, text in unresolved)
    lines = [_explain(name, text, columns, is_default=name not in written) for name, text in unresolved]
    there = "; ".join(f"{source} has {', '.join(names) or 'no columns'}" for source, names in columns.items())
    return DataError(
        f"Couldn't find these mapping relations: {relations}. {' '.join(lines)}",
        hint=f"There is: {there}." if columns else "No data and no earlier run was given.",
        kind="ApplyInputMappingError",
    )


def _explain(name: str, text: str, columns: Mapping[str, Sequence[str]], *, is_default: bool) -> str:
    how = (
        f"The input {name!r} has no default and no mapping, so it reads" if is_default else f"The input {name!r} reads"
    )
    for source in sorted(columns, key=len, reverse=True):
        if text.startswith(f"{source}."):
            column = text[len(source) + 1 :]
            return f"{how} the column {column!r} of {source}. {_near(column, columns[source])}".rstrip()
    missing = next((source for source in _SOURCES if text.startswith(f"{source}.")), None)
    if missing is not None:
        return f"{how} {missing!r}, and no {'data' if missing == 'data' else 'earlier run with outputs'} was given."
    return f"{how} {text.partition('.')[0]!r}, which is no source; sources are {', '.join(_SOURCES)}."


def _near(column: str, names: Sequence[str]) -> str:
    hint = suggest(column, names)
    return hint if hint.startswith("Did you mean") else ""


def _unknown_inputs(unknown: Sequence[str], inputs: Mapping[str, InputShape]) -> DataError:
    listed = ", ".join(repr(name) for name in unknown)
    return DataError(
        f"The mapping names {listed}, which {'is no input' if len(unknown) == 1 else 'are no inputs'} of the flow.",
        hint=suggest(unknown[0], inputs),
        kind="InputMappingError",
    )
