"""`genaiops pf`: prompt flow's own commands, for scripts that use them."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import click

from genaiops.cli._app import Group
from genaiops.cli._output import assignments, echo_json
from genaiops.cli._pf_words import PfGroup, common_options


def _echo_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from genaiops import __version__
    from genaiops.compat import VERSION

    echo_json({"genaiops": __version__, "promptflow": VERSION, "python": sys.version.split()[0]})
    context.exit()


class _Pf(PfGroup):
    gone: ClassVar = {
        "service": "nothing runs in the background.",
        "trace": "the spans of a run stand in its traces.jsonl, and `genaiops pf run delete` takes them away with it.",
        "upgrade": "upgrade with pip install --upgrade genaiops.",
        "tool": "packages of tools are found by their entry points; see `genaiops audit` for those that a flow needs.",
        "experiment": "genaiops run runs a use case's experiment.",
    }


@click.group(cls=_Pf)
@click.option(
    "-v", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_echo_version,
    help="Print versions: ours, and that of prompt flow whose interface is served.",
)  # fmt: skip
def pf() -> None:
    """Prompt flow's own commands, with the same options and output files. What is stricter here stands in
    docs/reference/pf-commands.md.

    \b
    Example:
      genaiops pf flow test --flow ./web_classification --inputs url=https://www.youtube.com
    """


@pf.group(cls=Group)
def config() -> None:
    """Set and show settings.

    \b
    Example:
      genaiops pf config show
    """


@config.command("set")
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE…")
@click.option("--path", type=click.Path(file_okay=False), help="The folder of the settings file.")
@common_options
def config_set(pairs: tuple[str, ...], path: str | None) -> None:
    """Keep settings. run.output_path says where `pf run create` writes a run's files; others have no effect here.

    \b
    Example:
      genaiops pf config set run.output_path=./runs
    """
    configuration = _configuration(path)
    given: dict[str, Any] = assignments(pairs, option="config set")
    for key, value in given.items():
        known = configuration.set_config(key, value)
        if known is not None:
            click.echo(f"note: {key} has no effect here: {known}", err=True)
    click.echo(f"Set config {[given]} successfully.")


@config.command("show")
@common_options
def config_show() -> None:
    """Print the settings as JSON.

    \b
    Example:
      genaiops pf config show
    """
    echo_json(_configuration(None).get_all())


def _configuration(path: str | None) -> Any:
    from pathlib import Path

    from genaiops.cli._session import open_settings
    from genaiops.compat import Configuration

    return Configuration(Path(path) if path else open_settings().state)


def _add_groups() -> None:
    from genaiops.cli._pf_connection import connection
    from genaiops.cli._pf_flow import flow
    from genaiops.cli._pf_run import run

    for group in (flow, run, connection):
        pf.add_command(group)


_add_groups()
