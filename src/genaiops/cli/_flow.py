"""`genaiops flow`: run, chat with, draw and check one flow."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from genaiops.cli._app import Group
from genaiops.cli._flow_chat import chat
from genaiops.cli._flow_options import SpreadCommand
from genaiops.cli._flow_register import register
from genaiops.cli._flow_run import run
from genaiops.cli._output import assignments, echo_json
from genaiops.plain_text import plural

WRONG_INPUT = 2


@click.group(cls=Group)
def flow() -> None:
    """Run, chat with, draw and check one flow: a folder, a flow file, a .prompty, or module:name.

    \b
    Example:
      genaiops flow run ./web_classification --input url=https://www.youtube.com
    """


flow.add_command(run)
flow.add_command(chat)
flow.add_command(register)


@flow.command()
@click.argument("source", metavar="FLOW")
@click.option("--variant", multiple=True, help="NODE.VARIANT to draw instead of the default.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a Mermaid flowchart.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(source: str, variant: tuple[str, ...], as_mermaid: bool, as_json: bool) -> None:
    """Draw a flow: its inputs, nodes, variants and outputs. Nothing is run.

    \b
    Example:
      genaiops flow show ./web_classification --mermaid
    """
    from genaiops.cli._flow_graph import draw, flow_json, mermaid
    from genaiops.cli._flow_options import chosen_variants
    from genaiops.flows import load_flow

    loaded = load_flow(source, variant=chosen_variants(variant))
    if as_json:
        echo_json(flow_json(loaded))
    elif as_mermaid:
        click.echo(mermaid(loaded))
    else:
        variants = f", variants: {', '.join(loaded.variants)}" if loaded.variants else ""
        click.echo(f"{loaded.name}: {loaded.kind}, {plural(len(loaded.nodes), 'node')}{variants}\n")
        click.echo(draw(loaded, shutil.get_terminal_size((100, 24)).columns))


@flow.command("check", cls=SpreadCommand)
@click.argument("source", metavar="FLOW")
@click.option("--variant", multiple=True, help="NODE.VARIANT that will be chosen.")
@click.option("--data", type=click.Path(path_type=Path), help="A dataset whose columns the mapping is checked against.")
@click.option("--map", "mapping", multiple=True, metavar="INPUT='${data.COLUMN}'", help="Where an input comes from.")
@click.option("--connections/--no-connections", default=True, help="Look whether connections are set up.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check_flow(
    context: click.Context,
    /,
    source: str,
    variant: tuple[str, ...],
    data: Path | None,
    mapping: tuple[str, ...],
    connections: bool,
    as_json: bool,
) -> None:
    """Find every mistake of one flow without running it. Exit code 2 when there is one.

    \b
    Example:
      genaiops flow check ./web_classification --data rows.jsonl --map url='${data.url}'
    """
    from genaiops.cli._check import check_data, check_one_flow, echo_findings
    from genaiops.cli._flow_options import chosen_variants
    from genaiops.cli._session import open_settings
    from genaiops.cli._surroundings import flow_home, nearby_folders

    settings = open_settings(folders=nearby_folders(flow_home(source)))
    chosen = chosen_variants(variant)
    findings = check_one_flow(
        source, settings, with_connections=connections, chosen=chosen if isinstance(chosen, dict) else None
    )
    if data is not None:
        findings += check_data(source, data, assignments(mapping, option="--map"))
    elif mapping:
        raise click.UsageError("--map needs --data FILE.", context)
    if as_json:
        echo_json({"schema_version": 1, "findings": [finding.to_json() for finding in findings]})
    else:
        echo_findings(findings)
    if any(finding.severity == "error" for finding in findings):
        context.exit(WRONG_INPUT)
