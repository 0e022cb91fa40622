"""Servers with limits and a crowd of calls, on a clock of their own: an hour of traffic in milliseconds."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from genaiops.connections._pace import Pace

# A server decides about one call: None takes it, a number is its Retry-After. Gets the time and the calls it holds.
Server = Callable[[float, int], float | None]


@dataclass
class Traffic:
    seconds: float
    calls: int
    requests: int
    pace: Pace
    most_in_flight: int

    @property
    def per_s(self) -> float:
        return self.calls / self.seconds

    @property
    def requests_per_success(self) -> float:
        return self.requests / self.calls


def run(
    server: Server, calls: int, *, latency_s: float, refusal_s: float = 0.002, demand: int = 10**9, most: int = 256
) -> Traffic:
    """Send `calls` calls as fast as the pace allows; a refused one comes back after its Retry-After."""
    pace = Pace(most=most)
    events: list[tuple[float, int, str, object, float]] = []
    now, number, done, requests, held, ready, highest = 0.0, 0, 0, 0, 0, calls, 0
    rng = random.Random(1)
    next_wake = inf
    while done < calls:
        while ready and pace.in_flight < demand:
            wait_s = pace.wait_s(now)
            if wait_s == inf:
                break
            number += 1
            if wait_s > 0:
                if now + wait_s < next_wake - 1e-9:
                    next_wake = now + wait_s
                    heapq.heappush(events, (next_wake, number, "wake", None, 0.0))
                break
            ready, requests = ready - 1, requests + 1
            ticket = pace.sent(now)
            highest = max(highest, pace.in_flight)
            retry_after = server(now, held)
            if retry_after is None:
                held += 1
                heapq.heappush(events, (now + latency_s * rng.uniform(0.9, 1.1), number, "answered", ticket, 0.0))
            else:
                heapq.heappush(events, (now + refusal_s, number, "refused", ticket, retry_after))
        now, number, what, ticket, retry_after = heapq.heappop(events)
        if what == "wake":
            next_wake = inf
        elif what == "answered":
            held, done = held - 1, done + 1
            pace.succeeded(ticket, now)
        elif what == "refused":
            pace.refused(ticket, now, retry_after)
            heapq.heappush(events, (now + retry_after, number, "back", None, 0.0))
        else:
            ready += 1
    return Traffic(now, calls, requests, pace, highest)


def free(now: float, held: int) -> float | None:
    return None


def bucket(per_s: float, burst: float, retry_after_s: float | None = None) -> Server:
    """Takes `per_s` calls a second on average, up to `burst` saved up."""
    level, seen = burst, 0.0

    def decide(now: float, held: int) -> float | None:
        nonlocal level, seen
        level, seen = min(burst, level + (now - seen) * per_s), now
        if level >= 1:
            level -= 1
            return None
        return retry_after_s if retry_after_s is not None else (1 - level) / per_s

    return decide


def window(per_s: int) -> Server:
    """Takes so many calls in each second of the clock."""
    second, taken = -1, 0

    def decide(now: float, held: int) -> float | None:
        nonlocal second, taken
        if int(now) != second:
            second, taken = int(now), 0
        taken += 1
        return None if taken <= per_s else second + 1 - now

    return decide


def crowded(most: int) -> Server:
    """Holds at most so many calls at once."""
    return lambda now, held: None if held < most else 0.5


def moody(share: float, seed: int) -> Server:
    """Refuses at random, whatever we do."""
    rng = random.Random(seed)
    return lambda now, held: 0.1 if rng.random() < share else None
