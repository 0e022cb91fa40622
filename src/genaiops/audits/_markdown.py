"""An audit as a Markdown page, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterator

from genaiops.audits._audit import AuditReport
from genaiops.audits._flow_audit import VERDICTS

_MEANING = {
    "runs": "as it stands",
    "runs with changes": "after the changes named below",
    "broken": "prompt flow refuses it too, or every row fails",
    "unsupported": "nothing here runs it",
}


def audit_markdown(report: AuditReport) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: AuditReport) -> Iterator[str]:
    counts = report.counts()
    yield f"# Audit of `{report.root}`"
    yield ""
    yield from _table(
        ("verdict", "flows", "meaning"), [(verdict, str(counts[verdict]), _MEANING[verdict]) for verdict in VERDICTS]
    )
    yield ""
    hours = sum(flow.effort_hours for flow in report.flows)
    yield f"Estimated work until all run: {hours:.1f} h."
    if report.flows:
        yield ""
        yield "## Flows"
        yield ""
        yield from _table(
            ("flow", "kind", "verdict", "nodes", "connections", "variables", "hours"),
            [
                (
                    f"`{flow.path}`",
                    flow.kind,
                    flow.verdict,
                    str(len(flow.nodes)),
                    ", ".join(flow.connections),
                    ", ".join(flow.variables),
                    f"{flow.effort_hours:g}",
                )
                for flow in report.flows
            ],
        )
    for flow in report.flows:
        if flow.reasons or flow.notes:
            yield ""
            yield f"### `{flow.path}`: {flow.verdict}"
            yield ""
            yield from (f"- {_escape(reason)}" for reason in flow.reasons)
            yield from (f"- Note: {_escape(note)}" for note in flow.notes)
    if report.use_cases:
        yield ""
        yield "## Use cases"
        yield ""
        yield from _table(
            ("folder", "flow", "datasets", "evaluators", "environments"),
            [
                (
                    f"`{case.path}`",
                    case.flow or case.problem or "",
                    ", ".join(case.datasets),
                    ", ".join(case.evaluators),
                    ", ".join(case.environments),
                )
                for case in report.use_cases
            ],
        )
    yield ""
    yield "## Secrets typed into files"
    yield ""
    if report.secrets:
        yield from _table(
            ("file", "line", "kind"), [(f"`{secret.file}`", str(secret.line), secret.kind) for secret in report.secrets]
        )
    else:
        yield "None found."


def _table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{' --- |' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(_escape(cell) for cell in row)} |"


def _escape(text: str) -> str:
    """Text from users' files must not break out of the table, nor become HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
