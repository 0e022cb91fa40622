"""Exceptions and error forms of `promptflow` that flow and notebook code catches or shows."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from genaiops.errors import GenaiopsError
from genaiops.flows import PromptflowException, SystemErrorException, UserErrorException


class ErrorCategory(StrEnum):
    """Whose fault it is."""

    USER_ERROR = "UserError"
    SYSTEM_ERROR = "SystemError"
    UNKNOWN = "Unknown"


class ErrorTarget(StrEnum):
    """Which part of the system failed; kept for code that names one."""

    EXECUTOR = "Executor"
    BATCH = "Batch"
    CORE = "Core"
    FLOW_EXECUTOR = "FlowExecutor"
    NODE_EXECUTOR = "NodeExecutor"
    TOOL = "Tool"
    AZURE_RUN_STORAGE = "AzureRunStorage"
    RUNTIME = "Runtime"
    UNKNOWN = "Unknown"
    RUN_TRACKER = "RunTracker"
    RUN_STORAGE = "RunStorage"
    CONTROL_PLANE_SDK = "ControlPlaneSDK"
    SERVING_APP = "ServingApp"
    FLOW_INVOKER = "FlowInvoker"
    FUNCTION_PATH = "FunctionPath"


class InvalidConnectionError(UserErrorException):
    """A connection and explicit fields were given at the same time."""


class MissingRequiredInputError(UserErrorException):
    """A flow or prompty was called without an input it needs."""


class ConnectionNotFoundError(UserErrorException):
    """There is no connection of this name."""


class InvalidFlowError(UserErrorException):
    """A flow that cannot be used as asked."""


class InvalidRunError(UserErrorException):
    """A run that cannot be used as asked."""


class InvalidRunStatusError(UserErrorException):
    """A run is not in the state that is needed."""


class RunExistsError(UserErrorException):
    """There is a run of this name."""


class RunNotFoundError(UserErrorException):
    """There is no run of this name."""


class RunOperationError(UserErrorException):
    """Something cannot be done with a run."""


class RunOperationParameterError(UserErrorException):
    """Something cannot be done with a run in this way."""


class ToolValidationError(UserErrorException):
    """A tool was called with something it cannot use."""


class WrappedOpenAIError(UserErrorException):
    """The model service refused."""


class ExceedMaxRetryTimes(WrappedOpenAIError):
    """The model service failed until patience ran out."""


class LLMError(UserErrorException):
    """Anything else went wrong around a model call."""


class JinjaTemplateError(ToolValidationError):
    """A template cannot be rendered."""


class ChatAPIInvalidRole(ToolValidationError):
    """A prompt does not start with a role section."""


class ChatAPIFunctionRoleInvalidFormat(ToolValidationError):
    """A function section lacks name or content."""


class ChatAPIToolRoleInvalidFormat(ToolValidationError):
    """A tool section lacks tool_call_id or content."""


class ChatAPIInvalidFunctions(ToolValidationError):
    """The list of functions cannot be used."""


class ChatAPIInvalidTools(ToolValidationError):
    """The list of tools cannot be used."""


class FunctionCallNotSupportedInStreamMode(ToolValidationError):
    """Functions and streaming exclude each other."""


class InvalidConnectionType(ToolValidationError):
    """A tool got a connection of another type."""


class SerpAPISystemError(SystemErrorException):
    """SerpApi failed."""


class SerpAPIUserError(UserErrorException):
    """SerpApi refused."""


class AzureContentSafetyInputValueError(UserErrorException):
    """Content Safety was asked with something it cannot use."""


class AzureContentSafetySystemError(SystemErrorException):
    """Content Safety failed."""


@dataclass
class BingConnection:
    """A connection type that was retired; kept so that annotations import."""

    api_key: str
    url: str = "https://api.bing.microsoft.com/v7.0/search"


_BY_KIND = {
    cls.__name__: cls
    for cls in (
        ChatAPIFunctionRoleInvalidFormat,
        ChatAPIInvalidFunctions,
        ChatAPIInvalidRole,
        ChatAPIInvalidTools,
        ChatAPIToolRoleInvalidFormat,
        ConnectionNotFoundError,
        ExceedMaxRetryTimes,
        FunctionCallNotSupportedInStreamMode,
        InvalidConnectionError,
        InvalidConnectionType,
        JinjaTemplateError,
        LLMError,
        MissingRequiredInputError,
        WrappedOpenAIError,
    )
}


def as_promptflow_exception(error: GenaiopsError, default: type[PromptflowException] = UserErrorException) -> Exception:
    """The exception that code written for promptflow catches, for one of ours; ours is its cause."""
    translated = _BY_KIND.get(error.kind, default)(str(error), error=error)
    translated.__cause__ = error
    return translated


class ExceptionPresenter:
    """Shows an exception as a dictionary of code, message and inner errors."""

    def __init__(self, ex: BaseException) -> None:
        self._ex = ex

    @classmethod
    def create(cls, ex: BaseException) -> ExceptionPresenter:
        """A presenter of this exception."""
        return cls(ex)

    @property
    def formatted_traceback(self) -> str:
        """The traceback as Python prints it."""
        return "".join(traceback.format_exception(self._ex))

    @property
    def error_codes(self) -> list[str]:
        """From `UserError` or `SystemError` down to the class."""
        codes = list(getattr(self._ex, "error_codes", ()))
        return codes or [ErrorCategory.SYSTEM_ERROR.value, type(self._ex).__name__]

    def to_dict(self, *, include_debug_info: bool = False) -> dict[str, Any]:
        """The form that services answer with."""
        code, *inner = self.error_codes
        nested: dict[str, Any] | None = None
        for name in reversed(inner):
            nested = {"code": name, "innerError": nested}
        form: dict[str, Any] = {
            "code": code,
            "message": str(self._ex),
            "messageFormat": getattr(self._ex, "message_format", "") or "",
            "messageParameters": getattr(self._ex, "message_parameters", None) or {},
            "referenceCode": str(getattr(self._ex, "target", "Unknown")),
            "innerError": nested,
        }
        if include_debug_info:
            form["debugInfo"] = {
                "type": type(self._ex).__name__,
                "message": str(self._ex),
                "stackTrace": self.formatted_traceback,
                "innerException": None,
            }
        return form


class JsonSerializedPromptflowException(Exception):
    """An exception whose message is the JSON form of another."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ErrorResponse:
    """An error form with the HTTP status that goes with it."""

    def __init__(self, error_dict: dict[str, Any]) -> None:
        self._error_dict = error_dict

    @staticmethod
    def from_error_dict(error_dict: dict[str, Any]) -> ErrorResponse:
        return ErrorResponse(error_dict)

    @staticmethod
    def from_exception(ex: BaseException, *, include_debug_info: bool = False) -> ErrorResponse:
        return ErrorResponse(ExceptionPresenter.create(ex).to_dict(include_debug_info=include_debug_info))

    @property
    def message(self) -> str:
        return str(self._error_dict.get("message", ""))

    @property
    def response_code(self) -> int:
        """400 for what the user can put right, else 500."""
        return 400 if self._error_dict.get("code") == ErrorCategory.USER_ERROR.value else 500

    @property
    def innermost_error_code(self) -> str | None:
        error: Any = self._error_dict
        while isinstance(error.get("innerError"), dict):
            error = error["innerError"]
        code = error.get("code")
        return str(code) if code else None

    def to_dict(self) -> dict[str, Any]:
        return {"error": self._error_dict}

    def to_simplified_dict(self) -> dict[str, Any]:
        """Root code and message, as `/score` answers."""
        return {"error": {"code": self._error_dict.get("code"), "message": self.message}}
