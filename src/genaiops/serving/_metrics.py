"""Counters of a worker, added up over all of them, in the text format that Prometheus reads.

Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from genaiops.flows import Outcome

# Upper bounds in seconds: from a Python-only flow (a millisecond) to a long talk with a model (minutes).
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Histogram:
    """How often each duration was seen."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in seconds."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> list[str]:
        """The series of one histogram."""
        found, running = [], 0
        for bound, count in zip((*BUCKETS, "+Inf"), self.counts, strict=True):
            running += count
            found.append(f'{name}_bucket{{{labels},le="{bound}"}} {running}')
        return [*found, f"{name}_sum{{{labels}}} {self.total:.6f}", f"{name}_count{{{labels}}} {running}"]


class Metrics:
    """What a worker has done so far."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.durations: dict[str, Histogram] = {}
        self.rows: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.refused = 0
        self.disconnected = 0

    def count_request(self, route: str, status: int, duration_s: float) -> None:
        """Count one answered request."""
        self.requests[route, status] += 1
        histogram = self.durations.get(route)
        if histogram is None:
            histogram = self.durations[route] = Histogram()
        histogram.observe(duration_s)

    def count_outcome(self, outcome: Outcome) -> None:
        """Count one row and its tokens."""
        self.rows[outcome.status] += 1
        if outcome.tokens:
            self.tokens["input"] += outcome.tokens.input
            self.tokens["output"] += outcome.tokens.output

    def to_json(self) -> dict[str, Any]:
        """The form that workers show each other."""
        return {
            "requests": [[route, status, count] for (route, status), count in self.requests.items()],
            "durations": {route: [*found.counts, found.total] for route, found in self.durations.items()},
            "rows": dict(self.rows),
            "tokens": dict(self.tokens),
            "refused": self.refused,
            "disconnected": self.disconnected,
        }

    def add(self, figures: Mapping[str, Any]) -> None:
        """Add what another worker has done."""
        for route, status, count in figures["requests"]:
            self.requests[route, status] += count
        for route, (*counts, total) in figures["durations"].items():
            histogram = self.durations.setdefault(route, Histogram())
            histogram.counts = [ours + theirs for ours, theirs in zip(histogram.counts, counts, strict=True)]
            histogram.total += total
        self.rows.update(figures["rows"])
        self.tokens.update(figures["tokens"])
        self.refused += figures["refused"]
        self.disconnected += figures["disconnected"]


def metrics_text(metrics: Metrics, gauges: Iterable[Mapping[str, int]]) -> str:
    """All series.

    Args:
        metrics: What all workers have done.
        gauges: How each of them is now: `in_flight`, `waiting`, `stuck`, `ready`.
    """
    workers = list(gauges)
    stuck = sum(worker["stuck"] for worker in workers)
    lines = [
        "# HELP genaiops_requests_total Requests answered.",
        "# TYPE genaiops_requests_total counter",
        *(
            f'genaiops_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(metrics.requests.items())
        ),
        "# HELP genaiops_request_duration_seconds From the first byte of a request to the end of its answer.",
        "# TYPE genaiops_request_duration_seconds histogram",
    ]
    for route, histogram in sorted(metrics.durations.items()):
        lines += histogram.lines("genaiops_request_duration_seconds", f'route="{route}"')
    lines += [
        "# HELP genaiops_rows_total Rows that went through the flow.",
        "# TYPE genaiops_rows_total counter",
        *(f'genaiops_rows_total{{status="{status}"}} {count}' for status, count in sorted(metrics.rows.items())),
        "# HELP genaiops_tokens_total Tokens that model calls used.",
        "# TYPE genaiops_tokens_total counter",
        *(f'genaiops_tokens_total{{kind="{kind}"}} {count}' for kind, count in sorted(metrics.tokens.items())),
    ]
    for name, kind, help_text, value in (
        ("refused_total", "counter", "Requests refused because the queue was full.", metrics.refused),
        ("disconnected_total", "counter", "Clients that left before their answer.", metrics.disconnected),
        ("rows_in_flight", "gauge", "Rows in flight now.", sum(worker["in_flight"] for worker in workers)),
        ("requests_waiting", "gauge", "Requests waiting for a slot now.", sum(worker["waiting"] for worker in workers)),
        ("threads_stuck", "gauge", "Threads that run flow code for requests answered already.", stuck),
        ("ready", "gauge", "1 when new requests are welcome.", min(worker["ready"] for worker in workers)),
        ("workers", "gauge", "Worker processes whose figures these are.", len(workers)),
    ):
        lines += [
            f"# HELP genaiops_{name} {help_text}",
            f"# TYPE genaiops_{name} {kind}",
            f"genaiops_{name} {value}",
        ]
    return "\n".join(lines) + "\n"
