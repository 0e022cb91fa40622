"""What a failed try means: again or not, when, and for how long."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Trouble = Literal["refused", "server", "unprocessable", "timeout", "connection", "unreachable", "body", "permanent"]

_RETRIED_4XX = frozenset({408, 409, 425})
_OVERLOADED = frozenset({529})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_MOST_IN_A_ROW: dict[str, int] = {"unprocessable": 3, "body": 6, "server": 12, "connection": 12, "timeout": 6}
_LONGEST_WAIT_S = 60.0


class WireError(Exception):
    """One try failed.

    Args:
        trouble: What kind of failure it was.
        message: What the server or the transport said.
        name: The class that the OpenAI SDK gives it: `RateLimitError`, `APITimeoutError`, ….
    """

    def __init__(
        self,
        trouble: Trouble,
        message: str,
        *,
        name: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.message = message
        self.name = name
        self.status = status
        self.headers = headers or {}
        self.body = body

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks us to wait."""
        return read_retry_after(self.headers)

    def error_field(self, key: str) -> str:
        """A member of the server's error object: `code`, `param`, `message`; empty when it has none."""
        error = self.body.get("error", self.body) if isinstance(self.body, Mapping) else None
        return str(error.get(key) or "") if isinstance(error, Mapping) else ""


def status_error(status: int, message: str, *, name: str, headers: Mapping[str, str], body: Any) -> WireError:
    """The meaning of an answer that is not a success."""
    error = WireError("permanent", message, name=name, status=status, headers=headers, body=body)
    is_too_fast = status == 429 and error.error_field("code") not in _QUOTA_CODES
    is_overloaded = status in _OVERLOADED or (status == 503 and error.retry_after_s is not None)
    if is_too_fast or is_overloaded:
        error.trouble = "refused"
    elif status >= 500 or status in _RETRIED_4XX:
        error.trouble = "server"
    elif status == 422:
        error.trouble = "unprocessable"
    return error


@dataclass
class Tries:
    """The tries of one call: how many, in a row of which trouble, until when.

    Args:
        deadline_s: On the caller's clock.
        rng: For jitter.
    """

    deadline_s: float
    rng: random.Random
    retries: int = 0
    _row: int = field(default=0, init=False)
    _last: str = field(default="", init=False)

    def delay_s(self, error: WireError, now: float, *, answered_before: bool) -> float | None:
        """Seconds until the next try; None when there must not be one.

        Args:
            error: What happened to this try.
            now: The caller's clock.
            answered_before: This endpoint has ever answered; else a refused connection is a wrong address.
        """
        if error.trouble == "permanent":
            return None
        kind = "connection" if error.trouble == "unreachable" else error.trouble
        self._row = self._row + 1 if kind == self._last else 1
        self._last = kind
        most = 3 if error.trouble == "unreachable" and not answered_before else _MOST_IN_A_ROW.get(kind)
        if most is not None and self._row >= most:
            return None
        delay_s = self._wait_s(error)
        if now + delay_s >= self.deadline_s:
            return None
        self.retries += 1
        return delay_s

    def _wait_s(self, error: WireError) -> float:
        asked_s = error.retry_after_s
        if error.trouble == "refused":
            if asked_s is not None:
                # Not all at the same moment: who was refused together would be refused together again.
                return asked_s * (1 + 0.1 * self.rng.random())
            return float(min(_LONGEST_WAIT_S, 0.5 * 2 ** min(self._row, 10)) * self.rng.uniform(0.7, 1.3))
        if error.trouble == "timeout":
            return 0.05  # it has waited long enough
        wait_s = min(30.0, 0.1 * 2 ** min(self._row, 12)) * self.rng.uniform(0.5, 1.5)
        return float(max(wait_s, asked_s or 0.0))


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait: `retry-after-ms`, `Retry-After` as seconds or as a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if not text:
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            continue
        if 0 <= seconds < 1e9:
            return seconds
    return _until_date(headers)


def _until_date(headers: Mapping[str, str]) -> float | None:
    text, sent = headers.get("retry-after"), headers.get("date")
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        # Against the server's own clock, which may differ from ours.
        until = parsedate_to_datetime(text)
        since = parsedate_to_datetime(sent) if sent else None
    except (ValueError, TypeError):
        return None
    return max(0.0, (until - since).total_seconds()) if since else None


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_duration(text: str) -> float | None:
    """Seconds in `6m0s`, `20ms`, `1.5s` or a bare number.

    >>> read_duration("6m0.5s")
    360.5
    """
    found = _DURATION.findall(text)
    if found and "".join(number + unit for number, unit in found) == text.strip():
        return sum(float(number) * _UNIT_S[unit] for number, unit in found)
    try:
        return float(text)
    except ValueError:
        return None


def read_quota(headers: Mapping[str, str]) -> list[tuple[str, float, float, float]]:
    """What a reply's headers say about quotas: (`requests` or `tokens`, left, limit, seconds until filled up)."""
    quotas = []
    for what in ("requests", "tokens"):
        left = headers.get(f"x-ratelimit-remaining-{what}")
        limit = headers.get(f"x-ratelimit-limit-{what}")
        reset = headers.get(f"x-ratelimit-reset-{what}")
        if not left or not limit or not reset:
            continue
        reset_s = read_duration(reset)
        try:
            found = (float(left), float(limit))
        except ValueError:
            continue
        if found[1] > 0 and reset_s is not None and reset_s < 3600:
            quotas.append((what, *found, reset_s))
    return quotas
