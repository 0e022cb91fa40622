"""`genaiops flow chat`: talk with a chat flow in the terminal; piped lines work as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from genaiops.cli._flow_options import SpreadCommand, flow_options, host_settings
from genaiops.cli._output import assignments, note, safe
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import flow_home, nearby_folders, open_store, use_case_facts

_GOODBYES = ("exit", "quit", ":q", "/exit", "/quit")


class ChatInputs(NamedTuple):
    """Which input is the person's message, which is the history, which output is the answer."""

    message: str
    history: str | None
    answer: str | None


@click.command(cls=SpreadCommand)
@click.argument("source", metavar="FLOW")
@click.option("--input", "inputs", multiple=True, metavar="K=V", help="An input that stays the same in every turn.")
@click.option("--verbose", is_flag=True, help="Show every node of every turn.")
@flow_options
@click.pass_context
def chat(context: click.Context, /, source: str, inputs: tuple[str, ...], verbose: bool, **options: Any) -> None:
    """Talk with a chat flow: the history is kept from turn to turn. End with an empty line, `exit`, or Ctrl-D.

    \b
    Example:
      genaiops flow chat ./chat_with_pdf --input pdf_url=https://example.org/paper.pdf
    """
    from genaiops.runs import FlowRequest, FlowSession

    settings = open_settings(folders=nearby_folders(flow_home(source)))
    request = FlowRequest(flow=source, **host_settings(**options, use_case=use_case_facts(flow_home(source))))
    fixed = assignments(inputs, option="--input")
    failed = False
    stream = _Stream() if not verbose else None
    store = open_store(settings, flow_home(source))
    with FlowSession(request, settings, store=store, on_log=note, on_chunk=stream.take if stream else None) as session:
        shape = chat_inputs(session.about)
        if sys.stdin.isatty():
            note(f"{session.about['flow']['name']}: write a message; an empty line ends the conversation")
        history: list[dict[str, Any]] = []
        for message in _messages():
            turn: dict[str, Any] = {**fixed, shape.message: message}
            if shape.history is not None:
                turn[shape.history] = history
            outcome = session.run(turn)
            failed = _echo_turn(outcome, shape, stream) or failed
            if outcome["status"] == "completed":
                history = [*history, *_history_entries(session.about, shape, message, outcome)]
    if failed and not sys.stdin.isatty():
        context.exit(1)


def chat_inputs(about: Mapping[str, Any]) -> ChatInputs:
    """What of a flow is the message, the history and the answer.

    Raises:
        InputError: The flow has no input that could be a message.
    """
    from genaiops.errors import InputError

    if about.get("chat"):
        return ChatInputs(*about["chat"])
    known = dict(about.get("inputs") or {})
    history = next((name for name in known if name == "chat_history"), None)
    others = [name for name in known if name != history]
    guess = next((name for name in ("question", "query", "message", "input", "text") if name in others), None)
    message = others[0] if len(others) == 1 else guess
    if message is None:
        raise InputError(
            f"The flow {about['flow']['name']!r} has no chat input; its inputs are: {', '.join(known) or 'none'}.",
            file=about["flow"]["path"],
            hint="Mark one input with 'is_chat_input: true'.",
        )
    return ChatInputs(message, history, None)


def _messages() -> Iterator[str]:
    """The person's messages, until they end."""
    is_terminal = sys.stdin.isatty()
    while True:
        if is_terminal:
            click.echo("you> ", nl=False, err=True)
        line = sys.stdin.readline()
        message = line.strip()
        if not line or message.lower() in _GOODBYES or (is_terminal and not message):
            return
        if message:
            yield message


def _answer(outcome: Mapping[str, Any], shape: ChatInputs) -> Any:
    outputs = outcome.get("outputs") or {}
    if shape.answer in outputs:
        return outputs[shape.answer]
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


class _Stream:
    """Prints an answer while it comes."""

    def __init__(self) -> None:
        self.has_begun = False

    def take(self, output: str, piece: str) -> None:
        """One piece of the answer."""
        self.has_begun = self.has_begun or bool(piece)
        click.echo(safe(piece), nl=False)

    def ended(self) -> bool:
        """Whether anything was printed since the last answer; ends its line."""
        began, self.has_begun = self.has_begun, False
        if began:
            click.echo()
        return began


def _echo_turn(outcome: Mapping[str, Any], shape: ChatInputs, stream: _Stream | None) -> bool:
    """Print one answer, or every node without a stream; says whether the turn failed."""
    from genaiops.cli._flow_outcome import echo_outcome, error_lines
    from genaiops.cli._output import one_line

    if stream is None:
        echo_outcome(outcome, {})
        return bool(outcome["status"] != "completed")
    is_told = stream.ended()
    if outcome["status"] != "completed":
        for line in error_lines(outcome["error"]):
            click.echo(line, err=True)
        return True
    if not is_told:
        answer = _answer(outcome, shape)
        click.echo(safe(answer) if isinstance(answer, str) else one_line(answer, 10_000))
    return False


def _history_entries(
    about: Mapping[str, Any], shape: ChatInputs, message: str, outcome: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One turn of the history: graphs keep inputs and outputs, other flows keep roles."""
    answer = _answer(outcome, shape)
    if about["flow"]["kind"] == "graph":
        return [{"inputs": {shape.message: message}, "outputs": {shape.answer or "answer": answer}}]
    content = answer if isinstance(answer, str) else str(answer)
    return [{"role": "user", "content": message}, {"role": "assistant", "content": content}]
