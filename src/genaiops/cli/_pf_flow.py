"""`genaiops pf flow`: init, test, validate, build, serve and save one flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from genaiops.cli._output import assignments, echo_json, note
from genaiops.cli._paths import ExistingPath
from genaiops.cli._pf_words import (
    ManyWords,
    PfGroup,
    common_options,
    echo_value,
    ignored_option,
    model_call_options,
    model_options,
    pairs_or_file,
    surroundings,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genaiops.errors import GenaiopsError


class _Flow(PfGroup):
    gone: ClassVar = {"export": "`pf flow build --format docker` makes the image."}


@click.group(cls=_Flow)
def flow() -> None:
    """Work with one flow.

    \b
    Example:
      genaiops pf flow validate --source ./web_classification
    """


@flow.command(cls=ManyWords)
@click.option("--flow", "source", required=True, help="The flow: a folder, a flow file, a .prompty, or module:name.")
@click.option("--node", help="Run this node alone.")
@click.option("--variant", help="${NODE.VARIANT} instead of the default.")
@click.option("--interactive", is_flag=True, help="Talk with a chat flow in the terminal.")
@click.option("--inputs", "inputs", multiple=True, metavar="K=V…|FILE", help="Inputs, or a .json or .jsonl file.")
@click.option("--environment-variables", "environment", multiple=True, metavar="K=V…|FILE", help="For the flow.")
@click.option("--init", multiple=True, metavar="K=V…|FILE", help="Constructor arguments of a class flow.")
@click.option("--detail", type=click.Path(path_type=Path, file_okay=False), help="The folder of the files it writes.")
@click.option("--ui", is_flag=True, help="Not offered; serve the flow and use its page.")
@ignored_option("--collection", what="traces are spans of the flow itself")
@ignored_option("--multi-modal", is_flag=True, what="images work without it")
@ignored_option("--skip-open-browser", is_flag=True, what="no browser is opened")
@ignored_option("--url-params", what="there is no page")
@ignored_option("--config", what="set environment variables instead")
@model_call_options
@common_options
@click.pass_context
def test(
    context: click.Context,
    source: str,
    node: str | None,
    variant: str | None,
    interactive: bool,
    inputs: tuple[str, ...],
    environment: tuple[str, ...],
    init: tuple[str, ...],
    detail: Path | None,
    ui: bool,
    model_calls: str | None,
    recording: Path | None,
) -> None:
    """Run one row and print its outputs. Writes flow.detail.json and the like into .promptflow beside the flow.

    \b
    Example:
      genaiops pf flow test --flow ./web_classification --inputs url=https://www.youtube.com
    """
    from genaiops.compat import run_flow_test
    from genaiops.runs import FlowRequest

    if ui:
        raise click.UsageError("There is no chat window here; `genaiops serve` has a page to try the flow.", context)
    if interactive:
        _chat(context, source, variant, inputs, environment, init)
        return
    settings, store = surroundings(source)
    request = FlowRequest(
        flow=source,
        variant=variant,
        init=pairs_or_file(init, option="--init") or None,
        environment_variables=variables(environment),
        **model_options(source, model_calls, recording),
    )
    given = pairs_or_file(inputs, option="--inputs")
    tested = run_flow_test(request, given, settings, store, node=node, detail=detail, on_log=note)
    if tested.error is not None:
        raise _as_error(tested.error)
    echo_value(tested.output)


def _chat(
    context: click.Context,
    source: str,
    variant: str | None,
    inputs: Sequence[str],
    environment: Sequence[str],
    init: Sequence[str],
) -> None:
    from genaiops.cli._flow_chat import chat

    words = [source, *(["--variant", variant] if variant else [])]
    for option, values in (("--input", inputs), ("--env", environment), ("--init", init)):
        words += [word for value in values for word in (option, value)]
    _run_command(context, chat, words)


def _as_error(error: Mapping[str, Any]) -> GenaiopsError:
    from genaiops.errors import InputError, RowError

    known = {key: error.get(key) for key in ("file", "line", "node", "hint", "kind", "type")}
    kinds = ("InputNotFound", "InputTypeError", "InputParseError")
    return (InputError if error.get("kind") in kinds and not error.get("node") else RowError)(error["message"], **known)


@flow.command()
@click.option("--source", required=True, type=ExistingPath(), help="The flow.")
@common_options
@click.pass_context
def validate(context: click.Context, source: Path) -> None:
    """Print every mistake that can be known without running the flow, as JSON. Exit code 1 when there is one.

    \b
    Example:
      genaiops pf flow validate --source ./web_classification
    """
    from genaiops.compat import PFClient

    result = PFClient().flows.validate(source)
    echo_json(result._to_dict())
    if not result.passed:
        context.exit(1)


@flow.command(cls=ManyWords)
@click.option("--flow", "folder", required=True, type=click.Path(path_type=Path), help="The folder to make.")
@click.option("--type", "kind", type=click.Choice(["standard", "evaluation", "chat"]), default="standard")
@click.option("--entry", type=click.Path(path_type=Path), help="A Python file with the function of the flow.")
@click.option("--function", help="The function's name.")
@click.option("--prompt-template", "templates", multiple=True, metavar="PARAMETER=FILE…", help="Jinja templates.")
@click.option("--connection", default="open_ai_connection", show_default=True, help="Of a chat flow.")
@click.option("--deployment", default="gpt-4o-mini", show_default=True, help="Of a chat flow.")
@ignored_option("--yes", "-y", "--assume-yes", is_flag=True, what="files that exist are never overwritten")
@common_options
def init(
    folder: Path,
    kind: Any,
    entry: Path | None,
    function: str | None,
    templates: tuple[str, ...],
    connection: str,
    deployment: str,
) -> None:
    """Make a flow folder: a starter, or with --entry and --function a flow around a function.

    \b
    Example:
      genaiops pf flow init --flow my_chat --type chat
    """
    from genaiops.compat import init_flow, init_flow_for_function

    if (entry is None) != (function is None):
        raise click.UsageError("--entry and --function belong together.")
    if entry is not None and function is not None:
        chosen = {key: Path(value) for key, value in assignments(templates, option="--prompt-template").items()}
        written = init_flow_for_function(folder, entry=entry, function=function, templates=chosen)
    else:
        written = init_flow(folder, kind=kind, connection=connection, deployment=deployment)
    for path in written:
        click.echo(f"Creating {path}...")
    click.echo(f"Done. Test it with: genaiops pf flow test --flow {folder}")


@flow.command()
@click.option("--entry", required=True, help="module:name of a function or a class.")
@click.option("--code", type=click.Path(path_type=Path), help="The folder of the code.  [default: this folder]")
@click.option("--path", type=click.Path(path_type=Path), help="A new folder for code and flow file.")
@common_options
def save(entry: str, code: Path | None, path: Path | None) -> None:
    """Write flow.flex.yaml for a function or a class, with its signature.

    \b
    Example:
      genaiops pf flow save --entry app:ask --code ./app
    """
    from genaiops.compat import save_flow

    click.echo(f"Saved flow to {save_flow(entry, code=code, path=path).parent}.")


@flow.command(cls=ManyWords)
@click.option("--source", required=True, help="The flow.")
@click.option("--port", default=8080, show_default=True)
@click.option("--host", default="localhost", show_default=True)
@click.option("--environment-variables", "environment", multiple=True, metavar="K=V…", help="For the flow.")
@click.option("--init", multiple=True, metavar="K=V…", help="Constructor arguments of a class flow.")
@ignored_option("--engine", what="there is one server")
@ignored_option("--skip-open-browser", is_flag=True, what="no browser is opened")
@ignored_option("--static_folder", what="the server has a page of its own")
@ignored_option("--config", what="set environment variables instead")
@common_options
@click.pass_context
def serve(
    context: click.Context, source: str, port: int, host: str, environment: tuple[str, ...], init: tuple[str, ...]
) -> None:
    """Answer requests for a flow over HTTP: /score, /health, /swagger.json, /feedback. Same as `genaiops serve`.

    \b
    Example:
      genaiops pf flow serve --source ./web_classification --port 8080
    """
    command = _lazily("genaiops.cli._serve", "serve", "serving flows")
    words = [source, "--port", str(port), "--host", "127.0.0.1" if host == "localhost" else host]
    for option, values in (("--env", environment), ("--init", init)):
        words += [word for value in values for word in (option, value)]
    _run_command(context, command, words)


@flow.command()
@click.option("--source", required=True, type=click.Path(exists=True), help="The flow.")
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="The folder to write.")
@click.option("--format", "-f", "form", type=click.Choice(["docker", "executable"]), default="docker")
@click.option("--variant", "-v", help="${NODE.VARIANT} that is shipped.")
@common_options
@click.pass_context
def build(context: click.Context, source: str, output: str, form: str, variant: str | None) -> None:
    """Package a flow as a container image, without Docker. Same as `genaiops build`; a Dockerfile stands in the output.

    \b
    Example:
      genaiops pf flow build --source ./web_classification --output dist --format docker
    """
    if form == "executable":
        raise click.UsageError("An executable is not offered; build an image with --format docker.", context)
    command = _lazily("genaiops.cli._build", "build", "packaging flows")
    words = [source, "--output", output, "--no-test", *(["--variant", variant] if variant else [])]
    _run_command(context, command, words)


def _lazily(module: str, name: str, purpose: str) -> click.Command:
    from importlib import import_module

    try:
        command = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"This installation is without {purpose} ({error.name}).") from error
    assert isinstance(command, click.Command)
    return command


def _run_command(context: click.Context, command: click.Command, words: list[str]) -> None:
    """Run a command of ours with words of its own, as part of this command line."""
    with command.make_context(command.name, words, parent=context) as inner:
        command.invoke(inner)
