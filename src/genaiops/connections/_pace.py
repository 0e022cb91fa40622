"""How many calls may be in flight, and how fast new ones may start, learned from the replies alone.

Two limits that find themselves. *Concurrency* multiplies while it is used up and replies are clean (slow start), later
grows by a few per cent a round. *Rate* is not limited until the server refuses calls; then it follows what the server
really took. Errors that say nothing about load (5xx, cut-off bodies) cut nothing. Refusals that do not become rarer
when we slow down are not about us: then we go on, and only the refused call waits.

Sources: TCP's slow start and additive increase (RFC 5681); the holding phase of CUBIC (RFC 9438).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf

_START = 32.0
_FIRST_RATE = 300.0  # calls a second before the first reply: a refusal must arrive before many more have left
_RATE_A_SUCCESS = 15.0  # and so many more for each good reply
_COHORT = 20  # the pace is judged by the fate of so many calls in a row
_TOLERATED_REFUSALS = 1  # of them
_ENOUGH = 4  # refusals of one cohort to judge it early
_PATIENCE = 3  # cohorts refused as before although we slowed down
_IMMUNE_S = 30.0
_LONG_WINDOW_S = 5.0
_LONGEST_PAUSE_S = 120.0


@dataclass(slots=True)
class Change:
    """One change of a limit, for the record."""

    time_s: float
    concurrency: int
    rate_per_s: float | None
    reason: str


@dataclass(slots=True, eq=False)
class Ticket:
    """One call under way."""

    sent_s: float
    cohort: int
    refused: bool = False
    ended: bool = False


@dataclass
class Pace:
    """The two limits of one endpoint and deployment. Knows no clock: every call says what time it is, in seconds.

    Args:
        most: The highest concurrency ever allowed.
        start: The concurrency to begin with.
        rate_cap: Calls a second that a user's budget allows.
    """

    most: int = 256
    start: float = _START
    rate_cap: float = inf
    in_flight: int = 0
    history: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limit = float(max(1, min(self.start, self.most)))
        self.rate = inf
        self._first_s: float | None = None
        self._is_slow_start = True
        self._is_ramp = False  # feeling the way up after the first pause
        self._is_confirmed = False  # the rate has been cut where it was found before
        self._next_send_s = 0.0
        self._pause_until_s = self._resumed_s = 0.0
        self._rate_grown_s = 0.0
        self._refused_s = -inf
        self._retry_after_s, self._refusal_s = 1.0, 0.0
        self._brake_rate, self._brake_until_s = inf, 0.0
        self._fast_latency_s, self._base_latency_s = 0.0, inf
        self._replies = 0
        self._successes: deque[float] = deque(maxlen=2048)
        self._last: deque[Ticket] = deque(maxlen=64)  # in the order in which they were sent
        self._last_ended: deque[Ticket] = deque(maxlen=6)
        self._cohort, self._cohort_sent, self._cohort_ended, self._cohort_refused = 1, 0, 0, 0
        self._cohort_first_s = self._cohort_last_s = 0.0
        self._slowed = False
        self._unexplained, self._usual_refused, self._usual_sent = 0, 0.0, 0.0
        self._limit_before = self.limit
        self._immune_until_s, self._immune_share = 0.0, 0.0

    # Asking

    def expect(self, concurrency: int) -> None:
        """A person asked for so many calls at once: begin there and do not feel the way up.

        Once the server has refused a call, it knows better.
        """
        if self._refused_s == -inf:
            self.limit = max(self.limit, float(min(concurrency, self.most)))

    def wait_s(self, now: float) -> float:
        """Seconds until one more call may start; 0 for at once, inf when one must end first."""
        if self.in_flight >= int(self.limit):
            return inf
        return max(0.0, self._pause_until_s - now, self._next_send_s - now)

    @property
    def is_saturated(self) -> bool:
        """Whether the limit is used up, so that clean replies say that more would do."""
        return self.in_flight >= 0.8 * int(self.limit)

    def sent(self, now: float) -> Ticket:
        """A call starts."""
        self.in_flight += 1
        if self._first_s is None:
            self._first_s = now
        if self.rate is not inf and now <= self._next_send_s + 1 / self.rate:
            self._grow_rate(now)  # only a rate that holds us back is worth raising
        brake = self._brake_rate if now < self._brake_until_s else inf
        first = _FIRST_RATE + _RATE_A_SUCCESS * len(self._successes)
        gap = 1 / min(self.rate, self.rate_cap, brake, first)
        # A moment's delay of this process is caught up, a longer one is not: that would be a burst.
        self._next_send_s = max(self._next_send_s, now - min(2 * gap, 0.02)) + gap
        in_cohort = self._cohort_sent < _COHORT
        if in_cohort:
            self._cohort_first_s = now if self._cohort_sent == 0 else self._cohort_first_s
            self._cohort_last_s = now
            self._cohort_sent += 1
        ticket = Ticket(now, self._cohort if in_cohort else 0)
        self._last.append(ticket)
        return ticket

    # Learning

    def succeeded(self, ticket: Ticket, now: float) -> None:
        """A call was answered."""
        was_saturated = self.is_saturated
        self._successes.append(now)
        self._note_latency(now - ticket.sent_s)
        if was_saturated and now >= self._pause_until_s:
            self._grow_limit(now)
        self._note_end(ticket, now)
        self._ended(ticket, now)

    def failed(self, ticket: Ticket, now: float) -> None:
        """A call failed for a reason that says nothing about load, or was given up here."""
        self._ended(ticket, now)

    def refused(self, ticket: Ticket, now: float, retry_after_s: float | None) -> None:
        """The server said "too many"."""
        ticket.refused = True
        self._refusal_s += (now - ticket.sent_s - self._refusal_s) * (0.3 if self._refusal_s else 1.0)
        self._retry_after_s = 1.0 if retry_after_s is None else retry_after_s
        self._refused_s = now
        self._ended(ticket, now)
        self._note_end(ticket, now)
        if self._is_flood(now):
            self._pause(now)
        elif self._is_ramp and ticket.sent_s >= self._resumed_s:
            self._end_ramp(now)

    def remaining(self, now: float, left: float, limit: float, reset_s: float) -> None:
        """The server's headers say how many calls are left until the quota is filled up again."""
        if left <= 0:
            self._pause_until_s = max(self._pause_until_s, now + min(reset_s, _LONGEST_PAUSE_S))
        elif left < 0.1 * limit or left < self.in_flight:
            self._brake_rate, self._brake_until_s = max(left / max(reset_s, 0.1), 0.2), now + reset_s
        else:
            self._brake_until_s = 0.0

    def _ended(self, ticket: Ticket, now: float) -> None:
        self.in_flight -= 1
        self._replies += 1
        ticket.ended = True
        if ticket.cohort == self._cohort:
            self._cohort_ended += 1
            self._cohort_refused += ticket.refused
            if self._cohort_ended >= _COHORT or (self._cohort_refused >= _ENOUGH and self.rate is not inf):
                self._judge(now)

    def _note_latency(self, latency_s: float) -> None:
        self._fast_latency_s += (latency_s - self._fast_latency_s) * (0.1 if self._fast_latency_s else 1.0)
        if self._replies % 10 == 0:
            # The best known forgets slowly: models get slower, prompts longer.
            self._base_latency_s = min(self._base_latency_s * 1.02, self._fast_latency_s)

    def _grow_limit(self, now: float) -> None:
        if self.limit >= self.most or self._fast_latency_s > 3 * self._base_latency_s:
            return  # replies take much longer than they did: more calls would only wait inside the server
        step = 3.0 if self._is_slow_start else max(0.05, 1 / self.limit)
        before = int(self.limit)
        self.limit = min(self.limit + step, float(self.most))
        if int(self.limit) // 32 > before // 32:
            self._note(now, "clean and used up")

    def _cut_limit(self, to: float) -> None:
        self._limit_before = max(self.limit, self._limit_before * 0.5)
        self._is_slow_start = False
        self.limit = max(1.0, min(0.9 * self.limit, to))

    def _note_end(self, ticket: Ticket, now: float) -> None:
        # Quick refusals overtake the answers of calls sent before them: in order of ending they look too many.
        if not ticket.refused or now - ticket.sent_s >= 0.5 * self._fast_latency_s:
            self._last_ended.append(ticket)

    def _is_flood(self, now: float) -> bool:
        """Whether nearly every call is refused: of the last that were sent, or of the last that ended."""
        if now < self._immune_until_s:
            return all(self._known_fates(now, 6)) and len(self._known_fates(now, 6)) == 6
        needed, among = (4, 5) if self.rate is inf else (5, 6)
        if sum(self._known_fates(now, among)) >= needed:
            return True
        ended = [ticket.refused for ticket in self._last_ended if ticket.sent_s >= self._resumed_s]
        return len(ended) >= 6 and sum(ended) >= (5 if self._successes else len(ended))

    def _known_fates(self, now: float, among: int) -> list[bool]:
        """Of the last calls sent, whether each was refused; one under way longer than a refusal takes was not."""
        fates: list[bool] = []
        for ticket in reversed(self._last):
            if now - ticket.sent_s > 1.2 * self._refusal_s:
                fates.append(ticket.refused)
                if len(fates) == among:
                    break
        return fates

    def _end_ramp(self, now: float) -> None:
        self.rate = max(0.75 * self.rate, 0.1)
        # A refusal right after the pause says that the pause was short, not that this is all the server takes.
        self._is_ramp = self._taken_since(self._resumed_s) < 5
        self._is_confirmed, self._slowed = False, True
        self._rate_grown_s = now
        self._next_send_s = max(self._next_send_s, now + 1 / self.rate)
        self._begin_cohort()
        self._note(now, "refused for the rate")

    def _pause(self, now: float) -> None:
        """Nobody calls until the server takes calls again."""
        until = now + min(max(self._retry_after_s, 0.05), _LONGEST_PAUSE_S)
        if until <= self._pause_until_s:
            return
        if self.rate is inf:
            # What a burst gave is not a rate: count the pause too, then feel the way up.
            since = min(max(until - 10.0, self._first_s or 0.0), until - 1.0)
            under_way = sum(not ticket.ended and now - ticket.sent_s > 1.2 * self._refusal_s for ticket in self._last)
            self.rate = max((self._taken_since(since) + under_way) / (until - since), 1.0)
            self._is_ramp = True
            self._cut_limit(max(0.9 * self.in_flight, 2.0))
        else:
            self._is_confirmed, self._is_ramp = not self._is_ramp, False
            taken = self._taken(until, max(until - _LONG_WINDOW_S, self._first_s or 0.0))
            self.rate = max(min(0.8 * self.rate, 0.93 * taken), 0.5 * self.rate, 0.1)
        self._pause_until_s = self._rate_grown_s = self._resumed_s = self._next_send_s = until
        self._last.clear()
        self._last_ended.clear()
        self._unexplained = 0
        self._begin_cohort()
        self._note(now, f"every call is refused, waiting {until - now:.2f} s")

    def _taken(self, now: float, since: float) -> float:
        """Calls a second that the server took."""
        return self._taken_since(since) / max(now - since, 0.1)

    def _taken_since(self, since: float) -> int:
        return sum(1 for moment in self._successes if moment > since)

    def _begin_cohort(self) -> None:
        self._cohort += 1
        self._cohort_sent = self._cohort_ended = self._cohort_refused = 0

    def _judge(self, now: float) -> None:
        """All calls of a cohort have ended: was the pace right?"""
        refused = self._cohort_refused
        share = refused / self._cohort_sent
        usual = self._usual_refused / self._usual_sent if self._usual_sent else 0.0
        self._usual_refused = 0.6 * self._usual_refused + refused
        self._usual_sent = 0.6 * self._usual_sent + self._cohort_sent
        taken_per_s = (self._cohort_sent - 1) * (1 - share) / max(self._cohort_last_s - self._cohort_first_s, 0.001)
        self._begin_cohort()
        if now < self._immune_until_s:
            if share > self._immune_share + 0.3:
                self._immune_until_s = 0.0
            elif share > 0.4 * self._immune_share:
                self._immune_until_s = now + _IMMUNE_S
        elif refused <= _TOLERATED_REFUSALS:
            if not refused:
                self._unexplained = max(0, self._unexplained - 1)
            elif self.rate is not inf:
                self.rate *= 0.98
        else:
            # We slowed down to less than what the server took, and it refuses as before: it is not about our pace.
            self._unexplained += self._slowed and 0.6 * usual <= share <= 0.6
            if self._unexplained >= _PATIENCE:
                self._ignore_refusals(now, share)
            else:
                self._slow_down(now, share, taken_per_s)

    def _ignore_refusals(self, now: float, share: float) -> None:
        self._immune_until_s, self._immune_share = now + _IMMUNE_S, share
        self.rate, self._is_ramp, self._unexplained, self._slowed = inf, False, 0, False
        self.limit = max(self.limit, min(self._limit_before, self.most))
        self._is_slow_start = True
        self._note(now, "refusals do not depend on our pace")

    def _slow_down(self, now: float, share: float, taken_per_s: float) -> None:
        """Less at once while that is what limits us, else fewer a second: a bit less than the server took."""
        self._slowed = True
        if self.rate is inf and self.limit >= 4:
            self._cut_limit(0.95 * (1 - share) * self.limit)
        else:
            self.rate = max(
                min(0.98 * self.rate, 0.95 * taken_per_s), 0.5 * self.rate if self.rate is not inf else 0.0, 0.1
            )
            self._is_confirmed, self._is_ramp = not self._is_ramp, False
            self._rate_grown_s = now
            self._next_send_s = max(self._next_send_s, now + 1 / self.rate)
        self._note(now, "refused for the rate")

    def _grow_rate(self, now: float) -> None:
        """Doubles twice a second while feeling the way up; holds after a refusal, then probes faster and faster."""
        passed_s = min(max(now - self._rate_grown_s, 0.0), 1.0)
        quiet_s = now - self._refused_s
        self._rate_grown_s = max(now, self._rate_grown_s)
        if self._is_ramp:
            self.rate *= 4**passed_s
        else:
            near = 0.005 if self._is_confirmed else 0.2
            a_second = 0.0 if quiet_s < 3 else near if quiet_s < 10 else 0.06 if quiet_s < 30 else 0.2
            self.rate *= (1 + a_second) ** passed_s
        if quiet_s > 120 or self.rate > 20_000:
            self.rate, self._is_ramp = inf, False

    def _note(self, now: float, reason: str) -> None:
        if len(self.history) < 10_000:
            rate = None if self.rate is inf else round(self.rate, 2)
            self.history.append(Change(round(now, 3), int(self.limit), rate, reason))
