"""A prompty file as a flow: its front matter read, its body left to `prompts`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError
from genaiops.flows._graph import Report
from genaiops.flows._head import LoadOptions, chat_shape
from genaiops.flows._locate import flow_name
from genaiops.flows._model import Flow, InputDef
from genaiops.flows._nodes import Reader
from genaiops.flows._yaml import parse_yaml

# Deep enough for `model.configuration.connection`.
_PLACES_KEPT = 3
_FILE = re.compile(r"^\$\{file:(.*?)\}|^file:(.*)|^(.*\.json)$", re.DOTALL)


def read_prompty_flow(path: Path, options: LoadOptions, report: Report) -> Flow:
    """The flow that a prompty file is."""
    from genaiops.prompts import split_prompty

    split = split_prompty(path.read_text(encoding="utf-8-sig"), path)
    document = parse_yaml(split.front, path, first_line=split.front_line)
    if not isinstance(document.data, Mapping):
        raise FlowDefinitionError("The front matter of a prompty is a mapping.", file=path, line=split.front_line)
    data: dict[str, Any] = _merged(document.data, options.overrides or {})
    reader = Reader(document, report)
    sample = _sample(reader, data.get("sample"))
    inputs = _inputs(reader, data.get("inputs"), sample)
    outputs = reader.outputs(data["outputs"]) if isinstance(data.get("outputs"), Mapping) else {}
    return Flow(
        kind="prompty",
        path=path,
        folder=path.parent,
        home=path.parent,
        name=flow_name(str(data.get("name") or path.stem)),
        display_name=data.get("display_name"),
        description=data.get("description"),
        inputs=inputs,
        outputs=outputs,
        sample={"inputs": sample} if isinstance(sample, Mapping) else {},
        prompty=data,
        overrides=dict(options.overrides or {}),
        chat=chat_shape(inputs, {}),
        requirements=path.parent / "requirements.txt" if (path.parent / "requirements.txt").is_file() else None,
        findings=tuple(reader.warnings),
        lines={".".join(map(str, place)): line for place, line in document.lines.items() if len(place) <= _PLACES_KEPT},
    )


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _inputs(reader: Reader, written: Any, sample: Any) -> dict[str, InputDef]:
    if isinstance(written, list):  # the newer dialect lists its inputs
        written = {str(item["name"]): item for item in written if isinstance(item, Mapping) and "name" in item}
    if isinstance(written, Mapping) and written:
        plain = {name: item for name, item in written.items() if isinstance(item, Mapping) and "type" in item}
        result = reader.inputs(plain, "inputs")
        # A value instead of a definition is a sample of the input, as in older files.
        for name, item in written.items():
            if name not in result:
                result[str(name)] = InputDef(type="object", default=None, line=reader.document.line("inputs", name))
                if isinstance(item, Mapping) and "default" in item:
                    result[str(name)] = replace(result[str(name)], default=item["default"], has_default=True)
        return {str(name): result[str(name)] for name in written}
    if isinstance(sample, Mapping):
        return {str(name): InputDef(type=_type_of(value)) for name, value in sample.items()}
    return {}


def _type_of(value: Any) -> str:
    return {str: "string", bool: "bool", int: "int", float: "double", list: "list"}.get(type(value), "object")


def _sample(reader: Reader, written: Any) -> Any:
    """The sample inputs; a file is looked for beside the prompty, then in the working directory."""
    from genaiops.prompts import read_data_file

    match = _FILE.match(written.strip()) if isinstance(written, str) else None
    if match is None:
        return written
    inner = next(group for group in match.groups() if group is not None)
    for folder in (reader.document.path.parent, Path.cwd()):
        if (folder / inner).is_file():
            return read_data_file(folder / inner, inner, reader.document.path)
    reader.warn("missing-sample", f"Cannot find the sample file {inner!r}.", "sample")
    return None
