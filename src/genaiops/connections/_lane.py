"""What is known about one endpoint and deployment: its limiter, how long replies take, what its model does not take."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from genaiops.connections._limiter import Limiter
from genaiops.connections._pace import Pace
from genaiops.connections._retry import WireError, read_quota

_log = logging.getLogger(__name__)
_FIRST_BOUND_S = 120.0
_LEAST_BOUND_S = 10.0
_KNOWN_AFTER = 5


@dataclass(slots=True, eq=False)
class Watch:
    """The timeout of one try under way, so that it can be shortened when we learn how long replies take."""

    timeout: asyncio.Timeout
    sent_s: float
    factor: int
    latest_s: float


class Lane:
    """One endpoint and deployment, shared by all rows, variants and evaluators of a host.

    Args:
        name: For people: the deployment and the endpoint.
        pace: Its limits.
        clock: Seconds, never going back.
        tokens_per_minute: A user's budget, 0 for none.
    """

    def __init__(self, name: str, pace: Pace, *, clock: Callable[[], float], tokens_per_minute: float = 0) -> None:
        self.name = name
        self._clock = clock
        self.limiter = Limiter(pace, clock=clock, tokens_per_minute=tokens_per_minute)
        self.has_answered = False
        self._renames: dict[str, str | None] = {}
        self._durations_s: deque[float] = deque(maxlen=200)
        self._since_bound = 0
        self._bound_s: float | None = None
        self._watches: set[Watch] = set()
        self._tokens_a_call = 0.0

    # What a model does not take

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body as this deployment takes it, by what it said before."""
        fitted = dict(body)
        for old, new in self._renames.items():
            if old in fitted:
                value = fitted.pop(old)
                if new is not None:
                    fitted.setdefault(new, value)
        return fitted

    def learn(self, error: WireError, body: Mapping[str, Any]) -> bool:
        """Whether the refusal said what to send instead, so that the call may go again at once.

        Only names are changed, never what was asked: a refused temperature stays an error.
        """
        if error.status not in (400, 422):
            return False
        said = f"{error.error_field('param')} {error.error_field('message') or error.message}"
        if "max_tokens" in body and "max_tokens" in said and "max_completion_tokens" in said:
            self._renames["max_tokens"] = "max_completion_tokens"
            _log.warning("%s takes max_completion_tokens instead of max_tokens; it gets that from now on.", self.name)
            return True
        if "stream_options" in body and "stream_options" in said:
            self._renames["stream_options"] = None
            return True
        return False

    # How long replies take

    def try_bound_s(self, timeouts: int) -> float:
        """After how long a try counts as hanging; twice as long after each try that was given up.

        Eight times what nearly all replies took, so that a long answer is not mistaken for a dead connection.
        """
        bound_s = _FIRST_BOUND_S if self._bound_s is None else self._bound_s
        return float(bound_s * 2**timeouts)

    def watch(self, timeout: asyncio.Timeout, sent_s: float, timeouts: int, latest_s: float) -> Watch:
        """Keep an eye on a try under way."""
        watch = Watch(timeout, sent_s, 2**timeouts, latest_s)
        self._watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def note_reply(self, duration_s: float, headers: Mapping[str, str], tokens: int, now: float) -> None:
        """A reply came: learn its time and what its headers say."""
        self.has_answered = True
        self._durations_s.append(duration_s)
        self._since_bound += 1
        if self._since_bound >= (20 if self._bound_s is not None else _KNOWN_AFTER):
            self._since_bound = 0
            self._learn_bound()
        if tokens:
            self._tokens_a_call += (tokens - self._tokens_a_call) * (0.1 if self._tokens_a_call else 1.0)
        self.note_quota(headers, now)

    def note_quota(self, headers: Mapping[str, str], now: float) -> None:
        """Brake before the server has to."""
        if "x-ratelimit-remaining-requests" not in headers and "x-ratelimit-remaining-tokens" not in headers:
            return
        for what, left, limit, reset_s in read_quota(headers):
            a_call = 1.0 if what == "requests" else max(self._tokens_a_call, 1.0)
            self.limiter.pace.remaining(now, left / a_call, limit / a_call, reset_s)

    def _learn_bound(self) -> None:
        ordered = sorted(self._durations_s)
        usual_s = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        before_s = self._bound_s
        self._bound_s = min(max(_LEAST_BOUND_S, 8 * usual_s), 600.0)
        if before_s is None:
            loop = asyncio.get_running_loop()
            offset_s = loop.time() - self._clock()
            for watch in self._watches:
                until_s = min(watch.sent_s + self._bound_s * watch.factor, watch.latest_s)
                watch.timeout.reschedule(until_s + offset_s)
