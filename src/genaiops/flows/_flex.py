"""Flex flows: `entry: module:name`, a function, a class with `__call__`, or an object that can be called.

The signature is read from the source text, so that a mapping can be checked before any user code runs; opening a plan
reads it again from the imported object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._graph import Report
from genaiops.flows._head import LoadOptions, chat_shape, read_head
from genaiops.flows._locate import flow_name
from genaiops.flows._model import Flow, InputDef, OutputDef
from genaiops.flows._nodes import Reader
from genaiops.flows._signature import Signature, signature_in_text
from genaiops.flows._yaml import YamlDocument, load_yaml

FLEX_KEYS = (
    "$schema", "entry", "code", "inputs", "outputs", "init", "sample", "environment", "environment_variables",
    "additional_includes", "language", "type", "name", "display_name", "description", "tags", "version", "id",
    "message_format", "properties",
)  # fmt: skip
_ENTRY = re.compile(r"[a-zA-Z0-9_.]+:[a-zA-Z0-9_]+")
_FILE_REFERENCE = re.compile(r"^\$\{file:(.*?)\}")


def read_flex_flow(document: YamlDocument, options: LoadOptions, report: Report) -> Flow:
    """A flex flow from its file."""
    reader = Reader(document, report)
    data = document.data
    if "nodes" in data:
        reader.error(
            "The file has both entry and nodes; a flow is either Python or a graph.",
            "nodes",
            hint="Remove one of the two.",
            kind="ValidationException",
        )
    reader.check_keys({key: value for key, value in data.items() if key != "nodes"}, FLEX_KEYS)
    if options.variant is not None or options.connections:
        reader.error("A flex flow has no variants and no nodes with connections; use init.", kind="InvalidFlowError")
    folder = document.path.parent
    if data.get("code"):
        folder = (folder / str(data["code"])).resolve()
    head = read_head(reader, data, options, folder=folder)
    entry = _checked_entry(reader, data.get("entry"))
    signature = _signature(reader, entry, head.folder) if entry else None
    sample = _sample(reader, data.get("sample"))
    written = {
        section: reader.inputs(data[section], section, allow_connections=section == "init")
        for section in ("inputs", "init")
        if data.get(section)
    }
    outputs = {**(signature.outputs if signature else {}), **reader.outputs(data.get("outputs"))}
    inputs = merge_inputs(reader, "inputs", written.get("inputs"), signature)
    init = merge_inputs(reader, "init", written.get("init"), signature)
    return replace(
        head,
        kind="class" if signature and signature.kind == "class" else "function",
        entry=entry,
        inputs=inputs,
        init=init,
        outputs=outputs,
        sample=sample,
        chat=chat_shape(inputs, outputs),
        findings=(*head.findings, *reader.warnings),
        loose_signature=signature is None,
    )


def _checked_entry(reader: Reader, entry: Any) -> str | None:
    if isinstance(entry, str) and _ENTRY.fullmatch(entry):
        return entry
    reader.error(
        f"{entry!r} is not an entry.", "entry", hint="Write entry: module.sub:name.", kind="InvalidFlexFlowEntry"
    )
    return None


def _signature(reader: Reader, entry: str, folder: Path) -> Signature | None:
    """The signature in the source text, or None when the entry lives outside the flow or is made at run time."""
    module, name = entry.split(":")
    path = module_path(module, folder)
    if path is None:
        _report_if_nowhere(reader, module, folder)
        return None
    try:
        return signature_in_text(path, name)
    except SyntaxError as error:
        reader.report(
            FlowDefinitionError(
                f"The module of the entry is not valid Python: {error.msg}.",
                file=path,
                line=error.lineno,
                kind="PythonLoadError",
                type="SyntaxError",
            )
        )
        return None


def module_path(module: str, folder: Path) -> Path | None:
    """The file of a module below a folder."""
    base = folder.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _report_if_nowhere(reader: Reader, module: str, folder: Path) -> None:
    """An entry in an installed package is fine; its first name must be findable from somewhere."""
    import importlib.util

    first = module.split(".")[0]
    if (folder / first).is_dir() or importlib.util.find_spec(first) is not None:
        return
    reader.error(
        f"There is no module {module!r} in the flow's folder, and no package {first!r} is installed.",
        "entry",
        hint=hint_for_module(first, folder),
        kind="PythonLoadError",
    )


def hint_for_module(first: str, folder: Path) -> str:
    """What may have been meant by a module that is nowhere."""
    modules = [path.stem for path in folder.glob("*.py")]
    return suggest(first, modules) if modules else f"Write {first}.py beside the flow file, or install the package."


def merge_inputs(
    reader: Reader, section: str, written: Mapping[str, InputDef] | None, signature: Signature | None
) -> dict[str, InputDef]:
    """What the YAML file says over what the code says.

    A section of the file must name exactly the parameters of the code; it may change types and defaults.
    """
    coded: Mapping[str, InputDef] = {}
    if signature is not None:
        coded = signature.inputs if section == "inputs" else signature.init
    if not written:
        return dict(coded)
    if signature is None:
        return dict(written)
    if set(written) != set(coded):
        missing = sorted(set(coded) - set(written))
        extra = sorted(set(written) - set(coded))
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(extra)} too much"] if extra else []
        reader.error(
            f"The section {section} {' and '.join(parts)}, compared with the parameters of the entry.",
            section,
            hint=f"The entry takes: {', '.join(coded) or 'nothing'}.",
            kind="UserErrorException",
        )
    return {name: with_code_default(item, coded.get(name)) for name, item in written.items()}


def with_code_default(written: InputDef, coded: InputDef | None) -> InputDef:
    """The definition in the file, with the default of the code where the file gives none."""
    if coded is None:
        return written
    written = replace(written, types=coded.types, is_optional=coded.is_optional)
    if written.has_default or not coded.has_default:
        return written
    return replace(written, default=coded.default, has_default=True)


def _sample(reader: Reader, written: Any) -> dict[str, Any]:
    """`sample`, with `${file:…}` read relative to the flow's file."""
    sample = _resolve_file(reader, written, "sample")
    if not isinstance(sample, Mapping):
        return {}
    return {str(key): _resolve_file(reader, value, "sample", str(key)) for key, value in sample.items()}


def _resolve_file(reader: Reader, value: Any, *place: str) -> Any:
    match = _FILE_REFERENCE.match(value) if isinstance(value, str) else None
    if match is None:
        return value
    path = reader.document.path.parent / match[1]
    if not path.is_file():
        reader.error(f"Cannot find the reference file {match[1]!r}.", *place, kind="UserErrorException")
        return None
    if path.suffix == ".json":
        import json

        return json.loads(path.read_text(encoding="utf-8-sig"))
    return load_yaml(path).data


def flow_of_entry(entry: str, folder: Path) -> Flow:
    """A flow from `module:name` alone, imported from `folder`.

    Raises:
        FlowDefinitionError: `PythonLoadError` when there is no such module or it is not Python.
    """

    def fail(error: FlowDefinitionError) -> None:
        raise error

    document = YamlDocument(path=folder / "flow.flex.yaml", data={"entry": entry}, lines={})
    module, name = entry.split(":")
    path = module_path(module, folder)
    signature = _signature(Reader(document, fail), entry, folder)
    outputs: Mapping[str, OutputDef] = signature.outputs if signature else {}
    return Flow(
        kind="class" if signature and signature.kind == "class" else "function",
        path=path or folder,
        folder=folder,
        home=folder,
        name=flow_name(name),
        entry=entry,
        inputs=signature.inputs if signature else {},
        init=signature.init if signature else {},
        outputs=outputs,
        requirements=folder / "requirements.txt" if (folder / "requirements.txt").is_file() else None,
        loose_signature=signature is None,
    )
