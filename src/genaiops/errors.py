"""Every error we raise on purpose.

    GenaiopsError                       exit 1   the work failed
    ├── InputError                      exit 2   the input is wrong and nothing was started
    │   ├── FlowDefinitionError                  a flow file that cannot mean anything
    │   ├── DataError                            a data file or a mapping that cannot be used
    │   ├── SettingsError                        options, environment, configuration files
    │   └── ConnectionSettingsError              unknown connection, unknown type, missing variables
    ├── RowError                        exit 1   one row failed; it becomes an outcome
    ├── HostError                       exit 1   a flow host could not be started or died
    ├── MissingExtraError               exit 2   an optional package is not installed
    ├── GateFailed                      exit 3   the gate said no
    ├── ApprovalMissing                 exit 4   nobody approved, or somebody refused
    └── Interrupted                     exit 130 stopped by a person; can be resumed

Rooms add their own classes below these where somebody would catch them on their own. `kind` is the name that
prompt flow's users know (`InputNotFound`, `ToolExecutionError`, …); `type` is the exception underneath.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class GenaiopsError(Exception):
    """An error that tells what was found, what was expected, where, and what to do.

    Args:
        message: What was found and what was expected, in one or two sentences. Never a secret, never a whole row.
        file: The file that holds the mistake.
        line: Its line, counted from 1.
        node: The node concerned, when there is one.
        hint: What to do about it.
        kind: The name of the error in prompt flow's catalogue; by default the name of this class.
        type: The name of the exception underneath; by default `kind`.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        node: str | None = None,
        hint: str | None = None,
        kind: str | None = None,
        type: str | None = None,  # noqa: A002 - the word of the published JSON form
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = str(file) if file is not None else None
        self.line = line
        self.node = node
        self.hint = hint
        self.kind = kind or self.__class__.__name__
        self.type = type or self.kind

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the trip between processes."""
        return (_rebuild, (self.__class__, self.message, self.__dict__))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"

    def to_json(self) -> dict[str, Any]:
        """The published JSON form of an error."""
        return {
            "kind": self.kind,
            "type": self.type,
            "message": self.message,
            "node": self.node,
            "file": self.file,
            "line": self.line,
            "hint": self.hint,
        }


def _rebuild(cls: type[GenaiopsError], message: str, state: dict[str, Any]) -> GenaiopsError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InputError(GenaiopsError):
    """The input is wrong and nothing was started."""

    exit_code = 2


class FlowDefinitionError(InputError):
    """A flow file that cannot mean anything; `kind` names prompt flow's class for it."""


class DataError(InputError):
    """A data file or a mapping that cannot be used."""


class SettingsError(InputError):
    """An option, an environment variable or a configuration file that cannot be used."""


class ConnectionSettingsError(InputError):
    """A connection that is unknown, of an unknown type, or lacks values."""


class RowError(GenaiopsError):
    """One row failed; it becomes an outcome and the others go on."""


class HostError(GenaiopsError):
    """A flow host could not be started, or died."""


class MissingExtraError(InputError):
    """An optional package is not installed.

    Args:
        package: What could not be imported.
        extra: The extra of genaiops that brings it.
        purpose: What it is needed for, as the end of "… is needed".
        instead: What else would do, as the end of "…, or".
    """

    def __init__(self, package: str, *, extra: str, purpose: str, instead: str | None = None) -> None:
        super().__init__(
            f"The package {package!r} is needed {purpose} and is not installed.",
            hint=f"Install it with: pip install 'genaiops[{extra}]'" + (f", or {instead}." if instead else ""),
        )


class GateFailed(GenaiopsError):
    """The gate said no."""

    exit_code = 3


class ApprovalMissing(GenaiopsError):
    """Nobody approved, or somebody refused."""

    exit_code = 4


class Interrupted(GenaiopsError):
    """Stopped by a person; what is finished is kept and the run can be resumed."""

    exit_code = 130


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest valid name, or lists the valid ones when none is near.

    >>> suggest("qestion", ["question", "answer"])
    "Did you mean 'question'?"
    >>> suggest("x", ["question", "answer"])
    'Valid: answer, question.'
    """
    names = sorted(set(known))
    near = get_close_matches(name, names, n=1) or get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    if near:
        exact = next(n for n in names if n == near[0] or n.lower() == near[0])
        return f"Did you mean {exact!r}?"
    if not names:
        return "There are none."
    shown = names[:20]
    rest = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"Valid: {', '.join(shown)}{rest}."
