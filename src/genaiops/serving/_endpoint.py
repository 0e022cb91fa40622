"""Prove that an endpoint answers: readiness, the sample request, schema, declared outputs, time, streaming, assertions.

Nothing is called deployed or built before this has passed. What may be a matter of starting up is tried again; a
wrong answer is not.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from genaiops.errors import GenaiopsError, InputError
from genaiops.records import record
from genaiops.serving._assertions import RULES

_OK = 200
# What a proxy or a server says while it starts.
_STARTING = frozenset({502, 503, 504})
_KEY_REFUSED = frozenset({401, 403})
# OpenSSL's words for an answer that is no TLS.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 3.0
_PATIENCE_S = 120.0
_SHOWN = 300


@record(frozen=True, kw_only=True)
class EndpointCheck:
    """One thing that was looked at."""

    name: str
    passed: bool
    found: str

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {"name": self.name, "passed": self.passed, "found": self.found}


@record(frozen=True, kw_only=True)
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


@record(frozen=True, kw_only=True)
class EndpointExpectation:
    """What a good endpoint does.

    Args:
        sample: The body of the request.
        outputs: Names that the answer must hold; empty for those that the server's own description names.
        max_latency_s: The longest time that is still good.
        streaming: Ask for server-sent events too.
        expected: Output name to rules, from the use case; see `RULES`.
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
    url: str,
    expectation: EndpointExpectation,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> EndpointReport:
    """Ask an endpoint the sample request and look at its answer.

    Args:
        url: The server's address, with or without `/score`.
        expectation: What a good answer is.
        clock: Seconds, for tests.
        sleep: Waits, for tests.

    Raises:
        InputError: The address is no http(s) address.
    """
    return _Endpoint(_base_of(url), expectation, clock, sleep).check()


def read_sample(path: Path) -> Any:
    """The sample request of a use case.

    Raises:
        InputError: It is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "Write one: a JSON object with the flow's inputs; or name another with --sample FILE."
        raise InputError(f"The sample request {path} cannot be read: {error.strerror}.", hint=hint) from error
    except json.JSONDecodeError as error:
        raise InputError(f"The sample request is no JSON: {error.msg}.", file=path, line=error.lineno) from error


class _Reply(NamedTuple):
    status: int
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body's JSON, `_NOT_JSON` when it is none."""
        try:
            return json.loads(self.body) if self.content_type.startswith("application/json") else _NOT_JSON
        except ValueError:
            return _NOT_JSON


_NOT_JSON = object()


class _Endpoint:
    """One endpoint under test."""

    def __init__(
        self,
        base: str,
        expectation: EndpointExpectation,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._base = base
        self._expectation = expectation
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock() + expectation.ready_timeout_s
        self._latency_s: float | None = None
        self._answer: Any = _NOT_JSON

    def check(self) -> EndpointReport:
        checks = tuple(self._checks())
        answer = self._answer if self._answer is not _NOT_JSON else None
        latency_s = round(self._latency_s, 4) if self._latency_s is not None else None
        return EndpointReport(url=self._base, checks=checks, answer=answer, latency_s=latency_s)

    def _checks(self) -> Iterator[EndpointCheck]:
        ready = self._check_ready()
        yield ready
        if not ready.passed:
            return
        reply = self._sample_reply()
        if isinstance(reply, str):
            yield EndpointCheck(name="answer", passed=False, found=reply)
            return
        self._answer = reply.json
        said = f"{reply.status} {_short(reply.text)}{self._about_key(reply.status)}"
        yield EndpointCheck(name="status", passed=reply.status == _OK, found=said)
        if reply.status == _OK:
            is_json = self._answer is not _NOT_JSON
            yield EndpointCheck(name="JSON", passed=is_json, found=reply.content_type or "no content type")
            if is_json:
                yield from self._check_content(self._answer)
        yield from self._check_latency()

    def _about_key(self, status: int) -> str:
        if status not in _KEY_REFUSED:
            return ""
        if any(name.lower() in ("authorization", "api-key") for name in self._expectation.headers):
            return " (the key that was sent is not accepted)"
        return " (no key was sent: set GENAIOPS_ENDPOINT_KEY)"

    def _check_ready(self) -> EndpointCheck:
        """Ready when `/readyz` says 200; servers without it are ready when `/health` does."""
        last = "not asked"
        for _ in self._tries():
            for path in ("/readyz", "/health"):
                try:
                    reply = self._request(path, method="GET")
                except OSError as error:
                    if hopeless := _not_a_matter_of_time(error):
                        return EndpointCheck(name="ready", passed=False, found=hopeless)
                    last = f"no connection: {error}"
                    break
                if reply.status == _OK:
                    return EndpointCheck(name="ready", passed=True, found=f"{path} answered 200")
                last = f"{path} answered {reply.status} {_short(reply.text)}"
                if reply.status in _STARTING:
                    break
        found = f"not within {self._expectation.ready_timeout_s:g} s; {last}"
        return EndpointCheck(name="ready", passed=False, found=found)

    def _sample_reply(self) -> _Reply | str:
        """The answer to the sample request; a proxy may say no for a while though the server is ready."""
        last: _Reply | str = "not asked"
        for _ in self._tries():
            started = self._clock()
            try:
                last = self._request("/score")
            except TimeoutError:
                return f"no answer within {self._patience_s():g} s"
            except OSError as error:
                last = f"no answer: {error}"
                continue
            self._latency_s = self._clock() - started
            if last.status not in _STARTING:
                break
        return last

    def _check_content(self, answer: Any) -> Iterator[EndpointCheck]:
        described = self._description()
        if described is not None:
            yield _check_schema(described, self._expectation.sample, answer)
        outputs = self._expectation.outputs
        if outputs:
            missing = [name for name in outputs if not isinstance(answer, dict) or name not in answer]
            found = f"missing: {', '.join(missing)}" if missing else f"all of {', '.join(outputs)}"
            yield EndpointCheck(name="outputs", passed=not missing, found=found)
        for name, rules in self._expectation.expected.items():
            # A function that returns one value answers with it bare.
            value = answer.get(name) if isinstance(answer, dict) else answer
            for rule, wanted in rules.items():
                passed = bool(RULES[rule].holds(value, wanted))
                yield EndpointCheck(name=f"{name} {rule} {json.dumps(wanted)}", passed=passed, found=_short(str(value)))
        if self._expectation.streaming:
            yield self._check_stream()

    def _check_latency(self) -> Iterator[EndpointCheck]:
        most_s = self._expectation.max_latency_s
        if most_s is not None and self._latency_s is not None:
            found = f"{self._latency_s:.3f} s, at most {most_s:g} s"
            yield EndpointCheck(name="latency", passed=self._latency_s <= most_s, found=found)

    def _check_stream(self) -> EndpointCheck:
        try:
            reply = self._request("/score", accept="text/event-stream, application/json")
        except OSError as error:
            return EndpointCheck(name="streaming", passed=False, found=f"no answer: {error}")
        events = [line for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
        is_stream = reply.status == _OK and reply.content_type.startswith("text/event-stream")
        broken = b"event: error" in reply.body or b"event: end" in reply.body
        found = f"{reply.status} {reply.content_type}, {len(events)} events" + (", the last an error" if broken else "")
        return EndpointCheck(name="streaming", passed=is_stream and bool(events) and not broken, found=found)

    def _description(self) -> dict[str, Any] | None:
        """The server's own description of `/score`; None when it has none."""
        try:
            document = self._request("/swagger.json", method="GET").json
        except OSError:
            return None
        operation = _within(document, "paths", "/score", "post")
        return operation if isinstance(operation, dict) else None

    def _tries(self) -> Iterator[None]:
        """One try, and more with growing pauses until the time to be ready is over."""
        wait_s = _FIRST_WAIT_S
        yield
        while self._clock() + wait_s <= self._deadline:
            self._sleep(wait_s)
            wait_s = min(_LONGEST_WAIT_S, wait_s * 1.5)
            yield

    def _patience_s(self) -> float:
        return max(self._expectation.max_latency_s or 0, _PATIENCE_S)

    def _request(self, path: str, *, method: str = "POST", accept: str = "application/json") -> _Reply:
        parts = urlsplit(self._base)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.netloc, timeout=self._patience_s())
        try:
            body = json.dumps(self._expectation.sample).encode("utf-8") if method == "POST" else None
            headers = {"Content-Type": "application/json", "Accept": accept, **self._expectation.headers}
            connection.request(method, f"{parts.path}{path}", body, headers)
            reply = connection.getresponse()
            return _Reply(reply.status, reply.getheader("Content-Type", ""), reply.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()


def _not_a_matter_of_time(error: OSError) -> str | None:
    """What no waiting mends."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"nobody here trusts its certificate ({error.verify_message}): name its authority's file in SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "it does not speak TLS there; an address that begins with http:// may be meant"
    return None


def _base_of(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"Expected an address such as http://127.0.0.1:8080, found {url!r}.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/score')}"


_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def _check_schema(operation: Mapping[str, Any], sample: Any, answer: Any) -> EndpointCheck:
    """Whether sample and answer are what the server says it takes and gives."""
    taken = _within(operation, "requestBody", "content", "application/json", "schema", "properties") or {}
    given = _within(operation, "responses", "200", "content", "application/json", "schema", "properties") or {}
    wrong = [f"the sample {text}" for text in _mismatches(taken, sample)] if isinstance(sample, dict) else []
    if isinstance(answer, dict):
        missing = [name for name in given if name not in answer]
        wrong += [f"the answer lacks {', '.join(missing)}"] if missing else []
        wrong += [f"the answer {text}" for text in _mismatches(given, answer)]
    found = "; ".join(wrong) or "the sample and the answer are as /swagger.json says"
    return EndpointCheck(name="schema", passed=not wrong, found=found)


def _mismatches(properties: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in properties.items():
        types, value = _JSON_TYPES.get(schema.get("type")), values.get(name)
        # Inputs are converted, so a number may come as a text; what has no type or is null may be anything.
        if types is not None and value is not None and not isinstance(value, (*types, str)):
            yield f"holds {name} as {type(value).__name__}, not as {schema['type']}"


def _within(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


class EndpointFailed(GenaiopsError):
    """The endpoint does not answer as it should."""
