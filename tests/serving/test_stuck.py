"""Flow code that does not come back: its request is answered in time, and its threads do not pile up."""

from __future__ import annotations

import http.client
import re
import time
from pathlib import Path

import pytest

from .conftest import STREAM, write_flow
from .processes import Process, is_alive, serving, wait_until

ENDLESS = """
import itertools, time
from genaiops.flows import tool

@tool
def echo(text: str):
    for number in itertools.count():
        yield f"{number} "
        if text == "hang":
            time.sleep(3600)
        if text == "short" and number == 2:
            return
        time.sleep(0.001)
"""


def metric(server: Process, name: str) -> int:
    found = re.search(rf"^genaiops_{name} (\d+)$", server.request("GET", "/metrics")[1], re.MULTILINE)
    assert found is not None
    return int(found[1])


def stream(server: Process, body: bytes) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/score", body, {"accept": "text/event-stream"})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return write_flow(tmp_path / "endless", flow__dag__yaml=STREAM, echo__py=ENDLESS)


def test_a_generator_that_never_ends_is_stopped_when_its_request_has_been_answered(endless: Path) -> None:
    with serving(endless, "--drain-delay", "0", "--deadline", "0.5") as server:
        statuses = [server.score({"text": "x"})[0] for _ in range(3)]
        streamed = stream(server, b'{"text": "x"}')

        wait_until(lambda: metric(server, "threads_stuck") == 0, 2)
        assert statuses == [504] * 3
        assert "No answer within 0.5 s." in streamed
        assert server.score({"text": "short"}) == (200, {"output_echo": "0 1 2 "})


def test_a_worker_with_too_many_stuck_threads_is_replaced_and_clients_are_answered_all_the_while(
    endless: Path,
) -> None:
    words = ("--drain-delay", "0.1", "--deadline", "0.4", "--max-stuck", "3", "--grace", "5")
    with serving(endless, *words) as server:
        before = server.workers()
        streamed = stream(server, b'{"text": "hang"}')
        status = server.score({"text": "hang"})[0]
        counted = metric(server, "threads_stuck")
        # Six times: were they deaths, the server would have given up after five.
        for _ in range(6):
            worker = server.workers()
            while metric(server, "threads_stuck") < 2:
                server.score({"text": "hang"})
            server.score({"text": "hang"})
            wait_until(lambda old=frozenset(worker): not old & set(server.workers()) and server.workers(), 10)
            assert server.score({"text": "short"})[0] == 200

        assert "No answer within 0.4 s." in streamed
        assert (status, counted) == (504, 2)
        assert metric(server, "threads_stuck") == 0
        assert not any(is_alive(worker) for worker in before)
        assert "3 threads still busy with requests that have been answered: this worker is replaced" in server.errors
        started = time.monotonic()
        assert (server.stop(), time.monotonic() - started < 5) == (0, True)
