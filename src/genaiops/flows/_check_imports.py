"""Imports of a flow's code that lead nowhere on this machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from genaiops.flows._check_entry import is_installed
from genaiops.flows._check_graph import mapping
from genaiops.flows._check_report import FlowFiles, Report
from genaiops.flows._check_source import parse_source
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._failures import how_to_find

# Answered by the import layer of the flow host when the packages themselves are absent.
_ANSWERED = frozenset({"promptflow", "promptflow_vectordb", "azure", "dotenv"})


def check_imports(survey: FlowSurvey, report: Report) -> None:
    """Report modules that the flow's code imports first of all and that neither the flow nor this Python has.

    A flow with requirements may run in an environment of its own, so only what looks like a misspelt module of the
    flow itself is reported there.
    """
    own = _own_modules(survey.files)
    may_be_installed_later = has_requirements(survey)
    for path in survey.python_files():
        for module, line in _imports(path):
            if module in own or module in _ANSWERED or is_installed(module):
                continue
            near = get_close_matches(module, sorted(own), n=1, cutoff=0.75)
            if may_be_installed_later and not near:
                continue
            report.error(
                "ModuleNotFoundError",
                f"The code imports {module!r}, which is neither in the flow's folder nor installed.",
                file=path,
                line=line,
                hint=f"Did you mean {near[0]!r}?" if near else how_to_find(module, survey.files.home),
            )


def _own_modules(files: FlowFiles) -> set[str]:
    folders = [files.home, *(path for path in files.includes.values() if path.is_dir())]
    found = {Path(name).stem for name in files.includes}
    for folder in folders:
        if folder.is_dir():
            found |= {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    return found


def has_requirements(survey: FlowSurvey) -> bool:
    """Whether the flow may run in an environment of its own, with packages that are not installed here."""
    front = mapping(survey.document.data if survey.document else None)
    named = mapping(front.get("environment")).get("python_requirements_txt")
    return bool(named) or survey.files.find("requirements.txt") is not None


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file cannot do without: imported at its top, outside of `try` and `if`."""
    try:
        tree = parse_source(path)
        text = path.read_text(encoding="utf-8")
    except (SyntaxError, ValueError, OSError):
        return
    if "sys.path" in text:  # where it looks then, its text does not tell
        return
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno
