"""What all commands of one command line share: settings, logging, whether to show tracebacks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genaiops.settings import Settings


@dataclass(slots=True)
class Session:
    """One command line.

    Args:
        debug: Show tracebacks and log everything.
    """

    debug: bool = False


def current_session() -> Session:
    """The session of the command that runs now; a fresh one when a command is called on its own."""
    context = click.get_current_context(silent=True)
    found = context.find_root().obj if context else None
    return found if isinstance(found, Session) else Session()


def open_settings(*, dotenv: Path | None = None, folders: Sequence[Path] = ()) -> Settings:
    """Read the surroundings once for this command, and let warnings reach standard error.

    Args:
        dotenv: A `.env` file named on the command line.
        folders: More folders whose `.env` counts, nearest first.
    """
    from genaiops.settings import load_settings

    session = current_session()
    settings = load_settings(dotenv=dotenv, extra_dotenv_folders=folders)
    if session.debug and not settings.debug:
        settings = dataclasses.replace(settings, debug=True)
    _log_to_stderr(logging.DEBUG if settings.debug else logging.WARNING)
    return settings


def color_allowed() -> bool:
    """A terminal looks, and nobody asked for plain text."""
    from genaiops.errors import GenaiopsError
    from genaiops.settings import load_settings

    try:
        return not load_settings().no_color
    except (GenaiopsError, OSError):
        return False


class _EchoHandler(logging.Handler):
    """Log records as `warning: text` on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        name = "" if record.levelno >= logging.WARNING else f"{record.name}: "
        click.echo(f"{record.levelname.lower()}: {name}{record.getMessage()}", err=True)


def _log_to_stderr(level: int) -> None:
    logger = logging.getLogger("genaiops")
    if not any(isinstance(handler, _EchoHandler) for handler in logger.handlers):
        logger.addHandler(_EchoHandler())
    logger.setLevel(level)
    logger.propagate = False
