"""The HTTP server of a flow: prompt flow's contract, an OpenAI-compatible chat route, a page to try."""

from genaiops.serving._admission import Admission, QueueFull, Slot
from genaiops.serving._app import create_app
from genaiops.serving._assertions import ASSERTIONS_FILE, EndpointAssertions, read_assertions
from genaiops.serving._board import Board
from genaiops.serving._endpoint import (
    EndpointCheck,
    EndpointExpectation,
    EndpointFailed,
    EndpointReport,
    check_endpoint,
    read_sample,
)
from genaiops.serving._openapi import describe
from genaiops.serving._options import ServeOptions, options_from_environment
from genaiops.serving._request_log import RequestLog
from genaiops.serving._server import listen, serve
from genaiops.serving._service import Service
from genaiops.serving._supervisor import serve_flow

__all__ = [
    "ASSERTIONS_FILE",
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
    "Slot",
    "check_endpoint",
    "create_app",
    "describe",
    "listen",
    "options_from_environment",
    "read_assertions",
    "read_sample",
    "serve",
    "serve_flow",
]
