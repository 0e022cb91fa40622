"""What a client is told when something is wrong: prompt flow's error shape, with a request id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# prompt flow's root code of an error and the status it is answered with.
USER_ERROR, SYSTEM_ERROR = "UserError", "SystemError"

_SYSTEM_KINDS = frozenset({"SystemError", "UnexpectedError", "ProcessCrashError", "HostError"})


class RequestRefused(Exception):
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        message: What was found and what was expected.
        code: The root code of prompt flow's clients.
        headers: More headers of the answer (`Retry-After`).
        node: The node that failed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = USER_ERROR,
        headers: Mapping[str, str] | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.node = node

    def body(self, request_id: str) -> dict[str, Any]:
        """The answer's JSON: `error.code` and `error.message` as prompt flow's server gives them, and more beside."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "request_id": request_id}
        if self.node is not None:
            error["node"] = self.node
        return {"error": error}


def refusal_of(error: Mapping[str, Any] | None) -> RequestRefused:
    """The answer for a row that failed."""
    error = error or {}
    kind = str(error.get("kind") or "")
    message = str(error.get("message") or "The flow failed.")
    if kind == "LineExecutionTimeoutError":
        return RequestRefused(504, message, code=SYSTEM_ERROR, node=error.get("node"))
    if kind in _SYSTEM_KINDS:
        return RequestRefused(500, message, code=SYSTEM_ERROR, node=error.get("node"))
    return RequestRefused(400, message, node=error.get("node"))
