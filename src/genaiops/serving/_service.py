"""One served flow: its plan, who may come in, what has happened, and where it is in its life."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

from genaiops.flows import Flow, Outcome, Plan
from genaiops.serving._admission import Admission, QueueFull, Slot
from genaiops.serving._errors import SYSTEM_ERROR, RequestRefused
from genaiops.serving._metrics import Metrics
from genaiops.serving._options import ServeOptions
from genaiops.serving._quick import QuickRows
from genaiops.serving._request_log import RequestLog
from genaiops.serving._requests import Scope, header
from genaiops.tracing import SpanRecorder

log = logging.getLogger(__name__)

Phase = Literal["starting", "ready", "draining", "closing"]
REQUEST_ID_HEADERS = (b"x-request-id", b"x-ms-client-request-id")
MAX_REQUEST_ID = 128
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass
class Service:
    """What all routes share."""

    plan: Plan
    options: ServeOptions
    metrics: Metrics = field(default_factory=Metrics)
    request_log: RequestLog | None = None
    phase: Phase = "starting"
    export: Callable[[Outcome], None] | None = None

    def __post_init__(self) -> None:
        self.admission = Admission(self.options.concurrency, self.options.queue)
        self.closing = asyncio.Event()
        self.quick = QuickRows(self.plan.is_sync)

    @property
    def flow(self) -> Flow:
        """The flow that is served."""
        return self.plan.flow

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

    async def answer(
        self, inputs: Mapping[str, Any], scope: Scope, receive: Any, *, request_id: str, streaming: bool = False
    ) -> Outcome:
        """Run one row within the limits; a client that leaves cancels it.

        Raises:
            RequestRefused: The queue is full, or the deadline passed.
            ClientLeft: Nobody waits for the answer any more.
        """
        if self.phase == "closing":
            raise RequestRefused(
                503,
                "The server is shutting down.",
                code=SYSTEM_ERROR,
                headers={"Retry-After": "1", "Connection": "close"},
            )
        try:
            outcome = await self._run(inputs, scope, receive, request_id=request_id, streaming=streaming)
        except QueueFull as error:
            self.metrics.refused += 1
            raise RequestRefused(
                429,
                f"The server is busy: {self.admission.in_flight} requests in flight, {self.admission.waiting} waiting.",
                code=SYSTEM_ERROR,
                headers={"Retry-After": str(error.retry_after_s)},
            ) from error
        except TimeoutError as error:
            raise RequestRefused(504, f"No answer within {self.options.deadline_s:g} s.", code=SYSTEM_ERROR) from error
        self.metrics.count_outcome(outcome)
        if outcome.status == "failed":
            failure = outcome.error or {}
            log.warning(
                "request %s failed in node %s: %s\n%s",
                request_id,
                failure.get("node"),
                failure.get("message"),
                failure.get("traceback", ""),
            )
        if self.request_log is not None and not streaming:
            self.request_log.write(outcome, request_id)
        return outcome

    async def _run(
        self, inputs: Mapping[str, Any], scope: Scope, receive: Any, *, request_id: str, streaming: bool
    ) -> Outcome:
        if self.quick.trusted and not streaming and self.export is None and self.admission.is_open:
            started = perf_counter()
            outcome = self.plan.run_now(inputs)
            self.quick.saw(perf_counter() - started)
            return outcome
        recorder = recorder_of(scope, self.flow.name, request_id)
        work = self._run_within_limits(inputs, recorder, streaming=streaming)
        # A thread cannot be stopped, so only what runs on the loop is worth watching for a client that leaves.
        outcome = await (work if self.plan.is_sync else _unless_client_leaves(asyncio.ensure_future(work), receive))
        self.quick.saw(sum(node.duration_s for node in outcome.nodes.values()) or outcome.duration_s)
        if self.export is not None:
            self.export(outcome)
        return outcome

    async def _run_within_limits(
        self, inputs: Mapping[str, Any], recorder: SpanRecorder, *, streaming: bool
    ) -> Outcome:
        async with asyncio.timeout(self.options.deadline_s), Slot(self.admission):
            return await self.plan.run(inputs, streaming=streaming, recorder=recorder)


async def _unless_client_leaves(work: asyncio.Future[Outcome], receive: Any) -> Outcome:
    """The result of `work`, which is cancelled when the connection closes first.

    A quick row never pays for watching: the watch begins after a moment.
    """
    try:
        done, _ = await asyncio.wait({work}, timeout=0.05)
        if done:
            return work.result()
        watch = asyncio.ensure_future(_disconnected(receive))
        try:
            both: set[asyncio.Future[Any]] = {work, watch}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise ClientGone
        finally:
            watch.cancel()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def recorder_of(scope: Scope, flow_name: str, request_id: str) -> SpanRecorder:
    """Where the spans of a request are collected: in the caller's trace, when it has one.

    Source: W3C Trace Context, `traceparent: 00-TRACE_ID-PARENT_ID-FLAGS`.
    """
    attributes = {"flow": flow_name, "request_id": request_id}
    match = _TRACEPARENT.fullmatch(header(scope, b"traceparent"))
    if match is None:
        return SpanRecorder(attributes)
    return SpanRecorder(attributes, trace_id=int(match[1], 16), remote_parent_id=int(match[2], 16))


def request_id_of(scope: Scope) -> str:
    """The id that the client gave, when it is harmless, or a new one."""
    for name in REQUEST_ID_HEADERS:
        given = header(scope, name)
        if given and len(given) <= MAX_REQUEST_ID and given.isprintable() and given.isascii():
            return given
    return uuid.uuid4().hex
