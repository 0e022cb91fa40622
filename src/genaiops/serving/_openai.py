"""`POST /v1/chat/completions`: any OpenAI client or chat page talks to a chat flow.

Source: OpenAI API reference, chat completions: request, response, streamed chunks, error objects.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from genaiops.flows import ChatShape, Flow, InputDef, Outcome
from genaiops.serving._errors import RequestRefused, refusal_of
from genaiops.serving._presence import presence_of
from genaiops.serving._requests import Scope, check_content_type, read_body, read_json
from genaiops.serving._responses import encode, send_json
from genaiops.serving._score import broken_stream
from genaiops.serving._service import Service, StreamedRow, is_stream
from genaiops.serving._stream import EventWriter

HISTORY_NAMES = ("chat_history", "history", "messages")


def chat_shape(flow: Flow, inputs: Mapping[str, InputDef]) -> ChatShape | None:
    """Which input takes the message, which the history, which output is the answer; None when it is no chat flow.

    A flow that does not say so is a chat flow when, the history left aside, it has one input without a default.
    """
    if flow.chat is not None:
        return flow.chat
    history = next((name for name in HISTORY_NAMES if name in inputs), None)
    others = [name for name, definition in inputs.items() if name != history and not definition.has_default]
    if len(others) != 1 or inputs[others[0]].type not in ("string", "object"):
        return None
    outputs = list(flow.outputs)
    return ChatShape(input=others[0], history=history, output=outputs[0] if len(outputs) == 1 else None)


def talk_shape(flow: Flow, inputs: Mapping[str, InputDef]) -> ChatShape | None:
    """The shape of a flow that is a chat flow by its own words or by its history; others are shown as a form."""
    shape = chat_shape(flow, inputs)
    return shape if flow.chat is not None or (shape is not None and shape.history is not None) else None


async def chat_completions(service: Service, scope: Scope, receive: Any, send: Any, *, request_id: str) -> int:
    """Answer one request of an OpenAI client.

    Raises:
        RequestRefused: The flow is no chat flow, or the request cannot be understood.
    """
    shape = chat_shape(service.flow, service.plan.signature)
    if shape is None:
        raise RequestRefused(404, "This flow is not a chat flow: it has no single text input. Use POST /score.")
    check_content_type(scope)
    options = service.options
    body = await read_body(scope, receive, max_bytes=options.max_body_bytes, timeout_s=options.body_timeout_s)
    request = _request_of(body)
    inputs = flow_inputs(service.flow, shape, request["messages"], service.plan.signature)
    if request.get("stream"):
        async with service.stream(inputs, scope, request_id=request_id) as row:
            if row.outcome.status == "failed":
                raise refusal_of(row.outcome.error)
            await _send_chunks(service, request, row, shape, scope, send, request_id=request_id)
        return 200
    outcome = await service.answer(inputs, scope, request_id=request_id)
    if outcome.status == "failed":
        raise refusal_of(outcome.error)
    answer = _answer_of(outcome, shape)[1]
    await send_json(send, 200, _completion(service, answer, outcome, request_id), {"x-request-id": request_id})
    return 200


def _request_of(body: bytes) -> dict[str, Any]:
    try:
        request = read_json(body)
    except ValueError as error:
        raise RequestRefused(400, "The body is not JSON.") from error
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not messages:
        raise RequestRefused(400, "Expected a JSON object with a non-empty list `messages`.")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RequestRefused(400, "Each message must be an object with `role` and `content`.")
    if messages[-1]["role"] != "user":
        raise RequestRefused(400, f"The last message must have the role 'user', found {messages[-1]['role']!r}.")
    _check_demands(request)
    return dict(request)


def _check_demands(request: Mapping[str, Any]) -> None:
    """What concerns the model is the flow's affair and may stand there; what the client demands must be granted."""
    if request.get("n") not in (None, 1):
        raise RequestRefused(400, f"A flow gives one answer: `n` must be 1, found {str(request['n'])[:40]}.")
    demanded = request.get("tool_choice") or request.get("function_call")
    if demanded not in (None, "auto", "none"):
        raise RequestRefused(400, "A flow calls no tools of its client: `tool_choice` can be 'auto' or 'none'.")


def flow_inputs(
    flow: Flow, shape: ChatShape, messages: list[dict[str, Any]], inputs: Mapping[str, InputDef]
) -> dict[str, Any]:
    """The flow's inputs for a talk: the last message, and the turns before it in the form that the flow expects.

    Graphs take `{"inputs": …, "outputs": …}` a turn, functions, classes and prompty files OpenAI's messages. System
    messages belong to the flow; those of the client are given to an input named `system`, when there is one.
    """
    found: dict[str, Any] = {shape.input: _text_of(messages[-1].get("content"))}
    earlier = [message for message in messages[:-1] if message["role"] in ("user", "assistant")]
    if shape.history is not None:
        found[shape.history] = (
            _turns(flow, shape, earlier)
            if flow.kind == "graph"
            else [{"role": message["role"], "content": _text_of(message.get("content"))} for message in earlier]
        )
    system = [_text_of(message.get("content")) for message in messages if message["role"] == "system"]
    if system and "system" in inputs:
        found["system"] = "\n".join(system)
    return found


def _turns(flow: Flow, shape: ChatShape, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    output = shape.output or "answer"
    for message in messages:
        text = _text_of(message.get("content"))
        if message["role"] == "user":
            turns.append({"inputs": {shape.input: text}, "outputs": {output: ""}})
        elif turns:
            turns[-1]["outputs"][output] = text
    return turns


def _text_of(content: Any) -> str:
    """A message's text; of a list of parts the text parts."""
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "\n".join(str(part) for part in parts)
    return "" if content is None else str(content)


def _answer_of(outcome: Outcome, shape: ChatShape) -> tuple[str, Any]:
    """The output that is the answer, and its name; all outputs, without a name, when none stands out."""
    streams = [name for name, value in outcome.outputs.items() if is_stream(value)]
    name = next((name for name in (shape.output, "output", *streams) if name in outcome.outputs), None)
    return (name, outcome.outputs[name]) if name is not None else ("", outcome.outputs)


def _as_text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str)


def _head(service: Service, kind: str, request_id: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{request_id or uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": service.flow.name,
    }


def _usage(outcome: Outcome) -> dict[str, int]:
    tokens = outcome.tokens
    return {"prompt_tokens": tokens.input, "completion_tokens": tokens.output, "total_tokens": tokens.total}


def _completion(service: Service, answer: Any, outcome: Outcome, request_id: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": _as_text(answer), "refusal": None}
    return {
        **_head(service, "chat.completion", request_id),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(outcome),
    }


async def _send_chunks(
    service: Service,
    request: Mapping[str, Any],
    row: StreamedRow,
    shape: ChatShape,
    scope: Scope,
    send: Any,
    *,
    request_id: str,
) -> None:
    head = _head(service, "chat.completion.chunk", request_id)
    name, answer = _answer_of(row.outcome, shape)

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return encode({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    writer = EventWriter(service, presence_of(scope), send, request_id=request_id)
    await writer.start()
    await writer.event(chunk({"role": "assistant", "content": ""}))
    try:
        if is_stream(answer):
            if not await writer.relay(row, name, lambda piece: chunk({"content": str(piece)})):
                await writer.finish()
                return
        else:
            await writer.event(chunk({"content": _as_text(answer)}))
    except Exception as error:  # noqa: BLE001 - the client is told, the log gets the details
        message = service.redact(broken_stream(row, error, request_id).message)
        await writer.event(encode({"error": {"message": message, "type": "server_error"}}))
        await writer.finish()
        return
    await writer.event(chunk({}, "stop"))
    if (request.get("stream_options") or {}).get("include_usage"):
        await writer.event(encode({**head, "choices": [], "usage": _usage(row.outcome)}))
    await writer.event(b"[DONE]")
    await writer.finish()


def models(service: Service) -> dict[str, Any]:
    """`GET /v1/models`: the flow as the only model."""
    return {
        "object": "list",
        "data": [{"id": service.flow.name, "object": "model", "created": 0, "owned_by": "genaiops"}],
    }
