"""The way in: run a command, turn what it raises into words and an exit code."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from genaiops.cli._app import app
from genaiops.cli._output import echo_error, say
from genaiops.cli._session import Session
from genaiops.collector import relax_collector, spare_what_is_here
from genaiops.errors import GenaiopsError, Interrupted

INTERRUPTED = Interrupted.exit_code
USAGE = 2


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    0 done, 1 the work failed, 2 the input is wrong, 3 the gate said no, 4 no approval, 130 interrupted.
    """
    relax_collector()
    # At the end it would look at all modules once more, which frees nothing that the end does not free.
    atexit.register(spare_what_is_here)
    words, debug = _take_debug(list(sys.argv[1:] if args is None else args))
    _speak_utf8()
    try:
        return _run(words, Session(debug=debug))
    except BrokenPipeError:
        # Somebody closed the pipe (`| head`): say nothing, and leave nothing to flush at exit.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost door
        if debug and not isinstance(error, click.ClickException):
            # Imported here: most command lines never need it, and `--help` has to be fast.
            import traceback

            traceback.print_exception(error)
        return _print_error(error)


def _run(words: list[str], session: Session) -> int:
    code = app.main(words, prog_name="genaiops", standalone_mode=False, obj=session)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out, wherever it stands before a bare `--`."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _speak_utf8() -> None:
    """Speak UTF-8 whatever the locale says; what it cannot hold is escaped, never an error."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def _print_error(error: Exception) -> int:
    if isinstance(error, click.UsageError):
        return _print_usage(error)
    if isinstance(error, click.ClickException):
        say("error", error.format_message(), color="red")
        return error.exit_code
    if isinstance(error, GenaiopsError):
        echo_error(error)
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        say("error", f"{error.strerror or type(error).__name__}: {error.filename}", color="red")
        return 1
    text = " ".join(str(error).split()) or "no message"
    say("error", f"{type(error).__name__}: {text[:500]} (run again with --debug to see where)", color="red")
    return 1


def _print_usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # Nothing was asked for, so nothing was done: the help, and not the exit code of a success.
        click.echo(error.format_message(), err=True)
        return USAGE
    say("error", error.format_message(), color="red")
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Help: {error.ctx.command_path} --help", err=True)
    return USAGE
