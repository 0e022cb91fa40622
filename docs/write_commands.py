"""Writes docs/reference/commands.md from the commands themselves, so that no option is forgotten.

python docs/write_commands.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from genaiops.cli._app import app

PAGE = Path(__file__).parent / "reference" / "commands.md"
HEAD = """# Commands

Written by `python docs/write_commands.py` from the commands themselves. Every command has `--help` with an example;
where there is `--json`, one JSON object goes to standard output and everything else to standard error. What the exit
codes mean: [exit codes](exit-codes.md). `genaiops --debug COMMAND …` shows where an error comes from.

The commands below `genaiops pf` are described in [prompt flow's commands](pf-commands.md).
"""


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it; groups are followed by what is in them, `pf` is left closed."""
    if words:
        yield words, command
    if isinstance(command, click.Group) and words != ("pf",):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from commands(inner, (*words, name))


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(words, command) for words, command in commands(app))


def _section(words: tuple[str, ...], command: click.Command) -> str:
    title = "genaiops " + " ".join(words)
    usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=title)))
    text, _, example = (command.help or "").partition("\b")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    lines = ["", f"{'#' * (len(words) + 1)} `{title}`", "", "\n\n".join(filter(None, paragraphs)), ""]
    lines += ["```text", f"{title} {usage}", *_example(example), "```", ""]
    rows = [_row(option) for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if rows and not isinstance(command, click.Group):
        lines += ["| option | does |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _example(text: str) -> list[str]:
    found = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "Example:"]
    return ["", *found] if found else []


def _row(option: click.Option) -> str:
    record = option.get_help_record(click.Context(click.Command("genaiops")))
    names, words = record or (" / ".join(option.opts), option.help or "")
    return f"| `{names.replace('|', chr(92) + '|')}` | {words.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
