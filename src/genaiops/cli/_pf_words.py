"""How the words of `pf` commands become values: options that take several words, files or `NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from genaiops.cli._app import Group
from genaiops.cli._output import assignments

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.settings import Settings

_Wrapped = TypeVar("_Wrapped", bound=Callable[..., Any])


class PfGroup(Group):
    """A group that knows which of prompt flow's commands have no counterpart, and why."""

    gone: ClassVar[Mapping[str, str]] = {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what to use instead of a command that is gone."""
        if args[0] in self.gone:
            raise click.UsageError(f"{ctx.command_path} {args[0]} is not needed here: {self.gone[args[0]]}", ctx)
        return super().resolve_command(ctx, args)


class ManyWords(click.Command):
    """A command whose options of several words take all that follow: `--inputs a=1 b=2`.

    As in prompt flow, the beginning of an option's name is enough (`--env` for `--environment-variables`), and an
    option of several words may be followed by none.
    """

    many: Sequence[str] = (
        "--inputs",
        "--init",
        "--environment-variables",
        "--connections",
        "--column-mapping",
        "--set",
        "--prompt-template",
    )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words."""
        words: list[str] = []
        option: str | None = None
        for word in map(self._full_name, args):
            if word.startswith("-") and not word.lstrip("-")[:1].isdigit():
                option = word if word in self.many else None
                if option is None:
                    words.append(word)
            elif option is not None:
                words += [option, word]
            else:
                words.append(word)
        return super().parse_args(ctx, words)

    def _full_name(self, word: str) -> str:
        """An option by its whole name, when only one begins like this."""
        name, equals, value = word.partition("=")
        known = [option for parameter in self.params for option in parameter.opts if option.startswith("--")]
        meant = [option for option in known if option.startswith(name)]
        is_short = name.startswith("--") and len(name) > len("--") and name not in known
        return f"{meant[0]}{equals}{value}" if is_short and len(meant) == 1 else word


def common_options(command: _Wrapped) -> _Wrapped:
    """Options that every `pf` command has; `--debug` is taken by genaiops itself."""
    for option in (
        click.option("--verbose", is_flag=True, expose_value=False, help="Accepted and without effect."),
        click.option("-d", "short_debug", is_flag=True, expose_value=False, help="Accepted; --debug shows tracebacks."),
    ):
        command = option(command)
    return command


def ignored_option(*names: str, what: str, **attributes: Any) -> Callable[[_Wrapped], _Wrapped]:
    """An option that scripts give and that means nothing here: it is accepted, and a note says why."""

    def note_it(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False, ()):
            click.echo(f"note: {parameter.opts[0]} is ignored: {what}", err=True)

    return click.option(*names, callback=note_it, expose_value=False, help=f"Ignored: {what}.", **attributes)


def pairs_or_file(words: Sequence[str], *, option: str) -> dict[str, Any]:
    """`NAME=VALUE` words, or the path of one JSON or JSON Lines file."""
    from genaiops.compat import read_inputs

    if len(words) == 1 and ("=" not in words[0] or Path(words[0]).is_file()):
        return read_inputs(words[0])
    return dict(assignments(words, option=option))


def variables(words: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` words and `.env` files; a later word wins."""
    from genaiops.compat import read_environment_variables

    found: dict[str, Any] = {}
    for word in words:
        if "=" in word and not Path(word).is_file():
            found |= assignments([word], option="--environment-variables")
        elif Path(word).is_file():
            found |= read_environment_variables(word)
        else:
            raise click.UsageError(f"--environment-variables expects NAME=VALUE or a .env file, found {word!r}.")
    return found


def surroundings(flow: object) -> tuple[Settings, ConnectionStore]:
    """Settings and connections for a flow."""
    from genaiops.cli._session import open_settings
    from genaiops.cli._surroundings import flow_home, nearby_folders, open_store

    home = flow_home(flow) if isinstance(flow, (str, Path)) else None
    settings = open_settings(folders=nearby_folders(home))
    return settings, open_store(settings, home)


def model_options(flow: object, model_calls: str | None, recording: Path | None) -> dict[str, Any]:
    """How models are called: as the command line says, else as the use case around the flow says."""
    from genaiops.cli._surroundings import flow_home, use_case_facts

    facts = use_case_facts(flow_home(flow) if isinstance(flow, (str, Path)) else None)
    mode = model_calls or facts.model_calls or "live"
    file = recording or facts.recording
    if mode != "live" and file is None:
        raise click.UsageError(f"--model-calls {mode} needs --recording FILE.")
    return {"model_calls": mode, "recording": file if mode != "live" else None}


def model_call_options(command: _Wrapped) -> _Wrapped:
    """Options of ours beside those of prompt flow."""
    for option in (
        click.option(
            "--recording", type=click.Path(path_type=Path, dir_okay=False), help="The recording's file. (genaiops)"
        ),
        click.option(
            "--model-calls",
            type=click.Choice(["live", "record", "replay"]),
            help="Call models, call and record them, or answer from a recording. (genaiops)",
        ),
    ):
        command = option(command)
    return command


def echo_value(value: object) -> None:
    """A text as it is, anything else as JSON."""
    from genaiops.cli._output import echo_json

    if isinstance(value, str):
        click.echo(value)
    else:
        echo_json(value)


def nested(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings: `tags.a=b` is `{"tags": {"a": "b"}}`."""
    from genaiops.compat import set_dotted

    form: dict[str, Any] = {}
    for name, value in pairs.items():
        set_dotted(form, name, value)
    return form


def confirmed(question: str, *, yes: bool) -> None:
    """Ask a person; without a terminal there is nobody to ask.

    Raises:
        click.UsageError: Nobody can be asked and nobody said yes before.
        click.Abort: The person said no.
    """
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here; add --yes to do it.")
    click.confirm(question, abort=True, err=True)
