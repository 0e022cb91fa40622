"""A whole folder audited: its flows, its use cases, the secrets typed into its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from genaiops.audits._discover import find_flows, find_use_cases, walk_files
from genaiops.audits._flow_audit import VERDICTS, FlowAudit, Verdict, audit_flow
from genaiops.audits._imports import Explain, explain_roughly
from genaiops.audits._use_cases import UseCaseAudit, audit_use_case
from genaiops.errors import InputError
from genaiops.flows import find_secrets
from genaiops.records import record

_TEXT = frozenset(
    {".py", ".yaml", ".yml", ".json", ".jsonl", ".jinja2", ".jinja", ".j2", ".md", ".txt", ".sh", ".ps1", ".ipynb",
     ".toml", ".ini", ".cfg", ".conf", ".prompty", ".tf", ".bicep", ".env", ".js", ".ts", ".cs", ".xml", ".sample"}
)  # fmt: skip
_MAX_BYTES = 1_000_000


@record(frozen=True, slots=True)
class SecretAudit:
    """A secret typed into a file; never its value."""

    file: str
    line: int
    kind: str

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {"file": self.file, "line": self.line, "kind": self.kind}


@record(frozen=True, slots=True)
class AuditReport:
    """What an audit found below one folder."""

    root: Path
    flows: tuple[FlowAudit, ...]
    secrets: tuple[SecretAudit, ...]
    use_cases: tuple[UseCaseAudit, ...]

    def counts(self) -> dict[Verdict, int]:
        """How many flows got each verdict."""
        return {verdict: sum(flow.verdict == verdict for flow in self.flows) for verdict in VERDICTS}

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "schema_version": 1,
            "root": str(self.root),
            "flows": [flow.to_json() for flow in self.flows],
            "secrets": [secret.to_json() for secret in self.secrets],
            "use_cases": [case.to_json() for case in self.use_cases],
            "connections": sorted({name for flow in self.flows for name in flow.connections}),
            "variables": sorted({name for flow in self.flows for name in flow.variables}),
            "effort_hours": round(sum(flow.effort_hours for flow in self.flows), 1),
        }


def audit(
    path: str | Path, *, explain: Explain = explain_roughly, on_flow: Callable[[int, int], None] | None = None
) -> AuditReport:
    """Audit a folder, a repository or one flow file. Nothing is imported, run or called.

    Args:
        path: What to look at.
        explain: Says why an import of prompt flow cannot be served; `compat.explain_import` knows best.
        on_flow: Told how many flows are judged, and of how many.

    Raises:
        InputError: There is nothing at `path`.

    Example:
        >>> audit("src").counts()["broken"]
        0
    """
    root = Path(path)
    if not root.exists():
        raise InputError(f"There is nothing at {str(root)!r}.", hint="Name a folder or the file of a flow.")
    base = root if root.is_dir() else root.parent
    files = find_flows(root)
    flows = []
    for number, file in enumerate(files, 1):
        flows.append(audit_flow(file, base, explain=explain))
        if on_flow is not None:
            on_flow(number, len(files))
    return AuditReport(
        root=root,
        flows=tuple(flows),
        secrets=tuple(_secrets(root, base)),
        use_cases=tuple(audit_use_case(file, base) for file in find_use_cases(root)),
    )


def _secrets(root: Path, base: Path) -> Iterator[SecretAudit]:
    for path in walk_files(root):
        # A file called .env is where secrets belong; what is checked in as .env.sample is not.
        if path.name == ".env" or (path.suffix.lower() not in _TEXT and "Dockerfile" not in path.name):
            continue
        try:
            if path.stat().st_size > _MAX_BYTES:
                continue
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        for place in find_secrets(text):
            yield SecretAudit(path.relative_to(base).as_posix(), place.line, place.kind)
