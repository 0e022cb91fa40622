"""Live and simulated calls of one event loop: a slot, a try, again if that helps."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple, Protocol

from genaiops.connections._base import Connection
from genaiops.connections._calls import (
    ModelReply,
    Source,
    body_of_chunks,
    estimate_tokens,
    model_endpoint,
    reply_from_body,
)
from genaiops.connections._errors import ModelCallError, ModelRefusedError, RetriesExhaustedError
from genaiops.connections._faults import SimulatedWire
from genaiops.connections._lane import Lane
from genaiops.connections._pace import Change, Pace, Ticket
from genaiops.connections._ready import require_address
from genaiops.connections._redaction import Redactor
from genaiops.connections._retry import Tries, WireError
from genaiops.connections._types import SimulatedConnection
from genaiops.connections._wire import OpenAIWire, WireReply, load_transport
from genaiops.errors import GenaiopsError
from genaiops.plain_text import plural
from genaiops.records import record

_CHUNK_BOUND_S = 120.0
_REFUSED = frozenset({401, 403, 404})


class Wire(Protocol):
    """How one try goes out."""

    async def send(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> WireReply: ...

    def stream(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> AsyncGenerator[dict[str, Any], None]: ...

    async def aclose(self) -> None: ...


@record(frozen=True, kw_only=True)
class EngineOptions:
    """Limits for all calls; see `Models`."""

    max_concurrency: int
    rpm: float
    tpm: float
    deadline_s: float
    redact: Callable[[str], str]
    clock: Callable[[], float]
    rng: random.Random
    expected: int = 0


class Asked(NamedTuple):
    """One call as it was asked for."""

    connection: Connection
    api: str
    body: Mapping[str, Any]
    timeout_s: float | None
    headers: Mapping[str, str] | None

    @property
    def source(self) -> Source:
        return "simulated" if isinstance(self.connection, SimulatedConnection) else "live"


@dataclass(slots=True)
class _Course:
    """How one call goes: its tries and where its time went."""

    tries: Tries
    asked_s: float
    sent_s: float
    timeouts: int = 0


class Engine:
    """Clients and limiters of one event loop.

    Args:
        options: Limits for all calls.
        troubles: Counts failed tries by kind, shared with other engines.
    """

    def __init__(self, options: EngineOptions, troubles: Counter[str]) -> None:
        self._options = options
        self._troubles = troubles
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._live: OpenAIWire | None = None
        self._simulated = SimulatedWire()
        self._guard: AsyncGenerator[None, None] | None = None

    async def open(self) -> None:
        """Make sure that connections are closed with the loop, whoever forgets to."""
        if self._guard is None:
            # A loop that ends closes the asynchronous generators that began in it.
            self._guard = self._close_in_the_end()
            await anext(self._guard)

    async def call(self, asked: Asked) -> ModelReply:
        """One reply, after as many tries as it takes.

        Raises:
            ModelCallError: It failed for good.
        """
        lane, wire = self._lane(asked), await self._wire(asked)
        course: _Course | None = None
        asked_s = self._options.clock()
        while True:
            body = lane.fit(asked.body)
            tokens = estimate_tokens(body) if self._options.tpm else 0
            ticket = await lane.limiter.acquire(tokens=tokens, is_retry=course is not None)
            course = self._course(course, asked, asked_s)
            try:
                reply = await self._send(lane, wire, asked, body, course)
            except WireError as error:
                await self._after_failure(lane, asked, body, ticket, error, course)
                continue
            except BaseException as error:
                lane.limiter.failed(ticket)
                raise self._unexpected(error, asked, course) from error
            return self._finish(lane, asked, ticket, reply, course, tokens)

    async def stream(self, asked: Asked) -> AsyncGenerator[dict[str, Any], None]:
        """Chunks of one reply; tried again only before the first one. Ends with the whole reply under `"_reply"`.

        Raises:
            ModelCallError: It failed for good, or broke off.
        """
        lane, wire = self._lane(asked), await self._wire(asked)
        course: _Course | None = None
        asked_s = self._options.clock()
        while True:
            body = lane.fit(asked.body)
            tokens = estimate_tokens(body) if self._options.tpm else 0
            ticket = await lane.limiter.acquire(tokens=tokens, is_retry=course is not None)
            course = self._course(course, asked, asked_s)
            chunks: list[dict[str, Any]] = []
            try:
                async with aclosing(self._chunks(lane, wire, asked, body, course)) as incoming:
                    async for chunk in incoming:
                        if not chunks:
                            first_s = self._options.clock() - course.sent_s
                        chunks.append(chunk)
                        yield chunk
            except WireError as error:
                if chunks:
                    lane.limiter.failed(ticket)
                    raise self._broken(error, asked, course) from error
                await self._after_failure(lane, asked, body, ticket, error, course)
                continue
            except BaseException as error:
                lane.limiter.failed(ticket)
                raise self._unexpected(error, asked, course) from error
            # The server's part ended with the first chunk; how fast the rest is read is the reader's affair.
            ticket.sent_s = self._options.clock() - first_s
            whole = WireReply(body_of_chunks(chunks), {})
            yield {"_reply": self._finish(lane, asked, ticket, whole, course, tokens)}
            return

    def limits(self) -> dict[str, list[Change]]:
        """How the limits of each deployment changed."""
        return {lane.name: lane.limiter.pace.history for lane in self._lanes.values()}

    def lanes(self) -> list[Lane]:
        return list(self._lanes.values())

    async def aclose(self) -> None:
        """Close connections; calls that wait for a slot are cancelled."""
        if self._guard is not None:
            await self._guard.aclose()

    def expect(self, concurrency: int) -> None:
        """So many calls will be asked for at once."""
        self._options = replace(self._options, expected=concurrency)
        for lane in self._lanes.values():
            lane.limiter.pace.expect(concurrency)

    async def _close_in_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for lane in self._lanes.values():
                lane.limiter.close()
            live, self._live = self._live, None
            if live is not None:
                await live.aclose()

    def _lane(self, asked: Asked) -> Lane:
        key = (model_endpoint(asked.connection), str(asked.body.get("model") or ""))
        lane = self._lanes.get(key)
        if lane is None:
            require_address(asked.connection)
            options = self._options
            pace = Pace(most=options.max_concurrency, rate_cap=options.rpm / 60 if options.rpm else inf)
            pace.expect(options.expected)
            name = f"{key[1] or 'the model'} at {key[0]}"
            lane = Lane(name, pace, clock=options.clock, tokens_per_minute=options.tpm)
            self._lanes[key] = lane
        return lane

    async def _wire(self, asked: Asked) -> Wire:
        if asked.source == "simulated":
            return self._simulated
        if self._live is None:
            # Much work, once: other rows go on meanwhile, and no call's time includes it.
            await asyncio.to_thread(load_transport)
            self._live = self._live or OpenAIWire()
        return self._live

    def _course(self, course: _Course | None, asked: Asked, asked_s: float) -> _Course:
        now = self._options.clock()
        if course is None:
            # The deadline runs from the first try: waiting for a slot is no failure.
            deadline_s = now + (asked.timeout_s or self._options.deadline_s)
            return _Course(Tries(deadline_s, self._options.rng), asked_s, now)
        course.sent_s = now
        return course

    async def _send(self, lane: Lane, wire: Wire, asked: Asked, body: Mapping[str, Any], course: _Course) -> WireReply:
        latest_s = course.tries.deadline_s
        bound_s = min(lane.try_bound_s(course.timeouts), latest_s - course.sent_s)
        try:
            async with asyncio.timeout(bound_s) as timeout:
                watch = lane.watch(timeout, course.sent_s, course.timeouts, latest_s)
                try:
                    return await wire.send(asked.connection, asked.api, body, asked.headers)
                finally:
                    lane.unwatch(watch)
        except TimeoutError as error:
            course.timeouts += 1
            waited_s = self._options.clock() - course.sent_s
            raise WireError("timeout", f"No reply after {waited_s:.0f} s.", name="APITimeoutError") from error

    async def _chunks(
        self, lane: Lane, wire: Wire, asked: Asked, body: Mapping[str, Any], course: _Course
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of one try, each within its time."""
        bound_s = min(lane.try_bound_s(course.timeouts), course.tries.deadline_s - course.sent_s)
        has_ended = False
        async with aclosing(wire.stream(asked.connection, asked.api, body, asked.headers)) as incoming:
            while True:
                try:
                    async with asyncio.timeout(bound_s):
                        chunk = await anext(incoming, None)
                except TimeoutError as error:
                    course.timeouts += 1
                    raise WireError("timeout", f"Nothing came for {bound_s:.0f} s.", name="APITimeoutError") from error
                if chunk is None:
                    break
                choices = chunk.get("choices") or []
                has_ended = has_ended or not choices or any(choice.get("finish_reason") for choice in choices)
                bound_s = _CHUNK_BOUND_S
                yield chunk
        if not has_ended:
            raise WireError("connection", "The stream ended before the reply did.", name="APIConnectionError")

    async def _after_failure(
        self, lane: Lane, asked: Asked, body: Mapping[str, Any], ticket: Ticket, error: WireError, course: _Course
    ) -> None:
        """Give the slot back, learn, and wait until the next try; or raise what the caller gets."""
        now = self._options.clock()
        self._troubles[error.trouble] += 1
        lane.note_quota(error.headers, now)
        if error.status is not None:
            lane.has_answered = True
        if error.trouble == "refused":
            lane.limiter.refused(ticket, error.retry_after_s)
        else:
            lane.limiter.failed(ticket)
        if lane.learn(error, body):
            return
        delay_s = course.tries.delay_s(error, now, answered_before=lane.has_answered)
        if delay_s is None:
            raise self._final(lane, asked, error, course) from error
        await asyncio.sleep(delay_s)

    def _finish(
        self, lane: Lane, asked: Asked, ticket: Ticket, reply: WireReply, course: _Course, tokens: int
    ) -> ModelReply:
        now = self._options.clock()
        duration_s = now - course.sent_s
        found = reply_from_body(
            reply.body,
            retries=course.tries.retries,
            duration_s=duration_s,
            waited_s=course.sent_s - course.asked_s,
            source=asked.source,
        )
        lane.limiter.succeeded(ticket, tokens_over=found.usage.total - tokens if tokens else 0)
        lane.note_reply(duration_s, reply.headers, found.usage.total, now)
        return found

    def _said(self, text: str, asked: Asked) -> str:
        hidden = Redactor(str(value) for value in asked.connection.secrets.values() if value)
        return self._options.redact(hidden(text))

    def _final(self, lane: Lane, asked: Asked, error: WireError, course: _Course) -> ModelCallError:
        said = self._said(error.message, asked)
        retries = course.tries.retries
        name = asked.connection.name
        if error.trouble == "permanent":
            refused = error.status in _REFUSED or error.status == 429
            cls = ModelRefusedError if refused else ModelCallError
            hint = _hint(error, name, str(asked.body.get("model") or ""))
            return cls(
                f"OpenAI API hits {error.name}: {said}",
                status=error.status,
                retries=retries,
                permanent=refused,
                type=error.name,
                hint=hint,
            )
        never = error.trouble == "unreachable" and not lane.has_answered
        hint = _unreachable_hint(error, name, model_endpoint(asked.connection)) if never else None
        took_s, tries = self._options.clock() - course.asked_s, plural(retries + 1, "try", "tries")
        return RetriesExhaustedError(
            f"OpenAI API hits {error.name}: {said} Gave up after {tries} in {took_s:.0f} s.",
            status=error.status,
            retries=retries,
            permanent=never,
            kind="ExceedMaxRetryTimes",
            type=error.name,
            hint=hint,
        )

    def _broken(self, error: WireError, asked: Asked, course: _Course) -> ModelCallError:
        return ModelCallError(
            f"OpenAI API hits exception: {error.name}: {self._said(error.message, asked)}",
            retries=course.tries.retries,
            kind="LLMError",
            type=error.name,
        )

    def _unexpected(self, error: BaseException, asked: Asked, course: _Course) -> BaseException:
        """Cancellation and our own errors as they are; anything else as prompt flow's users know it."""
        if not isinstance(error, Exception) or isinstance(error, GenaiopsError):
            return error
        kind = type(error).__name__
        return ModelCallError(
            f"OpenAI API hits exception: {kind}: {self._said(str(error), asked)}",
            retries=course.tries.retries,
            kind="LLMError",
            type=kind,
        )


def _unreachable_hint(error: WireError, connection: str | None, endpoint: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in error.message:
        return f"Nobody here trusts the certificate of {endpoint}: name its authority's file in SSL_CERT_FILE."
    return f"Check the address{f' of connection {connection!r}' if connection else ''}: {endpoint}."


def _hint(error: WireError, connection: str | None, deployment: str) -> str | None:
    # A model may be given by its address and key alone, as promptys do.
    of = f"of connection {connection!r}" if connection else "that the model's configuration gives"
    if error.status in (401, 403):
        return f"Check the key {of} (genaiops connection check)." if connection else f"Check the key {of}."
    if error.status == 404:
        return f"Check that {deployment!r} exists at the address {of}."
    if error.status == 429:
        return f"The account {'' if connection else 'of the key '}{of} has no quota left; waiting does not help."
    if error.status == 400 and "temperature" in (error.error_field("param"), *error.message.split("'")):
        return "This model takes only its own temperature: set temperature to 1 or leave it out."
    return None
