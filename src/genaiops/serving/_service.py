"""One served flow: its plan, who may come in, what has happened, and where it is in its life."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from genaiops.flows import Flow, Outcome, Plan, WorkerThreads
from genaiops.plain_text import plural
from genaiops.serving._admission import Admission, QueueFull, Slot
from genaiops.serving._board import Board
from genaiops.serving._errors import SYSTEM_ERROR, RequestRefused
from genaiops.serving._metrics import Metrics, metrics_text
from genaiops.serving._options import ServeOptions
from genaiops.serving._presence import CancelledWhenClientLeaves, presence_of
from genaiops.serving._quick import QuickRows, Timed, measured
from genaiops.serving._request_log import RequestLog
from genaiops.serving._requests import Scope, header
from genaiops.tracing import Span, SpanRecorder

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
Phase = Literal["starting", "ready", "draining", "closing"]
REQUEST_ID_HEADERS = (b"x-request-id", b"x-ms-client-request-id")
MAX_REQUEST_ID = 128
# What the W3C asks of those who pass baggage on.
MAX_BAGGAGE, MAX_BAGGAGE_MEMBERS = 8192, 64
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass
class Service:
    """What all routes share."""

    plan: Plan
    options: ServeOptions
    metrics: Metrics = field(default_factory=Metrics)
    request_log: RequestLog | None = None
    phase: Phase = "starting"
    export: Callable[[list[Span]], None] | None = None
    redact: Callable[[str], str] = str
    board: Board | None = None

    def __post_init__(self) -> None:
        before = self.board.own() if self.board is not None else None
        if before is not None:
            self.metrics.add(before["metrics"])
        self.admission = Admission(self.options.concurrency, self.options.queue)
        # Each open stream can be ended: called when the server's time is over.
        self.streams: set[Callable[[], None]] = set()
        # Whoever works on an answer that has not begun.
        self._working: set[asyncio.Task[Any]] = set()
        self.quick = QuickRows(self.plan.is_sync)
        # Plain generators are advanced here; the loop's own threads would be six for all clients.
        self.stream_threads = WorkerThreads(self.options.concurrency, "stream")
        # Called once, when too many threads are stuck for this process to go on.
        self.on_worn_out: Callable[[], None] = lambda: None
        self.is_worn_out = False

    @property
    def flow(self) -> Flow:
        """The flow that is served."""
        return self.plan.flow

    def close(self) -> None:
        """Take no more requests and end those that are left: streams with a last event, others with 503."""
        self.phase = "closing"
        for end in list(self.streams):
            end()
        for task in list(self._working):
            task.cancel()

    def has_closed(self) -> bool:
        """No request is begun any more."""
        return self.phase == "closing"

    @property
    def stuck(self) -> int:
        """Threads that run flow code whose requests have been answered without it: by the deadline, or for nobody."""
        return self.plan.threads.stuck + self.stream_threads.stuck

    def look_at_threads(self) -> None:
        """Give up when too many are stuck: they cannot be ended, and what they do slows down all others."""
        if self.stuck >= self.options.max_stuck and not self.is_worn_out:
            self.is_worn_out = True
            log.warning(
                "%s still busy with requests that have been answered: this worker is replaced",
                plural(self.stuck, "thread"),
            )
            self.on_worn_out()

    @property
    def public_outputs(self) -> list[str]:
        """The outputs that clients get, by name."""
        names = [name for name, output in self.flow.outputs.items() if not output.evaluation_only]
        wanted = self.options.included_outputs
        return [name for name in names if name in wanted] if wanted else names

    def is_public(self, name: str) -> bool:
        """Whether clients get the output called `name`."""
        output = self.flow.outputs.get(name)
        if output is not None and output.evaluation_only:
            return False
        return not self.options.included_outputs or name in self.options.included_outputs

    def publish(self) -> None:
        """Show the other workers what this one has done."""
        if self.board is not None:
            self.board.write(self._figures())

    def metrics_text(self) -> str:
        """What all workers have done, for Prometheus."""
        self.publish()
        workers = [self._figures(), *(self.board.others() if self.board is not None else ())]
        total = Metrics()
        for figures in workers:
            total.add(figures["metrics"])
        return metrics_text(total, [figures["now"] for figures in workers])

    def _figures(self) -> dict[str, Any]:
        admission = self.admission
        now = {"in_flight": admission.in_flight, "waiting": admission.waiting, "ready": int(self.phase == "ready")}
        now["stuck"] = self.stuck
        return {"metrics": self.metrics.to_json(), "now": now}

    def authorize(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            RequestRefused: Keys are required and the request has none of them (401).
        """
        digests = self.options.api_key_digests
        if not digests:
            return
        given = header(scope, b"authorization").removeprefix("Bearer ").strip() or header(scope, b"api-key")
        digest = hashlib.sha256(given.encode("utf-8")).hexdigest()
        # Every key is compared, in constant time: how long it takes tells nothing.
        if not max([hmac.compare_digest(digest, known) for known in digests]):
            raise RequestRefused(
                401, "An API key is required: `Authorization: Bearer KEY`.", headers={"WWW-Authenticate": "Bearer"}
            )

    async def answer(self, inputs: Mapping[str, Any], scope: Scope, *, request_id: str) -> Outcome:
        """Run one row within the limits; a client that leaves cancels it.

        Raises:
            RequestRefused: The queue is full, or the deadline passed.
            ClientGone: Nobody waits for the answer any more.
        """
        outcome = self._run_at_once(inputs)
        if outcome is None:
            with self._refusing():
                outcome = await self._run(inputs, scope, request_id=request_id)
        self._note(outcome, request_id)
        return outcome

    @asynccontextmanager
    async def stream(self, inputs: Mapping[str, Any], scope: Scope, *, request_id: str) -> AsyncIterator[StreamedRow]:
        """Run one row whose outputs may be streams; it keeps its slot, and is noted, until the last piece is sent.

        Raises:
            RequestRefused: The queue is full, or the deadline passed.
            ClientGone: Nobody waits for the answer any more.
        """
        started = asyncio.get_running_loop().time()
        recorder = recorder_of(scope, self.flow.name, request_id)
        slot = Slot(self.admission)
        with self._refusing():
            async with asyncio.timeout(self.options.deadline_s):
                await slot.__aenter__()
        try:
            with self._refusing(), CancelledWhenClientLeaves(presence_of(scope)):
                outcome = await self._run_within_deadline(inputs, recorder, started)
            row = StreamedRow(outcome, started + self.options.deadline_s)
            try:
                yield row
            finally:
                await row.end()
                outcome.duration_s = asyncio.get_running_loop().time() - started
                self._note(outcome, request_id)
                if self.export is not None:
                    self.export(outcome.spans)
        finally:
            await slot.__aexit__(None, None, None)
            self.look_at_threads()

    async def _run_within_deadline(self, inputs: Mapping[str, Any], recorder: SpanRecorder, started: float) -> Outcome:
        async with asyncio.timeout_at(started + self.options.deadline_s):
            return await self.plan.run(inputs, streaming=True, recorder=recorder)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What the limits raise becomes an answer."""
        if self.has_closed():
            raise _shutting_down()
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # By `close`; or by whoever else, who wants it to go on.
            if not self.has_closed():
                raise
            task.uncancel()
            raise _shutting_down() from None
        except QueueFull as error:
            self.metrics.refused += 1
            raise RequestRefused(
                429,
                f"The server is busy: {plural(self.admission.in_flight, 'request')} in flight, "
                f"{self.admission.waiting} waiting.",
                code=SYSTEM_ERROR,
                headers={"Retry-After": str(error.retry_after_s)},
            ) from error
        except TimeoutError as error:
            raise RequestRefused(504, f"No answer within {self.options.deadline_s:g} s.", code=SYSTEM_ERROR) from error
        finally:
            self._working.discard(task)
            self.look_at_threads()

    def _note(self, outcome: Outcome, request_id: str) -> None:
        """Count a row that has ended, and log it."""
        self.metrics.count_outcome(outcome)
        if outcome.status == "failed":
            failure = outcome.error or {}
            log.warning(
                "request %s failed in node %s: %s\n%s",
                request_id,
                failure.get("node"),
                failure.get("message"),
                failure.get("traceback") or "",
            )
        if self.request_log is not None:
            self.request_log.write(outcome, request_id)

    def _run_at_once(self, inputs: Mapping[str, Any]) -> Outcome | None:
        """A row of plain functions that have shown themselves quick, on the loop; None for all others."""
        if not self.quick.trusted or self.export is not None or not self.admission.is_open or self.has_closed():
            return None
        return self._learnt(measured(self._row_of(inputs)))

    async def _run(self, inputs: Mapping[str, Any], scope: Scope, *, request_id: str) -> Outcome:
        if self.plan.is_sync and self.export is None and self.quick.on_trial:
            # In a thread, until the flow has shown itself quick.
            work = partial(self.plan.threads.run, measured, self._row_of(inputs))
            return self._learnt(await self._run_within_limits(work))
        recorder = recorder_of(scope, self.flow.name, request_id)
        run = partial(self.plan.run, inputs, recorder=recorder, is_recorded=self._is_recorded)
        if self.plan.is_sync:
            # A thread cannot be stopped, so only what runs on the loop is worth watching for a client that leaves.
            outcome = await self._run_within_limits(run)
        else:
            with CancelledWhenClientLeaves(presence_of(scope)):
                outcome = await self._run_within_limits(run)
        if self.export is not None:
            self.export(outcome.spans)
        return outcome

    def _row_of(self, inputs: Mapping[str, Any]) -> Callable[[], Outcome]:
        """A row of plain functions."""
        return partial(self.plan.run_now, inputs, is_recorded=self._is_recorded)

    @property
    def _is_recorded(self) -> bool:
        """What the nodes of a row did is of interest to the log and to traces alone."""
        return self.request_log is not None or self.export is not None

    def _learnt(self, timed: Timed[Outcome]) -> Outcome:
        self.quick.saw(timed.own_s)
        timed.result.duration_s = timed.clock_s
        return timed.result

    async def _run_within_limits(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        async with asyncio.timeout(self.options.deadline_s), Slot(self.admission):
            return await work()


def _shutting_down() -> RequestRefused:
    headers = {"Retry-After": "1", "Connection": "close"}
    return RequestRefused(503, "The server is shutting down.", code=SYSTEM_ERROR, headers=headers)


def is_stream(value: Any) -> bool:
    """Whether an output is made piece by piece."""
    return isinstance(value, Iterator | AsyncIterator)


async def close_stream(stream: Any) -> None:
    """Stop a generator, so that the model call behind it ends."""
    if hasattr(stream, "aclose"):
        await stream.aclose()
    elif hasattr(stream, "close"):
        try:
            stream.close()
        except ValueError:
            # It is running in a thread right now; it ends when that step ends.
            log.debug("a generator was still running when its client left")


@dataclass
class StreamedRow:
    """A row whose outputs may still be in the making.

    Args:
        outcome: Its streams are replaced by what was said when it ends.
        deadline: When the request's time is over, by the loop's clock.
        said: Pieces by output.
    """

    outcome: Outcome
    deadline: float
    said: dict[str, list[str]] = field(default_factory=dict)

    def say(self, name: str, piece: Any) -> None:
        """Remember a piece of an output."""
        self.said.setdefault(name, []).append(str(piece))

    def fail(self, message: str, error: BaseException | None = None) -> None:
        """The stream broke after its head was sent."""
        self.outcome.status = "failed"
        kind = type(error).__name__ if error is not None else "StreamBroken"
        self.outcome.error = {"kind": kind, "type": kind, "message": message, "node": None, "file": None, "line": None}

    async def end(self) -> None:
        """Close what nobody read to its end, and write down what was said."""
        for name, value in list(self.outcome.outputs.items()):
            if is_stream(value):
                await close_stream(value)
                self.outcome.outputs[name] = "".join(self.said.get(name, ()))


def recorder_of(scope: Scope, flow_name: str, request_id: str) -> SpanRecorder:
    """Where the spans of a request are collected: in the caller's trace, when it has one, with what it says of itself.

    Source: W3C Trace Context, `traceparent: 00-TRACE_ID-PARENT_ID-FLAGS`; W3C Baggage.
    """
    attributes = {**_baggage(header(scope, b"baggage")), "flow": flow_name, "request_id": request_id}
    match = _TRACEPARENT.fullmatch(header(scope, b"traceparent"))
    # Version ff and ids of nothing but zeros are invalid; such a header starts no trace of its own either.
    if match is None or match[0].startswith("ff") or not int(match[1], 16) or not int(match[2], 16):
        return SpanRecorder(attributes)
    return SpanRecorder(attributes, trace_id=int(match[1], 16), remote_parent_id=int(match[2], 16))


def _baggage(text: str) -> dict[str, str]:
    """`user=ann;meta, team=a%20b` as names and values; what cannot be read is left out."""
    if not text or len(text) > MAX_BAGGAGE:
        return {}
    pairs = (member.partition(";")[0].partition("=") for member in text.split(",")[:MAX_BAGGAGE_MEMBERS])
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}


def request_id_of(scope: Scope) -> str:
    """The id that the client gave, when it is harmless, or a new one."""
    for name in REQUEST_ID_HEADERS:
        given = header(scope, name)
        if given and len(given) <= MAX_REQUEST_ID and given.isprintable() and given.isascii():
            return given
    return os.urandom(16).hex()
