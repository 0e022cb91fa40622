"""One flow judged: what it is made of, whether it runs here, and what to change when it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from genaiops.audits._imports import (
    Explain,
    ImportUse,
    explain_roughly,
    is_promptflow,
    outside_packages,
    read_imports,
)
from genaiops.flows import Finding, FlowSurvey, survey_flow, tool_fate
from genaiops.records import record

Verdict = Literal["runs", "runs with changes", "broken", "unsupported"]
VERDICTS: tuple[Verdict, ...] = ("runs", "runs with changes", "broken", "unsupported")

_UNSUPPORTED = frozenset({"unsupported-language", "prompty-second-dialect"})
# Mistakes that mean: fill in what the author left open, or name a provider that can be reached.
_TO_FILL_IN = frozenset({"no-connection", "unknown-provider"})
# Hours a person needs, from porting the flows of public repositories.
_HOURS = {"fill in": 0.1, "mistake": 0.5, "import": 0.5, "tool": 4.0, "unsupported": 16.0}
# How packages are called when they are imported, where it differs from how they are installed.
_INSTALLED_AS = {"bs4": "beautifulsoup4", "yaml": "pyyaml", "dotenv": "python-dotenv", "PIL": "pillow",
                 "sklearn": "scikit-learn", "cv2": "opencv-python", "fitz": "pymupdf"}  # fmt: skip
# Packages that come with genaiops itself, or have a stand-in there.
_WITH_US = frozenset({"genaiops", "dotenv", "openai", "jinja2", "numpy", "aiohttp", "httpx"})


@record(frozen=True, slots=True)
class FlowAudit:
    """What an audit says about one flow.

    Args:
        path: The flow's file, relative to the folder that was audited.
        reasons: Why it does not run unchanged; empty when it does.
        notes: What to know all the same: packages to install, what else the code imports.
        tools: Tool files, templates and ids of package tools.
        variables: Environment variables that its files and its code read.
        imports: What its code imports from prompt flow.
        effort_hours: An estimate of the work until it runs.
    """

    path: str
    kind: str
    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    nodes: tuple[str, ...]
    tools: tuple[str, ...]
    connections: tuple[str, ...]
    variables: tuple[str, ...]
    imports: tuple[str, ...]
    effort_hours: float

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "path": self.path,
            "kind": self.kind,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "nodes": list(self.nodes),
            "tools": list(self.tools),
            "connections": list(self.connections),
            "variables": list(self.variables),
            "imports": list(self.imports),
            "effort_hours": self.effort_hours,
        }


@record(frozen=True, slots=True)
class _Reason:
    """Why a flow does not run unchanged, and what it costs to change that."""

    text: str
    verdict: Verdict
    work: str


def audit_flow(path: Path, root: Path, *, explain: Explain = explain_roughly) -> FlowAudit:
    """Judge one flow.

    A flow that prompt flow would refuse as well is `broken`; what a user only has to fill in, install or replace makes
    it `runs with changes`.

    Args:
        path: The flow's file.
        root: The folder that is audited; places are told relative to it.
        explain: Says why an import of prompt flow cannot be served.
    """
    survey = survey_flow(path)
    imports = [use for file in survey.python_files() for use in read_imports(file)]
    reasons = [
        *_finding_reasons(survey, root),
        *_tool_reasons(survey),
        *_import_reasons([use for use in imports if is_promptflow(use)], root, explain),
    ]
    verdict = max((reason.verdict for reason in reasons), key=VERDICTS.index, default=VERDICTS[0])
    return FlowAudit(
        path=_relative(path, root),
        kind=survey.kind,
        verdict=verdict,
        reasons=tuple(dict.fromkeys(reason.text for reason in reasons)),
        notes=tuple(_notes(survey, imports)),
        nodes=tuple(survey.nodes()),
        tools=tuple(survey.tools()),
        connections=tuple(survey.connections()),
        variables=tuple(survey.variables()),
        imports=tuple(sorted({str(use) for use in imports if is_promptflow(use)})),
        effort_hours=round(sum(_HOURS[reason.work] for reason in reasons), 1),
    )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _finding_reasons(survey: FlowSurvey, root: Path) -> Iterator[_Reason]:
    """Mistakes in the way of the flow as it stands; those of other variants only ask for changes."""
    if not survey.mistakes:
        return
    as_it_stands = survey_flow(survey.path, every_variant=False).mistakes
    for finding in as_it_stands:
        if finding.code in _UNSUPPORTED:
            yield _Reason(_told(finding, root), "unsupported", "unsupported")
        elif finding.code in _TO_FILL_IN:
            yield _Reason(_told(finding, root), "runs with changes", "fill in")
        else:
            yield _Reason(_told(finding, root), "broken", "mistake")
    for finding in survey.mistakes if not as_it_stands else ():
        yield _Reason(f"in a variant: {_told(finding, root)}", "runs with changes", "mistake")


def _told(finding: Finding, root: Path) -> str:
    file = _relative(Path(finding.file), root) if finding.file else ""
    where = f"{file}:{finding.line}: " if finding.line else f"{file}: " if file else ""
    return f"{where}{finding.message}"


def _tool_reasons(survey: FlowSurvey) -> Iterator[_Reason]:
    for tool in survey.package_tools():
        fate = tool_fate(tool)
        reason = f"{fate.reason} {fate.hint or ''}".strip()
        if fate.state == "retired":
            yield _Reason(reason, "runs with changes", "tool")
        elif fate.state == "unknown":
            yield _Reason(reason, "broken", "mistake")
        elif fate.state == "package" and not _required(survey, tool.partition(".")[0]):
            yield _Reason(reason, "runs with changes", "fill in")


def _import_reasons(uses: Sequence[ImportUse], root: Path, explain: Explain) -> Iterator[_Reason]:
    for use in uses:
        why = None if use.optional else explain(use.module, use.name if use.name and use.name != "*" else None)
        if why is not None:
            yield _Reason(f"{_relative(use.file, root)}:{use.line}: {why}", "runs with changes", "import")


def _notes(survey: FlowSurvey, imports: list[ImportUse]) -> Iterator[str]:
    needed = survey.init_needed()
    if needed:
        yield f"its constructor has to be given {', '.join(needed)}: --init {needed[0]}=…, or init.json of the use case"
    own = frozenset(path.stem for path in survey.path.parent.rglob("*.py")) | frozenset(
        name.partition(".")[0] for name in survey.files.includes
    )
    own |= frozenset(path.name for path in survey.path.parent.rglob("*") if path.is_dir())
    missing = [
        name
        for name in outside_packages(imports, own)
        if name not in _WITH_US
        and not any(_required(survey, called) for called in (name, _INSTALLED_AS.get(name, name)))
    ]
    if missing:
        yield f"imports packages that its requirements do not name: {', '.join(missing)}"


def _required(survey: FlowSurvey, package: str) -> bool:
    """Whether a requirements file of the flow names a package."""
    wanted = re.sub(r"[-_.]+", "-", package).lower()
    for path in survey.path.parent.glob("*requirements*.txt"):
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        names = {re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[@#]", line)[0]).lower() for line in text.splitlines()}
        if wanted in names or any(name.startswith(f"{wanted}-") for name in names):
            return True
    return False
