"""Options that the flow commands share, and how their words become values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from genaiops.cli._output import assignments, note, say
from genaiops.cli._paths import meant_path
from genaiops.cli._surroundings import MODEL_CALLS, UseCaseFacts
from genaiops.plain_text import plural

_VARIANT = re.compile(r"[\"']?\$?\{?(?P<node>[^.{}\"']+)\.(?P<variant>[^{}\"']+)\}?[\"']?")
HOST_OPTIONS = (
    "variant",
    "init",
    "connections",
    "env",
    "model_calls",
    "recording",
    "no_cache",
    "environment",
    "engine_imports",
)
_Wrapped = TypeVar("_Wrapped", bound=Callable[..., Any])


class SpreadCommand(click.Command):
    """A command whose `NAME=VALUE` options take several words after one option: `--map a=1 b=2`."""

    spread: Sequence[str] = ("--input", "--map", "--init", "--env", "--connections", "--set")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further word that has an `=`."""
        words: list[str] = []
        option: str | None = None
        for number, word in enumerate(args):
            if word == "--":
                words += args[number:]
                break
            if word.startswith("-"):
                option = word if word in self.spread else None
            elif option is not None and words[-1] != option:
                if "=" in word:
                    words.append(option)
                else:
                    option = None
            words.append(word)
        return super().parse_args(ctx, words)


def _tell_engine_imports(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Say which one is used, when somebody asked for one."""
    if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE:
        from genaiops.compat import engine_imports

        found = engine_imports("own")["version"]
        here = f"promptflow {found} is installed here" if found else "promptflow is not installed here"
        who = "the promptflow of the flow's environment" if value == "installed" else "genaiops"
        click.echo(f"imports of promptflow are answered by {who}; {here}", err=True)
    return value


def flow_options(command: _Wrapped) -> _Wrapped:
    """Options that decide how a flow's host is set up."""
    options = [
        click.option("--variant", multiple=True, help="NODE.VARIANT, or a bare variant. Repeatable for several nodes."),
        click.option("--init", multiple=True, metavar="K=V|FILE", help="Constructor argument of a class flow."),
        click.option(
            "--connections", multiple=True, metavar="NODE.KEY=V", help="Another connection or deployment for a node."
        ),
        click.option("--env", multiple=True, metavar="K=V|FILE", help="Environment variable for the flow."),
        click.option(
            "--model-calls",
            type=click.Choice(MODEL_CALLS),
            help="Call models, call and record them, or answer from a recording. By default as the use case says, "
            "or live.",
        ),
        click.option("--recording", type=click.Path(path_type=Path, dir_okay=False), help="The recording's file."),
        click.option("--no-cache", is_flag=True, help="Run every node, whatever is kept of earlier runs."),
        click.option(
            "--environment",
            default="auto",
            show_default=True,
            metavar="current|auto|PATH",
            help="This Python, one built for the flow's requirements when they are not met here, or the one at PATH.",
        ),
        click.option(
            "--engine-imports",
            type=click.Choice(["auto", "own", "installed"]),
            default="auto",
            show_default=True,
            callback=_tell_engine_imports,
            help="Who answers 'import promptflow' in flow code: genaiops, or the installed promptflow. Says which.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def host_settings(
    *,
    variant: tuple[str, ...],
    init: tuple[str, ...],
    connections: tuple[str, ...],
    env: tuple[str, ...],
    model_calls: str | None,
    recording: Path | None,
    no_cache: bool,
    environment: str,
    engine_imports: str,
    use_case: UseCaseFacts = UseCaseFacts(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """The words of `flow_options` as fields of a `FlowRequest`; what they leave open, the use case says."""
    if model_calls is None and recording is None and use_case.model_calls is not None:
        model_calls, recording = use_case.model_calls, use_case.recording
        if model_calls != "live":
            note(f"model calls: {model_calls}, {recording} (said by {use_case.file})")
    model_calls = model_calls or "live"
    if model_calls != "live" and recording is None:
        raise click.UsageError(f"--model-calls {model_calls} needs --recording FILE.")
    return {
        "variant": chosen_variants(variant),
        "init": mapping_or_file(init, option="--init") or None,
        "connections": assignments(connections, option="--connections"),
        "environment_variables": variables(env),
        "model_calls": model_calls,
        "recording": recording,
        "keep": not no_cache,
        "environment": environment,
        "imports": engine_imports,
    }


def chosen_variants(words: Sequence[str]) -> str | dict[str, str] | None:
    """`--variant` words: one bare variant as it is, `node.variant` words as node to variant.

    >>> chosen_variants(["${ask.one}", "judge.strict"])
    {'ask': 'one', 'judge': 'strict'}
    """
    if not words:
        return None
    if len(words) == 1 and not _VARIANT.fullmatch(words[0]):
        return words[0]
    found: dict[str, str] = {}
    for word in words:
        match = _VARIANT.fullmatch(word)
        if match is None:
            raise click.UsageError(f"--variant expects NODE.VARIANT when it is given several times, found {word!r}.")
        found[match["node"]] = match["variant"]
    return found


def mapping_or_file(words: Sequence[str], *, option: str) -> dict[str, Any]:
    """`K=V` words, or one JSON file."""
    if len(words) == 1 and "=" not in words[0]:
        return read_object(Path(words[0]), option=option)
    return dict(assignments(words, option=option))


def variables(words: Sequence[str]) -> dict[str, str]:
    """`K=V` words and `.env` files; a later word wins."""
    from genaiops.settings import read_dotenv

    found: dict[str, str] = {}
    for word in words:
        if "=" in word:
            found |= assignments([word], option="--env")
        elif Path(word).is_file():
            found |= read_dotenv(Path(word))
        else:
            raise click.UsageError(f"--env expects NAME=VALUE or a file, found {word!r}.")
    return found


def read_inputs(words: Sequence[str], file: Path | None) -> dict[str, Any]:
    """The inputs of one row: a file's, with those of the command line over them."""
    inputs = read_object(file, option="--inputs") if file is not None else {}
    return {**inputs, **assignments(words, option="--input")}


def read_object(path: Path, *, option: str) -> dict[str, Any]:
    """The object of a JSON file, or of the first line of a JSON Lines file; says so when there are more.

    Raises:
        DataError: The file does not exist, or does not hold an object.
    """
    from genaiops.errors import DataError

    if not path.is_file():
        hint = meant_path(path) or "Name a .json or .jsonl file."
        raise DataError(f"{option}: there is no file {str(path)!r}.", hint=hint)
    text = path.read_text(encoding="utf-8-sig")
    rows = 1
    if path.suffix.lower() == ".jsonl":
        lines = [line for line in text.split("\n") if line.strip()]
        text, rows = "".join(lines[:1]), len(lines)
    try:
        value = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise DataError(f"{option}: this is not valid JSON: {error}.", file=path, line=line) from error
    if isinstance(value, list) and value:
        value, rows = value[0], len(value)
    if rows > 1:
        say("warning", f"{path} holds {plural(rows, 'row')}; only the first is used.", color="yellow")
    if not isinstance(value, Mapping):
        raise DataError(f"{option}: expected a JSON object, found {type(value).__name__}.", file=path, line=1)
    return dict(value)
