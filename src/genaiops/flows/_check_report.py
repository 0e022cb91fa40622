"""Where the checks put what they find, and how they look for a flow's files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from genaiops.errors import GenaiopsError, suggest
from genaiops.flows._model import Finding, Severity
from genaiops.flows._sources import files_named
from genaiops.records import record

_NOTHING = suggest("", ())


@dataclass(slots=True)
class Report:
    """Findings so far; the same finding is kept once."""

    findings: list[Finding] = field(default_factory=list)

    def error(
        self,
        code: str,
        message: str,
        *,
        file: Path,
        line: int | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        """Add a mistake: the flow cannot run as it is."""
        self._add("error", code, message, file, line, hint, node)

    def warning(
        self,
        code: str,
        message: str,
        *,
        file: Path,
        line: int | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        """Add a doubt: the flow runs, but perhaps not as meant."""
        self._add("warning", code, message, file, line, hint, node)

    def raised(self, error: GenaiopsError, *, file: Path) -> None:
        """Add what a loader raised."""
        place = Path(error.file) if error.file else file
        self._add("error", error.kind, error.message, place, error.line, error.hint, error.node)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what somebody else found, unless something is said about that line already."""
        taken = {(finding.file, finding.line, finding.severity) for finding in self.findings}
        self.findings += [f for f in findings if (f.file, f.line, f.severity) not in taken]

    @property
    def has_errors(self) -> bool:
        """Whether any mistake was found."""
        return any(finding.severity == "error" for finding in self.findings)

    def sorted(self) -> list[Finding]:
        """Mistakes first, then by place."""
        return sorted(self.findings, key=lambda f: (f.severity != "error", f.file or "", f.line or 0))

    def _add(
        self,
        severity: Severity,
        code: str,
        message: str,
        file: Path,
        line: int | None,
        hint: str | None,
        node: str | None,
    ) -> None:
        # That there is nothing to choose from helps nobody.
        hint = None if hint == _NOTHING else hint or None
        found = Finding(severity=severity, code=code, message=message, file=str(file), line=line, hint=hint, node=node)
        # Two nodes that share a file share its mistakes.
        if not any(_says_the_same(found, known) for known in self.findings):
            self.findings.append(found)


def _says_the_same(one: Finding, other: Finding) -> bool:
    return (one.file, one.line, one.code, one.message) == (other.file, other.line, other.code, other.message)


@record(frozen=True, slots=True)
class FlowFiles:
    """The files of a flow: its own folder, and what `additional_includes` lays over it.

    Args:
        home: The folder that paths in the flow file start from.
        includes: Included files and folders, by the name they get at the top of the merged folder.
    """

    home: Path
    includes: Mapping[str, Path] = field(default_factory=dict)

    def find(self, relative: str) -> Path | None:
        """The file a flow means by this path, or None when there is none."""
        parts = PurePosixPath(relative.replace("\\", "/")).parts
        if parts and parts[0] in self.includes:
            included = Path(os.path.normpath(self.includes[parts[0]].joinpath(*parts[1:])))
            if included.exists():
                return included
        own = self.home / relative
        return own if own.exists() else None

    def names(self, suffix: str) -> list[str]:
        """Files of one suffix, as a flow would name them; for hints."""
        return files_named(self.home, suffix) + [name for name in self.includes if name.endswith(suffix)]
