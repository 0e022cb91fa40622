"""The HTTP server of a flow: prompt flow's contract, an OpenAI-compatible chat route, a page to try.

The command that starts workers and the workers need different halves of this room, and how soon a server is ready
depends on what they import: each name is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.serving._admission import Admission, QueueFull, Slot
    from genaiops.serving._app import create_app
    from genaiops.serving._assertions import ASSERTIONS_FILE, EndpointAssertions, read_assertions
    from genaiops.serving._board import Board
    from genaiops.serving._ending import end_when_told
    from genaiops.serving._endpoint import (
        EndpointCheck,
        EndpointExpectation,
        EndpointFailed,
        EndpointReport,
        check_endpoint,
        read_sample,
    )
    from genaiops.serving._listen import listen
    from genaiops.serving._openapi import describe
    from genaiops.serving._options import ServeOptions, options_from_environment
    from genaiops.serving._request_log import RequestLog
    from genaiops.serving._server import serve
    from genaiops.serving._service import Service
    from genaiops.serving._supervisor import serve_flow
    from genaiops.serving._workers import WORN_OUT, Shared, Worker, early_workers, open_shared

__all__ = [
    "ASSERTIONS_FILE",
    "WORN_OUT",
    "Admission",
    "Board",
    "EndpointAssertions",
    "EndpointCheck",
    "EndpointExpectation",
    "EndpointFailed",
    "EndpointReport",
    "QueueFull",
    "RequestLog",
    "ServeOptions",
    "Service",
    "Shared",
    "Slot",
    "Worker",
    "check_endpoint",
    "create_app",
    "describe",
    "early_workers",
    "end_when_told",
    "listen",
    "open_shared",
    "options_from_environment",
    "read_assertions",
    "read_sample",
    "serve",
    "serve_flow",
]

_HOMES = {
    "ASSERTIONS_FILE": "_assertions",
    "Admission": "_admission",
    "Board": "_board",
    "EndpointAssertions": "_assertions",
    "EndpointCheck": "_endpoint",
    "EndpointExpectation": "_endpoint",
    "EndpointFailed": "_endpoint",
    "EndpointReport": "_endpoint",
    "QueueFull": "_admission",
    "RequestLog": "_request_log",
    "ServeOptions": "_options",
    "Service": "_service",
    "Shared": "_workers",
    "Slot": "_admission",
    "WORN_OUT": "_workers",
    "Worker": "_workers",
    "check_endpoint": "_endpoint",
    "create_app": "_app",
    "describe": "_openapi",
    "early_workers": "_workers",
    "end_when_told": "_ending",
    "listen": "_listen",
    "open_shared": "_workers",
    "options_from_environment": "_options",
    "read_assertions": "_assertions",
    "read_sample": "_endpoint",
    "serve": "_server",
    "serve_flow": "_supervisor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
