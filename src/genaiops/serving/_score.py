"""`POST /score`: prompt flow's contract."""

from __future__ import annotations

import json
import logging
from typing import Any

from genaiops.flows import Outcome
from genaiops.serving._errors import SYSTEM_ERROR, RequestRefused, refusal_of
from genaiops.serving._negotiation import check_acceptable, wants_stream
from genaiops.serving._requests import Scope, header, inputs_of, read_body
from genaiops.serving._responses import encode, send_json
from genaiops.serving._service import Service
from genaiops.serving._stream import EventWriter, close, is_stream

log = logging.getLogger(__name__)


async def score(service: Service, scope: Scope, receive: Any, send: Any, *, request_id: str) -> int:
    """Answer one request and give the status.

    Raises:
        RequestRefused: The answer is an error.
        ClientGone: Nobody waits for the answer.
    """
    accept = header(scope, b"accept")
    inputs = await read_inputs(service, scope, receive)
    streaming = wants_stream(accept)
    if not streaming:
        check_acceptable(accept, has_stream=False)
    outcome = await service.answer(inputs, scope, receive, request_id=request_id, streaming=streaming)
    if outcome.status == "failed":
        raise refusal_of(outcome.error)
    answer = public_answer(service, outcome)
    streams = {name: value for name, value in answer.items() if is_stream(value)} if isinstance(answer, dict) else {}
    if check_acceptable(accept, has_stream=bool(streams)):
        await _send_stream(service, answer, streams, receive, send, request_id=request_id)
    else:
        await send_json(send, 200, answer, {"x-request-id": request_id})
    return 200


async def read_inputs(service: Service, scope: Scope, receive: Any) -> dict[str, Any]:
    """The flow inputs of a request.

    Raises:
        RequestRefused: The body is too large, too slow, no JSON, or lacks inputs.
    """
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
    service: Service, answer: dict[str, Any], streams: dict[str, Any], receive: Any, send: Any, *, request_id: str
) -> None:
    if len(streams) > 1:
        for stream in streams.values():
            await close(stream)
        raise RequestRefused(400, f"Multiple stream output fields not supported: {', '.join(sorted(streams))}.")
    name, stream = next(iter(streams.items()))
    writer = EventWriter(service, receive, send, request_id=request_id)
    await writer.start()
    plain = {key: value for key, value in answer.items() if key not in streams}
    if plain:
        await writer.event(encode(plain))
    try:
        await writer.relay(stream, lambda piece: encode({name: piece}))
    except Exception as error:
        # The status is sent already; the client learns of the failure by an event of its own.
        log.exception("request %s failed while it was streamed", request_id)
        refused = RequestRefused(500, f"The stream broke: {type(error).__name__}.", code=SYSTEM_ERROR)
        await writer.event(encode(refused.body(request_id)), "error")
    await writer.finish()


async def feedback(service: Service, scope: Scope, receive: Any, send: Any, *, request_id: str) -> int:
    """`POST /feedback`: what somebody thinks of an answer, joined to it by the request id."""
    options = service.options
    body = await read_body(scope, receive, max_bytes=options.max_body_bytes, timeout_s=options.body_timeout_s)
    try:
        data: Any = json.loads(body)
    except RecursionError as error:
        raise RequestRefused(400, "The JSON document is nested too deeply.") from error
    except ValueError:
        data = body.decode("utf-8", errors="replace")
    about = data.get("request_id", request_id) if isinstance(data, dict) else request_id
    if service.request_log is not None:
        service.request_log.write_feedback(str(about), data)
    await send_json(send, 200, {"status": "Feedback received."}, {"x-request-id": request_id})
    return 200
