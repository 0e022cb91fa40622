"""`POST /score`: prompt flow's contract."""

from __future__ import annotations

import json
import logging
from typing import Any

from genaiops.flows import Outcome
from genaiops.serving._errors import SYSTEM_ERROR, RequestRefused, refusal_of
from genaiops.serving._negotiation import check_acceptable, wants_stream
from genaiops.serving._presence import presence_of
from genaiops.serving._requests import Scope, check_content_type, header, inputs_of, read_body, read_json
from genaiops.serving._responses import encode, send_json
from genaiops.serving._service import Service, StreamedRow, is_stream, recorder_of
from genaiops.serving._stream import EventWriter, StreamTooLong
from genaiops.tracing import Span

log = logging.getLogger(__name__)


async def score(service: Service, scope: Scope, receive: Any, send: Any, *, request_id: str) -> int:
    """Answer one request and give the status.

    Raises:
        RequestRefused: The answer is an error.
        ClientGone: Nobody waits for the answer.
    """
    accept = header(scope, b"accept")
    inputs = await read_inputs(service, scope, receive)
    if wants_stream(accept):
        async with service.stream(inputs, scope, request_id=request_id) as row:
            return await _answer_streamed(service, row, accept, scope, send, request_id=request_id)
    check_acceptable(accept, has_stream=False)
    outcome = await service.answer(inputs, scope, request_id=request_id)
    if outcome.status == "failed":
        raise refusal_of(outcome.error)
    await send_json(send, 200, public_answer(service, outcome), {"x-request-id": request_id})
    return 200


async def _answer_streamed(
    service: Service, row: StreamedRow, accept: str, scope: Scope, send: Any, *, request_id: str
) -> int:
    if row.outcome.status == "failed":
        raise refusal_of(row.outcome.error)
    public = {name: value for name, value in row.outcome.outputs.items() if service.is_public(name)}
    streams = [name for name, value in public.items() if is_stream(value)]
    if not check_acceptable(accept, has_stream=bool(streams)):
        await send_json(send, 200, public_answer(service, row.outcome), {"x-request-id": request_id})
    elif len(streams) > 1:
        raise RequestRefused(400, f"Multiple stream output fields not supported: {', '.join(sorted(streams))}.")
    else:
        plain = {name: value for name, value in public.items() if name not in streams}
        await _send_stream(service, row, streams[0], plain, scope, send, request_id=request_id)
    return 200


async def read_inputs(service: Service, scope: Scope, receive: Any) -> dict[str, Any]:
    """The flow inputs of a request.

    Raises:
        RequestRefused: The body is too large, too slow, no JSON, or lacks inputs.
    """
    check_content_type(scope)
    options = service.options
    body = await read_body(scope, receive, max_bytes=options.max_body_bytes, timeout_s=options.body_timeout_s)
    return inputs_of(body, service.plan.signature)


def public_answer(service: Service, outcome: Outcome) -> Any:
    """What a client gets: the public outputs, or the bare value of a function that returns one."""
    is_bare = service.flow.kind != "graph" and outcome.value is not None and not isinstance(outcome.value, dict)
    if is_bare and list(outcome.outputs) == ["output"]:
        return outcome.outputs["output"]
    return {name: value for name, value in outcome.outputs.items() if service.is_public(name)}


async def _send_stream(
    service: Service,
    row: StreamedRow,
    name: str,
    plain: dict[str, Any],
    scope: Scope,
    send: Any,
    *,
    request_id: str,
) -> None:
    writer = EventWriter(service, presence_of(scope), send, request_id=request_id)
    await writer.start()
    if plain:
        await writer.event(encode(plain))
    try:
        await writer.relay(row, name, lambda piece: encode({name: piece}))
    except Exception as error:  # noqa: BLE001 - the client is told, the log gets the details
        # The status is sent already; the client learns of the failure by an event of its own.
        refused = broken_stream(row, error, request_id)
        await writer.event(encode(refused.body(request_id)), "error")
    await writer.finish()


def broken_stream(row: StreamedRow, error: Exception, request_id: str) -> RequestRefused:
    """What the client of a stream that broke is told; the log gets the details."""
    row.fail(f"{type(error).__name__}: {error}", error)
    if isinstance(error, StreamTooLong):
        return RequestRefused(504, str(error), code=SYSTEM_ERROR)
    log.error("request %s failed while it was streamed", request_id, exc_info=error)
    return RequestRefused(500, f"The stream broke: {type(error).__name__}.", code=SYSTEM_ERROR)


async def feedback(service: Service, scope: Scope, receive: Any, send: Any, *, request_id: str) -> int:
    """`POST /feedback`: what somebody thinks of an answer, joined to it by the request id."""
    options = service.options
    body = await read_body(scope, receive, max_bytes=options.max_body_bytes, timeout_s=options.body_timeout_s)
    try:
        data: Any = read_json(body)
    except ValueError:
        data = body.decode("utf-8", errors="replace")
    about = data.get("request_id", request_id) if isinstance(data, dict) else request_id
    if service.export is not None:
        service.export(_feedback_spans(service, scope, data, body, request_id=str(about)))
    if service.request_log is not None:
        service.request_log.write_feedback(str(about), data)
    await send_json(send, 200, {"status": "Feedback received."}, {"x-request-id": request_id})
    return 200


def _feedback_spans(service: Service, scope: Scope, data: Any, body: bytes, *, request_id: str) -> list[Span]:
    """The span of a feedback, in the caller's trace; `?flatten=true` makes an attribute of each field."""
    recorder = recorder_of(scope, service.flow.name, request_id)
    with recorder.span("promptflow-feedback", "function") as span:
        if b"flatten=true" in scope.get("query_string", b"").lower() and isinstance(data, dict):
            flat = {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}
            span.attributes.update(flat)
        else:
            span.set(feedback=body.decode("utf-8", errors="replace"))
    return recorder.take()
