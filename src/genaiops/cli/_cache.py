"""`genaiops cache`: what is kept of earlier node results."""

from __future__ import annotations

import click

from genaiops.cli._app import Group
from genaiops.cli._output import echo_json
from genaiops.cli._session import open_settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=Group)
def cache() -> None:
    """See or clear the results of nodes that are kept, so that an unchanged step is not paid for twice.

    \b
    Example:
      genaiops cache info
    """


@cache.command()
@_JSON
def info(as_json: bool) -> None:
    """Say where results are kept, how many, and how much room they take.

    \b
    Example:
      genaiops cache info
    """
    settings = open_settings()
    folder = settings.state / "cache"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size_bytes = sum(path.stat().st_size for path in files)
    if as_json:
        echo_json({"schema_version": 1, "path": str(folder), "size_bytes": size_bytes})
    else:
        click.echo(f"{folder}: {size_bytes / 1e6:.1f} MB")


@cache.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(yes: bool) -> None:
    """Forget every kept result; runs and their records stay.

    \b
    Example:
      genaiops cache clear --yes
    """
    import shutil
    import sys

    settings = open_settings()
    folder = settings.state / "cache"
    if not folder.is_dir():
        click.echo("nothing is kept")
        return
    if not yes and sys.stdin.isatty():
        click.confirm(f"Forget everything in {folder}?", abort=True)
    elif not yes:
        raise click.UsageError("Nobody can be asked here: say --yes.")
    shutil.rmtree(folder)
    click.echo(f"cleared {folder}")
