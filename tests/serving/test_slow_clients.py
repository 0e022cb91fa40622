"""Clients that send or read slowly on purpose, or send too much, hold nothing for ever."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .conftest import Serve, Served, write_flow
from .processes import wait_until

BODY = b'{"text": "hi"}'
REQUEST = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
WORDY = """
from genaiops.flows import tool

@tool
def echo(text: str):
    while True:
        yield "x" * 100_000
"""


def connect(served: Served) -> socket.socket:
    # Far above any limit of the server: who waits so long has found one that does not work.
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)


def limit(served: Served, **seconds: float) -> None:
    """Shorten a limit from now on, so that what came before had all the time that a busy machine may need."""
    served.service.options = replace(served.service.options, **seconds)


def read_all(client: socket.socket) -> bytes:
    """What is sent until the connection is closed."""
    found = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            found += piece
    return found


def test_a_head_that_does_not_arrive_is_given_up(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, body_timeout_s=0.3)

    with connect(served) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert read_all(client) == b""


def test_a_body_that_does_not_arrive_is_given_up(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, body_timeout_s=30)
    limit(served, body_timeout_s=0.3)

    with connect(served) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert client.recv(4096).startswith(b"HTTP/1.1 408")


def test_the_second_request_of_a_connection_may_not_be_slow_either(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, body_timeout_s=30)

    with connect(served) as client:
        client.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"}"):
            answer += client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        limit(served, body_timeout_s=0.3)
        client.sendall(b"POST /score HTTP/1.1\r\nX-Slow: ")
        assert read_all(client) == b""


def test_a_head_without_end_is_refused(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)

    with connect(served) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionError):
            for number in range(20):
                client.sendall(b"X-%d: %s\r\n" % (number, b"x" * 10_000))
        answer = read_all(client)

    assert answer.startswith(b"HTTP/1.1 431") or answer == b""
    assert served.score({"text": "still here"}).status == 200


def test_large_bodies_of_one_connection_count_as_no_head(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)
    body = b'{"text": "%s"}' % (b"x" * 200_000)
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with connect(served) as client:
        for _ in range(3):
            client.sendall(request)
            with client.makefile("rb") as stream:
                assert stream.readline().startswith(b"HTTP/1.1 200")
                headers = dict(line.lower().split(b": ") for line in iter(stream.readline, b"\r\n"))
                assert len(stream.read(int(headers[b"content-length"]))) > 200_000


def test_a_client_that_stops_reading_its_stream_is_cut_off_and_frees_its_place(serve: Serve, tmp_path: Path) -> None:
    from .conftest import STREAM

    served = serve(write_flow(tmp_path / "wordy", flow__dag__yaml=STREAM, echo__py=WORDY), stall_timeout_s=0.3)

    with connect(served) as client:
        client.sendall(REQUEST.replace(b"Host", b"Accept: text/event-stream\r\nHost"))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        wait_until(lambda: served.service.metrics.disconnected == 1, 60)

    # Its place is free when its task has ended, a moment after the connection was cut.
    wait_until(lambda: served.service.admission.in_flight == 0, 60)
