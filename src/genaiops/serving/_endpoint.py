"""Prove that an endpoint answers: readiness, the sample request, declared outputs, time, streaming, assertions.

Nothing is called deployed or built before this has passed. What may be a matter of starting up is tried again; a
wrong answer is not.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genaiops.errors import GenaiopsError, InputError

_STARTING = frozenset({502, 503, 504})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 3.0
_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class EndpointCheck:
    """One thing that was looked at."""

    name: str
    passed: bool
    found: str

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {"name": self.name, "passed": self.passed, "found": self.found}


@dataclass(frozen=True, kw_only=True)
class EndpointReport:
    """What an endpoint did with the sample request.

    Args:
        url: Its address.
        checks: In the order they were made.
        answer: What it answered, when it was JSON.
        latency_s: Of the sample request.
    """

    url: str
    checks: tuple[EndpointCheck, ...]
    answer: Any = None
    latency_s: float | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was as it should be; nothing looked at is not."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "url": self.url,
            "passed": self.passed,
            "latency_s": self.latency_s,
            "checks": [check.to_json() for check in self.checks],
            "answer": self.answer,
        }


@dataclass(frozen=True, kw_only=True)
class EndpointExpectation:
    """What a good endpoint does.

    Args:
        sample: The body of the request.
        outputs: Names that the answer must hold; empty when nothing is declared.
        max_latency_s: The longest time that is still good.
        streaming: Ask for server-sent events too.
        expected: Output name to `equals`, `contains`, `matches` or `min_length`, from the use case.
        headers: More request headers (a key).
        ready_timeout_s: How long it may take to be ready.
    """

    sample: Any
    outputs: Sequence[str] = ()
    max_latency_s: float | None = None
    streaming: bool = False
    expected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 60.0


def check_endpoint(
    url: str, expectation: EndpointExpectation, *, clock: Callable[[], float] = time.monotonic
) -> EndpointReport:
    """Ask an endpoint the sample request and look at its answer.

    Args:
        url: The server's address, with or without `/score`.
        expectation: What a good answer is.
        clock: Seconds, for tests.

    Raises:
        InputError: The address is no http(s) address.
    """
    base = _base_of(url)
    checks: list[EndpointCheck] = [_wait_until_ready(base, expectation, clock)]
    if not checks[0].passed:
        return EndpointReport(url=base, checks=tuple(checks))
    started = clock()
    try:
        status, content_type, body = _request(base, "/score", expectation)
    except OSError as error:
        checks.append(EndpointCheck(name="answer", passed=False, found=f"no answer: {error}"))
        return EndpointReport(url=base, checks=tuple(checks))
    latency_s = clock() - started
    text = body.decode("utf-8", "replace")
    checks.append(EndpointCheck(name="status", passed=status == 200, found=f"{status} {_short(text)}"))
    answer = _parse(body)
    if status == 200:
        is_json = content_type.startswith("application/json") and answer is not _NOT_JSON
        checks.append(EndpointCheck(name="JSON", passed=is_json, found=content_type or "no content type"))
        checks += _check_outputs(answer, expectation)
        if expectation.streaming:
            checks.append(_check_stream(base, expectation))
    if expectation.max_latency_s is not None:
        fast = latency_s <= expectation.max_latency_s
        found = f"{latency_s:.3f} s, at most {expectation.max_latency_s:g} s"
        checks.append(EndpointCheck(name="latency", passed=fast, found=found))
    shown = None if answer is _NOT_JSON else answer
    return EndpointReport(url=base, checks=tuple(checks), answer=shown, latency_s=round(latency_s, 4))


_NOT_JSON = object()


def read_sample(path: Path) -> Any:
    """The sample request of a use case.

    Raises:
        InputError: It is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The sample request {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The sample request is no JSON: {error}.", file=path) from error


def _base_of(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"Expected an address such as http://127.0.0.1:8080, found {url!r}.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/score')}"


def _wait_until_ready(base: str, expectation: EndpointExpectation, clock: Callable[[], float]) -> EndpointCheck:
    """Ready when `/readyz` says 200; servers without it are ready when `/health` does."""
    deadline = clock() + expectation.ready_timeout_s
    wait_s, last = _FIRST_WAIT_S, "not asked"
    while True:
        for path in ("/readyz", "/health"):
            try:
                status, _, body = _request(base, path, expectation, method="GET")
            except OSError as error:
                last = f"no connection: {error}"
                break
            if status == 200:
                return EndpointCheck(name="ready", passed=True, found=f"{path} answered 200")
            last = f"{path} answered {status} {_short(body.decode('utf-8', 'replace'))}"
            if status in _STARTING:
                break
        if clock() + wait_s > deadline:
            found = f"not within {expectation.ready_timeout_s:g} s; {last}"
            return EndpointCheck(name="ready", passed=False, found=found)
        time.sleep(wait_s)
        wait_s = min(_LONGEST_WAIT_S, wait_s * 1.5)


def _request(
    base: str, path: str, expectation: EndpointExpectation, *, method: str = "POST", accept: str = "application/json"
) -> tuple[int, str, bytes]:
    parts = urlsplit(base)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.netloc, timeout=max(expectation.max_latency_s or 0, 120))
    try:
        body = json.dumps(expectation.sample).encode("utf-8") if method == "POST" else None
        headers = {"Content-Type": "application/json", "Accept": accept, **expectation.headers}
        connection.request(method, f"{parts.path}{path}", body, headers)
        reply = connection.getresponse()
        return reply.status, reply.getheader("Content-Type", ""), reply.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _check_outputs(answer: Any, expectation: EndpointExpectation) -> list[EndpointCheck]:
    checks = []
    if expectation.outputs and isinstance(answer, dict):
        missing = [name for name in expectation.outputs if name not in answer]
        found = f"missing: {', '.join(missing)}" if missing else f"all of {', '.join(expectation.outputs)}"
        checks.append(EndpointCheck(name="outputs", passed=not missing, found=found))
    for name, rules in expectation.expected.items():
        value = answer.get(name) if isinstance(answer, dict) else answer
        checks += [_check_rule(name, rule, wanted, value) for rule, wanted in rules.items()]
    return checks


def _check_rule(name: str, rule: str, wanted: Any, value: Any) -> EndpointCheck:
    rules: dict[str, Callable[[], bool]] = {
        "equals": lambda: bool(value == wanted),
        "contains": lambda: str(wanted) in str(value),
        "one_of": lambda: value in wanted,
        "min_length": lambda: value is not None and len(value) >= int(wanted),
    }
    if rule not in rules:
        raise InputError(f"Unknown assertion {rule!r} for {name!r}.", hint=f"Valid: {', '.join(sorted(rules))}.")
    return EndpointCheck(name=f"{name} {rule} {wanted!r}", passed=rules[rule](), found=_short(str(value)))


def _check_stream(base: str, expectation: EndpointExpectation) -> EndpointCheck:
    try:
        status, content_type, body = _request(base, "/score", expectation, accept="text/event-stream, application/json")
    except OSError as error:
        return EndpointCheck(name="streaming", passed=False, found=f"no answer: {error}")
    is_stream = status == 200 and content_type.startswith("text/event-stream") and body.startswith(b"data: ")
    return EndpointCheck(name="streaming", passed=is_stream, found=f"{status} {content_type}")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return _NOT_JSON


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


class EndpointFailed(GenaiopsError):
    """The endpoint does not answer as it should."""
