"""The ASGI application: every route of a served flow.

`/score` is answered before the router is asked: most requests go there, and a bare handler is the yardstick.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from genaiops.serving._errors import SYSTEM_ERROR, RequestRefused
from genaiops.serving._openai import chat_completions, models
from genaiops.serving._openapi import describe
from genaiops.serving._page import PAGE_HEADERS, page
from genaiops.serving._presence import ClientGone
from genaiops.serving._requests import discard_body
from genaiops.serving._responses import send, send_json
from genaiops.serving._score import feedback, score
from genaiops.serving._service import Service, request_id_of

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[int]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

_PROTECTED: dict[str, Handler] = {"/score": score, "/feedback": feedback, "/v1/chat/completions": chat_completions}


def create_app(service: Service) -> ASGIApp:
    """The application that answers for a flow.

    Args:
        service: The compiled flow and its limits; the caller sets its phase.
    """
    router = _router(service)

    async def app(scope: Any, receive: Any, send_message: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in _PROTECTED:
            await _answer(service, scope["path"], scope, receive, send_message)
        else:
            await router(scope, receive, send_message)

    if not service.options.cors_origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=service.options.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "api-key", "content-type", "x-request-id"],
        expose_headers=["x-request-id", "retry-after"],
    )


async def _answer(service: Service, path: str, scope: Any, receive: Any, send_message: Any) -> None:
    """Run a handler; whatever happens becomes an answer, never a stack trace."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    request_id = request_id_of(scope)
    started_answer = False

    def tracked_send(message: Any) -> Any:
        nonlocal started_answer
        started_answer = True
        return send_message(message)

    try:
        service.authorize(scope)
        status = await _PROTECTED[path](service, scope, receive, tracked_send, request_id=request_id)
    except RequestRefused as refused:
        status = refused.status
        await _refuse(service, refused, path, receive, send_message, request_id)
    except ClientGone:
        status = 499  # nobody is there to be answered; the word that nginx's logs use
        service.metrics.disconnected += 1
    except Exception:
        status = 500
        log.exception("request %s failed", request_id)
        if not started_answer:
            failure = RequestRefused(500, "The server failed; its log says why.", code=SYSTEM_ERROR)
            await _refuse(service, failure, path, receive, send_message, request_id)
    service.metrics.count_request(path, status, loop.time() - started)


async def _refuse(
    service: Service, refused: RequestRefused, path: str, receive: Any, send_message: Any, request_id: str
) -> None:
    refused.message = service.redact(refused.message)
    if refused.status == 413:
        send_message = _after_the_body(receive, send_message)
    headers = {"x-request-id": request_id, **refused.headers}
    if path.startswith("/v1/"):
        kind = "invalid_request_error" if refused.status < 500 else "server_error"
        error = {"message": refused.message, "type": kind, "param": None, "code": refused.code}
        await send_json(send_message, refused.status, {"error": error}, headers)
    else:
        await send_json(send_message, refused.status, refused.body(request_id), headers)


def _after_the_body(receive: Any, send_message: Any) -> Any:
    """Send the answer, then take in what is still coming before the connection is closed."""

    async def send_first(message: Any) -> None:
        if message["type"] != "http.response.body":
            await send_message(message)
            return
        await send_message({**message, "more_body": True})
        await discard_body(receive)
        await send_message({"type": "http.response.body", "body": b""})

    return send_first


def _router(service: Service) -> ASGIApp:
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route, Router

    def health(_: Request) -> Response:
        return JSONResponse({"status": "Healthy", "version": service.options.version})

    def version(_: Request) -> Response:
        options = service.options
        return JSONResponse({"status": "Healthy", "build_info": options.build_info, "version": options.version})

    def live(_: Request) -> Response:
        return PlainTextResponse("ok")

    def ready(_: Request) -> Response:
        is_ready = service.phase == "ready"
        return PlainTextResponse("ok" if is_ready else service.phase, 200 if is_ready else 503)

    def started(_: Request) -> Response:
        has_started = service.phase != "starting"
        return PlainTextResponse("ok" if has_started else "starting", 200 if has_started else 503)

    def swagger(_: Request) -> Response:
        return JSONResponse(describe(service))

    def prometheus(_: Request) -> Response:
        return PlainTextResponse(service.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def list_models(_: Request) -> Response:
        return JSONResponse(models(service))

    def show_page(_: Request) -> Response:
        return Response(page(service), media_type="text/html", headers=PAGE_HEADERS)

    async def unknown(scope: Any, receive: Any, send_message: Any) -> None:
        if scope["type"] != "http":
            return
        known = sorted([*_PROTECTED, *(route.path for route in routes)])
        text = (
            f"The requested api '{scope['path'][:200]}' with {scope['method'][:20]} is not supported by current app. "
            f"Known: {', '.join(known)}."
        )
        # 405 where the path is right and the verb is not; prompt flow's server says 404 for both.
        status = 405 if scope["path"] in _PROTECTED else 404
        extra = {"allow": "POST"} if status == 405 else None
        await send(send_message, status, text.encode("utf-8", "replace"), b"text/plain; charset=utf-8", extra)

    routes = [
        Route("/", show_page),
        Route("/health", health),
        Route("/version", version),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/startupz", started),
        Route("/metrics", prometheus),
        Route("/swagger.json", swagger),
        Route("/v1/models", list_models),
    ]
    return Router(routes, default=unknown)
