"""A column mapping against the columns there are and the inputs a flow has, before anything is paid for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.errors import suggest
from genaiops.flows._check_report import Report
from genaiops.flows._check_templates import near
from genaiops.flows._model import Finding, InputDef

_LOOKUP = re.compile(r"\$\{([^{}]*)\}")
# Text that was surely meant as a lookup: a brace lost or doubled, a blank inside, a dollar forgotten.
_NEARLY = re.compile(r"\$?\{*\s*(data|run\.outputs|run\.inputs)\.[\w.-]+\s*\}*")


def check_mapping(
    mapping: Mapping[str, object],
    inputs: Mapping[str, InputDef],
    *,
    file: Path,
    columns: Sequence[str] | None = None,
    run_outputs: Sequence[str] | None = None,
    run_inputs: Sequence[str] | None = None,
    lines: Mapping[str, int] | None = None,
) -> list[Finding]:
    """Check a mapping of flow inputs to columns.

    Args:
        mapping: `{"question": "${data.q}", "lang": "en"}`.
        inputs: The inputs of the flow that gets the rows.
        file: The file that holds the mapping, or the dataset when it came from the command line.
        columns: Columns of the dataset; None when there is no dataset, or nobody knows.
        run_outputs: Outputs of the run that is evaluated; None when there is none.
        run_inputs: Columns of the data of that run.
        lines: The line of each entry of the mapping.
    """
    report = Report()
    sources = {"data": columns, "run.outputs": run_outputs, "run.inputs": run_inputs}
    for key, value in mapping.items():
        line = (lines or {}).get(key)
        if key not in inputs and inputs and key != "line_number":
            report.warning(
                "mapping-to-unknown-input",
                f"The mapping gives {key!r}, which is no input of the flow.",
                file=file,
                line=line,
                hint=suggest(key, inputs),
            )
        if isinstance(value, str):
            _check_value(key, value, sources, file, line, report)
    for name, definition in inputs.items():
        if name in mapping or definition.default is not None or columns is None or name in columns:
            continue
        report.error(
            "InputMappingError",
            f"The flow input {name!r} has no default, no mapping and no column of its name.",
            file=file,
            hint=f"{near(name, columns) or 'Columns: ' + ', '.join(columns) + '.'} Write {name}: ${{data.COLUMN}}.",
        )
    return report.sorted()


def _check_value(
    key: str, value: str, sources: Mapping[str, Sequence[str] | None], file: Path, line: int | None, report: Report
) -> None:
    where: dict[str, Any] = {"file": file, "line": line}
    found = _LOOKUP.fullmatch(value)
    if found is None:
        if _NEARLY.fullmatch(value.strip()):
            name = value.strip().strip("${} ")
            report.error(
                "InputMappingError",
                f"The mapping of {key!r} is the text {value!r}, which is no lookup and would be sent as it stands.",
                hint=f"Write ${{{name}}}.",
                **where,
            )
        return
    source = next((s for s in sources if found[1].startswith(f"{s}.")), None)
    if source is None:
        report.error(
            "InputMappingError",
            f"The mapping of {key!r} looks up {value}, which no source has.",
            hint="A lookup is ${data.COLUMN}, ${run.outputs.NAME} or ${run.inputs.COLUMN}.",
            **where,
        )
        return
    known, column = sources[source], found[1][len(source) + 1 :]
    if known is not None and column not in known:
        what = "column" if source != "run.outputs" else "output"
        report.error(
            "InputMappingError",
            f"The mapping of {key!r} looks up {value}, but there is no {what} {column!r}.",
            hint=suggest(column, known),
            **where,
        )
