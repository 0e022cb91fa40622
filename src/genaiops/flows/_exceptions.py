"""Exceptions that flow code may raise to be told apart from its accidents.

They are what `promptflow.exceptions` offers. One of them leaves a node as it is; any other exception is wrapped as a
failure of the node.
"""

from __future__ import annotations

from typing import Any


class PromptflowException(Exception):
    """Base of exceptions with a message made from a format and its parameters."""

    def __init__(
        self,
        message: str = "",
        message_format: str = "",
        target: Any = "Unknown",
        module: str | None = None,
        **extra: Any,
    ) -> None:
        self._target = target
        self._module = module
        self._extra = extra
        self._message_format = message_format
        self.inner_exception = extra.pop("error", None)
        super().__init__(message or _formatted(message_format, extra))

    @property
    def message(self) -> str:
        """The text of the exception."""
        return str(self)

    @property
    def message_format(self) -> str:
        return self._message_format

    @property
    def message_parameters(self) -> dict[str, Any]:
        return self._extra

    @property
    def target(self) -> Any:
        return self._target

    @property
    def error_codes(self) -> list[str]:
        """From the root class to this one."""
        names = [cls.__name__ for cls in type(self).__mro__ if issubclass(cls, PromptflowException)]
        return [_ROOT_CODES.get(name, name) for name in reversed(names[:-1])]


class UserErrorException(PromptflowException):
    """The person who wrote or called the flow can put it right."""


class SystemErrorException(PromptflowException):
    """The surroundings failed."""


class ValidationException(UserErrorException):
    """Something given is not valid."""


_ROOT_CODES = {"UserErrorException": "UserError", "SystemErrorException": "SystemError"}


def _formatted(message_format: str, parameters: dict[str, Any]) -> str:
    try:
        return message_format.format(**parameters)
    except (KeyError, IndexError, ValueError):
        return message_format


def is_deliberate(error: BaseException) -> bool:
    """True for an exception of the family above, ours or that of an installed promptflow."""
    return any(cls.__name__ == "PromptflowException" for cls in type(error).__mro__)
