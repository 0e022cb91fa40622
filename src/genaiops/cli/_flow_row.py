"""One row through a flow, from the words of the command line to what a person or a machine reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._check import echo_other_mistakes
from genaiops.cli._flow_options import HOST_OPTIONS, host_settings, read_inputs
from genaiops.cli._flow_outcome import echo_outcome, failed_json, one_row_json
from genaiops.cli._output import echo_error, echo_json, safe, say
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import flow_home, nearby_folders, open_store, use_case_facts
from genaiops.errors import GenaiopsError, InputError, suggest

if TYPE_CHECKING:
    from genaiops.runs import FlowSession
    from genaiops.settings import Settings

_WRONG_INPUTS = ("InputNotFound", "InputTypeError", "InputParseError", "InvalidImageInput", "MissingRequiredInputError")


def run_row(source: str, options: Mapping[str, Any], *, as_json: bool) -> int:
    """Run one row, print it, and return the exit code: 0, 1 for a row that failed, 2 when nothing was started."""
    settings = open_settings(folders=nearby_folders(flow_home(source)))
    try:
        outcome = _run(source, options, settings, as_json=as_json)
    except GenaiopsError as error:
        if as_json:
            echo_json(failed_json(source, error.to_json()))
        echo_error(error)
        echo_other_mistakes(source, error, settings)
        return error.exit_code
    if options["stream"]:
        click.echo(err=as_json)
    if as_json:
        echo_json(one_row_json(source, outcome, outcome.get("metrics") or {}))
    else:
        echo_outcome(outcome, outcome.get("metrics") or {})
    return _exit_code(outcome)


def _exit_code(outcome: Mapping[str, Any]) -> int:
    """0 completed, 1 failed, 2 for inputs that could not be read: then no node has run."""
    if outcome["status"] == "completed":
        return 0
    kind = (outcome.get("error") or {}).get("kind")
    return InputError.exit_code if kind in _WRONG_INPUTS and not outcome.get("nodes") else 1


def _run(source: str, options: Mapping[str, Any], settings: Settings, *, as_json: bool) -> dict[str, Any]:
    from genaiops.runs import FlowRequest, FlowSession

    inputs = read_inputs(options["inputs"], options["inputs_file"])
    words = {key: options[key] for key in HOST_OPTIONS}
    request = FlowRequest(flow=source, **host_settings(**words, use_case=use_case_facts(flow_home(source))))
    store = open_store(settings, flow_home(source))
    on_chunk = (_note_chunk if as_json else _echo_chunk) if options["stream"] else None
    with FlowSession(
        request, settings, store=store, on_log=_echo_print, on_chunk=on_chunk, timeout_s=options["timeout"]
    ) as session:
        _warn(session, inputs, is_node=options["node"] is not None)
        _refuse_missing(session, inputs, is_node=options["node"] is not None)
        return session.run(inputs, node=options["node"])


def _echo_print(text: str) -> None:
    """What the flow's code prints: to standard error, so that standard output holds the result alone."""
    click.echo(text, err=True)


def _echo_chunk(output: str, piece: str) -> None:
    """A piece of the answer, as it comes."""
    click.echo(safe(piece), nl=False)


def _note_chunk(output: str, piece: str) -> None:
    """The same beside a JSON object: standard output holds the object alone."""
    click.echo(safe(piece), nl=False, err=True)


def _warn(session: FlowSession, inputs: Mapping[str, Any], *, is_node: bool) -> None:
    for finding in session.about.get("warnings") or ():
        where = f"{finding['file']}:{finding['line']}: " if finding.get("line") else ""
        hint = f" {finding['hint']}" if finding.get("hint") else ""
        say("warning", f"{where}{finding['message']}{hint}", color="yellow")
    known = session.about.get("inputs") or {}
    if is_node or session.about.get("takes_any"):
        return
    for name in inputs:
        if name not in known:
            say("warning", f"the flow has no input {name!r}. {suggest(name, known)}", color="yellow")


def _refuse_missing(session: FlowSession, inputs: Mapping[str, Any], *, is_node: bool) -> None:
    """Say which inputs are missing before anything runs.

    Raises:
        InputError: Inputs without a default were not given.
    """
    if is_node or (not inputs and session.about.get("has_sample")):
        return
    shape = session.about.get("inputs") or {}
    history = (session.about.get("chat") or (None, None))[1]
    missing = [
        name for name, item in shape.items() if not item["has_default"] and name not in inputs and name != history
    ]
    if missing:
        given = [name for name in inputs if name not in shape]
        raise InputError(
            f"The flow needs {', '.join(map(repr, missing))}, which nobody gave.",
            file=session.about["flow"]["path"],
            hint=suggest(missing[0], given) if given else f"Give --input {missing[0]}=VALUE.",
            kind="InputNotFound",
        )
