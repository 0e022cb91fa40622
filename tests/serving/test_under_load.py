"""More requests than fit are refused at once; slow ones end; a client that leaves frees its place."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Serve, Served, write_flow
from .processes import wait_until


def test_what_does_not_fit_into_the_queue_is_refused_at_once_with_a_time_to_come_back(
    serve: Serve, echo_flow: Path
) -> None:
    served = serve(echo_flow, concurrency=1, queue=1)

    with ThreadPoolExecutor(6) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda _: served.score({"text": "sleep 0.5"}), range(6)))
        took = time.monotonic() - started

    statuses = sorted(answer.status for answer in answers)
    refused = [answer for answer in answers if answer.status == 429]
    assert statuses == [200, 200, 429, 429, 429, 429]
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert took < 3
    assert served.score({"text": "after"}).status == 200


def test_a_request_that_takes_too_long_is_answered_with_504(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, deadline_s=0.3)

    answer = served.score({"text": "sleep 2"})

    assert (answer.status, answer.json()["error"]["code"]) == (504, "SystemError")
    assert served.service.admission.in_flight == 0


WAITING = "import asyncio\n\nasync def wait(text: str) -> str:\n    await asyncio.sleep(float(text))\n    return text\n"


def test_a_client_that_leaves_cancels_its_row_and_frees_its_place(serve: Serve, tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "wait", flow__flex__yaml="entry: waiting:wait\n", waiting__py=WAITING)
    served = serve(folder, concurrency=1, queue=0)

    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        body = b'{"text": "60"}'
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        wait_until(lambda: served.service.admission.in_flight == 1)
    wait_until(lambda: served.service.admission.in_flight == 0)

    assert served.service.metrics.disconnected == 1


def test_a_quick_flow_that_turns_slow_goes_back_to_threads(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)
    # On a busy machine rows look slow now and then, so trust may take more rows than on a quiet one.
    wait_until(lambda: served.score({"text": "hi"}).status == 200 and served.service.quick.trusted, 60, pause_s=0)

    assert served.score({"text": "sleep 0.1"}).json() == {"shouted": "SLEEP 0.1"}
    assert not served.service.quick.trusted


@pytest.fixture
def one_server(serve: Serve, echo_flow: Path) -> Served:
    return serve(echo_flow)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "times", "x"]), inner),
    max_leaves=6,
))  # fmt: skip
def test_no_body_makes_the_server_fail(one_server: Served, body: object) -> None:
    answer = one_server.score(body)

    assert answer.status in (200, 400)
    assert one_server.request("GET", "/livez").status == 200


WHOLE = b'POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"text": "hi"}'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=300),
        # A good request, damaged somewhere.
        st.builds(
            lambda start, length, rubbish: WHOLE[:start] + rubbish + WHOLE[start + length :],
            st.integers(0, len(WHOLE)),
            st.integers(0, 20),
            st.binary(max_size=20),
        ),
    )
)
def test_no_bytes_make_the_server_fail_or_hang(one_server: Served, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", one_server.port), timeout=60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(4096)

    assert answer == b"" or answer[:10] in (b"HTTP/1.1 2", b"HTTP/1.1 4")
    assert one_server.request("GET", "/livez").status == 200
