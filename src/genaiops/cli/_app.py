"""The root command: a table of commands, each imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from genaiops import __version__
from genaiops.cli._table_of_commands import CommandEntry, commands


class LazyApp(click.Group):
    """A group whose commands are known by name and imported on use."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._entries = commands()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the life cycle."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        entry = self._entries.get(cmd_name)
        return None if entry is None else _import_command(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of this name."""
        name = args[0]
        if name not in self._entries and not name.startswith("-"):
            from genaiops.errors import suggest

            raise click.UsageError(f"No such command {name!r}. {suggest(name, self._entries)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a stage, drawn from the table alone."""
        width = max(map(len, self._entries), default=0)
        for stage in dict.fromkeys(entry.stage for entry in self._entries.values()):
            rows = [(e.name.ljust(width), e.summary) for e in self._entries.values() if e.stage == stage]
            with formatter.section(stage):
                formatter.write_dl(rows)


class Group(click.Group):
    """A group that names the nearest command when there is none of this name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with our words for an unknown command."""
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            from genaiops.errors import suggest

            raise click.UsageError(f"No such command {ctx.command_path} {name!r}. {suggest(name, self.commands)}", ctx)
        return super().resolve_command(ctx, args)


def _import_command(entry: CommandEntry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


@click.command(
    cls=LazyApp,
    name="genaiops",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every command has --help with an example; --debug shows where an error comes from.",
)
@click.version_option(__version__, prog_name="genaiops")
def app() -> None:
    """The life cycle of a GenAI application: check, try, experiment, judge, ship.

    Runs prompt flow's flows as they stand, without the promptflow packages.

    \b
    Example:
      genaiops flow run ./my_flow --input question="What is 1 + 1?"
    """
