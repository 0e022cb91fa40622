"""A host that serves: one worker process of the HTTP server.

The parent passes a listening socket and the first message; when the parent is gone the worker drains and ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.collector import relax_collector, spare_what_is_here
from genaiops.connections import install_log_redaction
from genaiops.errors import GenaiopsError
from genaiops.host._export import SpanExporter
from genaiops.host._pipe import ParentPipe, take_pipes
from genaiops.host._prints import mark_prints
from genaiops.host._workspace import Workspace, may_call_models, refusal

if TYPE_CHECKING:
    from genaiops.flows import Plan
    from genaiops.serving import RequestLog, ServeOptions

log = logging.getLogger(__name__)

_LAST_SPANS_S = 5.0
# Of the grace period, what the parent needs for its own end.
_SPARED_S = 0.4


def main(_: Sequence[str]) -> int:
    """Serve until SIGTERM, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = take_pipes()
    relax_collector()
    _import_ahead()
    first = pipe.read()
    if first is None:
        return 0
    hello = {**first[0], **json.loads(first[1])}
    # As if this process had been started there; user code may look for its files before its flow is loaded.
    os.chdir(hello["folder"])
    sys.path.insert(0, hello["folder"])
    workspace = Workspace(hello)
    redact: Callable[[str], str] = workspace.redactor or str
    # Standard error is the operator's log: what flow code prints goes there without secrets.
    mark_prints(redact)
    install_log_redaction(redact)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "openai"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Anybody can send what is no HTTP, as often as they like: it is answered, and fills no log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    try:
        code = _run(hello, workspace, redact, pipe)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
        if hello.get("debug") or not isinstance(error, GenaiopsError):
            traceback.print_exception(error)
        pipe.write({"type": "refused", **json.loads(redact(json.dumps(refusal(error))))})
        code = 1
    sys.stderr.flush()
    # Threads of flow code that never end must not keep the process.
    os._exit(code)


def _import_ahead() -> None:
    """Load what any flow needs while the parent still finds out which one it is."""
    import uvicorn  # noqa: F401

    from genaiops.compat import install_import_layer  # noqa: F401
    from genaiops.connections import ConnectionStore  # noqa: F401
    from genaiops.flows import open_plan  # noqa: F401
    from genaiops.serving import Service, serve  # noqa: F401

    if sys.platform != "win32":
        import uvloop  # noqa: F401


def _run(hello: dict[str, Any], workspace: Workspace, redact: Callable[[str], str], pipe: ParentPipe) -> int:
    if sys.platform == "win32":
        return asyncio.run(_serve(hello, workspace, redact, pipe))
    import uvloop

    return int(uvloop.run(_serve(hello, workspace, redact, pipe)))


async def _serve(hello: dict[str, Any], workspace: Workspace, redact: Callable[[str], str], pipe: ParentPipe) -> int:
    from genaiops.connections import load_transport
    from genaiops.flows import open_plan
    from genaiops.serving import WORN_OUT, Board, ServeOptions, Service, serve

    options = ServeOptions.from_json(hello["serve"])
    request = hello["request"]
    flow = workspace.load(request)
    plan: Plan = await open_plan(
        flow,
        workspace.services(flow, request),
        init=request.get("init"),
        concurrency=options.concurrency,
        streaming=True,
    )
    request_log = _request_log(options, str(hello.get("worker", 0)), redact)
    exporter = _span_exporter(workspace, {"flow": flow.name})
    board = Board(hello["board"], hello["worker"], options.workers) if hello.get("board") is not None else None
    service = Service(
        plan,
        options,
        request_log=request_log,
        export=exporter.take if exporter is not None else None,
        redact=redact,
        board=board,
    )
    threading.Thread(target=_follow_parent, args=(pipe, options.grace_s), daemon=True).start()
    sock = socket.socket(fileno=hello["socket"])

    def say_ready() -> None:
        pipe.write({"type": "ready", "pid": os.getpid()})
        spare_what_is_here()
        if may_call_models(flow):
            # Importing that the first model call would wait for otherwise; readiness does not.
            threading.Thread(target=load_transport, daemon=True).start()

    def code() -> int:
        return WORN_OUT if service.is_worn_out else 0

    await serve(service, sock, on_ready=say_ready, on_stop=lambda: _end_within(options.grace_s, code()))
    if exporter is not None and (trouble := exporter.close(_LAST_SPANS_S)):
        log.warning(trouble)
    if request_log is not None:
        request_log.close()
    await plan.close()
    await workspace.close()
    return code()


def _span_exporter(workspace: Workspace, resource: dict[str, Any]) -> SpanExporter | None:
    from genaiops.tracing import otlp_endpoint

    if otlp_endpoint(os.environ) is None:
        return None
    redactor = workspace.redactor
    return SpanExporter(os.environ, resource, redact=redactor.bytes if redactor else lambda request: request)


def _request_log(options: ServeOptions, worker: str, redact: Callable[[str], str]) -> RequestLog | None:
    from genaiops.serving import RequestLog

    if options.log_folder is None:
        return None
    return RequestLog(
        Path(options.log_folder),
        sample=options.log_sample,
        max_bytes=options.log_max_bytes,
        max_files=options.log_max_files,
        redact=redact,
        worker=worker,
    )


def _follow_parent(pipe: ParentPipe, grace_s: float) -> None:
    """Drain and end when the parent is gone, even if flow code holds up the loop that would hear of it."""
    while pipe.read() is not None:
        pass
    _end_within(grace_s)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_within(grace_s: float, code: int = 0) -> None:
    """Whatever hangs (a thread of flow code, a log on a slow disk), the process is gone within the grace period."""
    timer = threading.Timer(max(0.0, grace_s - _SPARED_S), os._exit, (code,))
    timer.daemon = True
    timer.start()
