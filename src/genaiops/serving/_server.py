"""Run the application with uvicorn: limits on slow clients, and an end that always comes.

On SIGTERM: not ready → keep answering through the drain delay → take no more connections, finish what is in flight,
end streams with a last event → exit within the grace period.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from genaiops.plain_text import plural
from genaiops.serving._app import create_app
from genaiops.serving._protocol import watched_protocol
from genaiops.serving._service import Service

log = logging.getLogger(__name__)

# Of the grace period, what is kept for closing streams and the process itself.
_LAST_MOMENTS_S = 1.0
_PUBLISH_EVERY_S = 0.5


def make_server(service: Service) -> Any:
    """The uvicorn server of a service, not started."""
    import uvicorn

    options = service.options
    config = uvicorn.Config(
        create_app(service),
        http=watched_protocol(service),
        # Nobody here asks who the client is; the headers of a proxy need not be read.
        proxy_headers=False,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=max(1, int(options.grace_s - options.drain_delay_s)),
    )
    return uvicorn.Server(config)


async def serve(
    service: Service,
    sock: socket.socket,
    *,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests on `sock` until SIGTERM or SIGINT, or until too many threads are stuck to go on.

    Args:
        service: The compiled flow; its phase is kept here.
        sock: A listening socket.
        on_ready: Called once, when requests are answered.
        on_stop: Called once, when the end begins.
    """
    stop = _stop_event()
    service.on_worn_out = stop.set
    server = make_server(service)
    running = asyncio.ensure_future(_serve_quietly(server, sock))
    while not server.started and not running.done():
        await asyncio.sleep(0.005)
    service.phase = "ready"
    publishing = asyncio.ensure_future(_publish(service))
    on_ready()
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    on_stop()
    if not running.done():
        await _drain(service, server, running)
    await running
    publishing.cancel()


async def _publish(service: Service) -> None:
    """Keep what the other workers tell about this one up to date."""
    while service.board is not None:
        service.publish()
        await asyncio.sleep(_PUBLISH_EVERY_S)


async def _serve_quietly(server: Any, sock: socket.socket) -> None:
    await server._serve(sockets=[sock])  # without uvicorn's own signal handling, which `serve()` would install


async def _drain(service: Service, server: Any, running: asyncio.Future[None]) -> None:
    options = service.options
    log.info("draining: not ready, still answering for %.1f s", options.drain_delay_s)
    service.phase = "draining"
    await asyncio.sleep(options.drain_delay_s)
    server.should_exit = True
    budget_s = max(0.1, options.grace_s - options.drain_delay_s - _LAST_MOMENTS_S)
    await asyncio.wait({running}, timeout=budget_s)
    if not running.done():
        unfinished = plural(service.admission.in_flight, "request")
        log.warning("%s did not finish in time: streams are ended", unfinished)
        service.close()
        await asyncio.wait({running}, timeout=_LAST_MOMENTS_S / 2)
        server.force_exit = True


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        number = getattr(signal, name)
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop
