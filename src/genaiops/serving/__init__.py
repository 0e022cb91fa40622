"""The HTTP server of a flow: prompt flow's contract, an OpenAI-compatible chat route, a page to try."""

from genaiops.serving._admission import Admission, QueueFull, Slot
from genaiops.serving._app import create_app
from genaiops.serving._openapi import describe
from genaiops.serving._options import ServeOptions, options_from_environment
from genaiops.serving._request_log import RequestLog
from genaiops.serving._server import listen, serve
from genaiops.serving._service import Service

__all__ = [
    "Admission",
    "QueueFull",
    "RequestLog",
    "ServeOptions",
    "Service",
    "Slot",
    "create_app",
    "describe",
    "listen",
    "options_from_environment",
    "serve",
]
