"""What can go wrong with a model call.

RowError
└── ModelCallError            a call failed for good; `permanent` when every row would hit the same
    ├── ModelRefusedError     the key, the deployment or the quota is refused
    ├── RetriesExhaustedError tried until the deadline
    └── RecordingMissError    replay: nobody recorded this request
"""

from __future__ import annotations

from typing import Any

from genaiops.errors import RowError


class ModelCallError(RowError):
    """A model call that failed for good.

    Args:
        message: What the server or the transport said, without secrets.
        status: The HTTP status, when there was an answer.
        retries: How often it was tried again before.
        permanent: Every other row would fail the same way, so the run may stop.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retries: int = 0,
        permanent: bool = False,
        kind: str = "WrappedOpenAIError",
        type: str | None = None,  # noqa: A002 - the word of the published JSON form
        hint: str | None = None,
    ) -> None:
        super().__init__(message, kind=kind, type=type, hint=hint)
        self.status = status
        self.retries = retries
        self.permanent = permanent

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "permanent": self.permanent, "retries": self.retries}


class ModelRefusedError(ModelCallError):
    """The server refuses this key, this deployment or this account: no row can succeed."""


class RetriesExhaustedError(ModelCallError):
    """Tried again and again until the deadline or the last allowed try."""


class RecordingMissError(ModelCallError):
    """Model calls are replayed and nobody recorded this request."""
