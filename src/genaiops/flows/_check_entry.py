"""A flex flow against the Python it enters: module, name, signature."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

from genaiops.errors import suggest
from genaiops.flows._check_graph import mapping
from genaiops.flows._check_nodes import read_python
from genaiops.flows._check_report import FlowFiles, Report
from genaiops.flows._check_source import ClassFacts, FunctionFacts, SourceFacts
from genaiops.flows._check_templates import near
from genaiops.flows._check_values import misfit
from genaiops.flows._locate import is_entry
from genaiops.flows._yaml import YamlDocument
from genaiops.plain_text import plural

FLEX_KEYS = (
    "$schema", "entry", "inputs", "outputs", "init", "sample", "code", "environment", "environment_variables",
    "additional_includes", "language", "type", "name", "description", "display_name", "tags", "id", "version",
)  # fmt: skip


def check_entry(document: YamlDocument, files: FlowFiles, report: Report) -> Literal["function", "class"]:
    """Check a flow file that has an `entry`; says what the entry is, a function when nobody can know."""
    flow = mapping(document.data)
    for key in flow:
        if key not in FLEX_KEYS:
            report.warning(
                "unknown-key",
                f"A flow with an 'entry' has no key {key!r}.",
                file=document.path,
                line=document.line(key),
                hint=near(str(key), FLEX_KEYS),
            )
    where: dict[str, Any] = {"file": document.path, "line": document.line("entry")}
    if flow.get("language", "python") not in (None, "python"):
        report.error(
            "unsupported-language",
            f"The flow is written in {flow['language']!r}; only Python flows run here.",
            file=document.path,
            line=document.line("language"),
        )
        return "function"
    entry = flow["entry"]
    if not isinstance(entry, str) or not is_entry(entry):
        report.error(
            "InvalidFlexFlowEntry",
            f"The entry is {entry!r}.",
            hint="Write 'entry: module:name', or 'entry: package.module:name'.",
            **where,
        )
        return "function"
    module, _, name = entry.partition(":")
    path = module_file(module, files)
    if path is None:
        if not is_installed(module):
            known = [Path(name).with_suffix("").as_posix().replace("/", ".") for name in files.names(".py")]
            report.error(
                "InvalidFlexFlowEntry",
                f"The entry names the module {module!r}, which the flow's folder does not hold.",
                hint=suggest(module, known),
                **where,
            )
        return "function"
    facts = read_python(path, report)
    if facts is None:
        return "function"
    _check_target(name, facts, document, report)
    return "class" if name in facts.classes else "function"


def module_file(module: str, files: FlowFiles) -> Path | None:
    """The file of a dotted module name, when the flow holds it."""
    relative = module.replace(".", "/")
    for candidate in (f"{relative}.py", f"{relative}/__init__.py"):
        found = files.find(candidate)
        if found is not None:
            return found
    return None


def is_installed(module: str) -> bool:
    """Whether the first part of a module's name can be found without importing anything."""
    first = module.partition(".")[0]
    try:
        return first in sys.stdlib_module_names or PathFinder.find_spec(first) is not None
    except (ImportError, ValueError):
        return False


def _check_target(name: str, facts: SourceFacts, document: YamlDocument, report: Report) -> None:
    if name in facts.functions:
        _check_signature("inputs", facts.functions[name], document, report)
        if mapping(document.data).get("init"):
            report.warning(
                "unused-init",
                f"{name!r} is a function; the 'init' section has no effect.",
                file=document.path,
                line=document.line("init"),
            )
    elif name in facts.classes:
        _check_class(facts.classes[name], facts, document, report)
    elif name not in facts.names and not facts.open_ended:
        report.error(
            "InvalidFlexFlowEntry",
            f"The module {facts.path.name} has no {name!r}.",
            file=document.path,
            line=document.line("entry"),
            hint=suggest(name, [*facts.functions, *facts.classes]),
        )


def _check_class(found: ClassFacts, facts: SourceFacts, document: YamlDocument, report: Report) -> None:
    if found.call is not None:
        _check_signature("inputs", found.call, document, report)
    elif not found.inherits:
        report.error(
            "InvalidFlexFlowEntry",
            f"The class {found.name!r} cannot be called: it has no __call__.",
            file=facts.path,
            line=found.line,
            hint="Add 'def __call__(self, …)', which gets one row.",
        )
    if found.init is not None:
        _check_signature("init", found.init, document, report)
    if found.aggregate is not None and len(found.aggregate.parameters) != 1:
        report.error(
            "InvalidAggregationFunction",
            f"__aggregate__ takes {plural(len(found.aggregate.parameters), 'parameter')} besides self; "
            "it has to take one.",
            file=facts.path,
            line=found.aggregate.line,
            hint="Write 'def __aggregate__(self, line_results: list) -> dict'.",
        )


def _check_signature(section: str, function: FunctionFacts, document: YamlDocument, report: Report) -> None:
    """A section of the file, when it is there, names exactly the parameters of the code."""
    written = mapping(document.data).get(section)
    if not isinstance(written, Mapping) or not written or function.takes_any:
        return
    known = [parameter.name for parameter in function.parameters]
    for key in written:
        if key not in known:
            report.error(
                "ValidationException",
                f"{section!r} names {key!r}, which {function.name}() does not take.",
                file=document.path,
                line=document.line(section, key),
                hint=suggest(str(key), known),
            )
        kind, default = mapping(written[key]).get("type"), mapping(written[key]).get("default")
        if kind and default not in (None, "") and (wrong := misfit(str(kind), default)):
            report.error(
                "InputTypeError",
                f"The default of {key!r} is {wrong}.",
                file=document.path,
                line=document.line(section, key, "default"),
            )
    missing = [name for name in function.required if name not in written]
    if missing:
        report.error(
            "ValidationException",
            f"{section!r} lacks {', '.join(map(repr, missing))}, which {function.name}() needs.",
            file=document.path,
            line=document.line(section),
            hint=f"Add them, or leave the whole {section!r} section out: it is then read from the code.",
        )
