"""`genaiops audit`: what an existing repository of flows needs to run here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genaiops.cli._output import echo_json, note, table
from genaiops.cli._progress import Progress
from genaiops.cli._session import open_settings
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.audits import AuditReport


@click.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write a page for a wiki or a pull request."
)
def audit(path: Path, as_json: bool, markdown: Path | None) -> None:
    """Look through a folder or repository of prompt flow flows: what runs here unchanged, what does not, and why.

    Nothing is imported, run or called.

    \b
    Example:
      genaiops audit . --markdown audit.md
    """
    from genaiops.audits import audit as audit_folder
    from genaiops.audits import audit_markdown
    from genaiops.compat import explain_import

    settings = open_settings()
    with Progress("flows", settings) as progress:
        report = audit_folder(path, explain=explain_import, on_flow=progress.at)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(audit_markdown(report), encoding="utf-8")
        note(f"wrote {markdown}")
    if as_json:
        echo_json(report.to_json())
    else:
        _echo_report(report)


def _echo_report(report: AuditReport) -> None:
    if report.flows:
        rows = [
            (
                flow.path,
                flow.kind,
                flow.verdict,
                str(len(flow.nodes)),
                ", ".join(flow.connections),
                f"{flow.effort_hours:g}",
            )
            for flow in report.flows
        ]
        table(("flow", "kind", "verdict", "nodes", "connections", "hours"), rows)
    for flow in report.flows:
        if flow.reasons or flow.notes:
            click.echo(f"\n{flow.path}: {flow.verdict}")
            for reason in flow.reasons:
                click.echo(f"  - {reason}")
            for remark in flow.notes:
                click.echo(f"  note: {remark}")
    if report.use_cases:
        click.echo()
        rows_of_cases = [
            (case.path, case.flow or case.problem or "", ", ".join(case.datasets), ", ".join(case.evaluators))
            for case in report.use_cases
        ]
        table(("use case", "flow", "datasets", "evaluators"), rows_of_cases)
    if report.secrets:
        click.echo("\nsecrets typed into files (take them out, and change them where they were made):")
        for secret in report.secrets:
            click.echo(f"  {secret.file}:{secret.line}: {secret.kind}")
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts().items() if number)
    click.echo(
        f"\n{plural(len(report.flows), 'flow')}: {counts or 'none'}; {plural(len(report.secrets), 'secret')} in files"
    )
