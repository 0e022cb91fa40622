"""The figures for Prometheus are those of all workers, whichever answers."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.serving import Board
from genaiops.serving._board import open_board
from genaiops.serving._metrics import Metrics, metrics_text

from .processes import Process, serving, wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has one worker")
SERIES = re.compile(r'genaiops_requests_total\{route="/score",status="200"\} (\d+)')


def answered(server: Process) -> int:
    """Good answers of `/score`, as one worker tells it."""
    found = SERIES.search(server.request("GET", "/metrics")[1])
    return int(found[1]) if found else 0


def test_every_worker_tells_what_all_of_them_did_also_one_that_is_gone(echo_flow: Path) -> None:
    with serving(echo_flow, "--workers", "2", "--drain-delay", "0") as server:
        for _ in range(30):
            assert server.score({"text": "hi"})[0] == 200
        wait_until(lambda: all(answered(server) == 30 for _ in range(10)), 30)
        first = server.workers()[0]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(found := server.workers()) == 2 and first not in found, 30)
        wait_until(lambda: server.score({"text": "hi"})[0] == 200, 30)

        wait_until(lambda: all(answered(server) == 31 for _ in range(10)), 30)
        assert "genaiops_workers 2\n" in server.request("GET", "/metrics")[1]


counts = st.integers(0, 10**6)
figures = st.builds(
    lambda requests, durations, rows, refused: (requests, durations, rows, refused),
    st.dictionaries(st.tuples(st.sampled_from(["/score", "/feedback"]), st.sampled_from([200, 400, 429])), counts),
    st.lists(st.tuples(st.sampled_from(["/score", "/feedback"]), st.floats(0, 200)), max_size=20),
    st.dictionaries(st.sampled_from(["completed", "failed"]), counts),
    counts,
)


def metrics_of(drawn: Any) -> Metrics:
    requests, durations, rows, refused = drawn
    metrics = Metrics()
    metrics.requests.update(requests)
    for route, seconds in durations:
        metrics.count_request(route, 200, seconds)
    metrics.rows.update(rows)
    metrics.refused = refused
    return metrics


@given(drawn=st.lists(figures, min_size=1, max_size=4))
def test_the_figures_of_workers_add_up_whatever_their_order(drawn: list[Any]) -> None:
    def text(order: Callable[[list[Any]], Any]) -> str:
        total = Metrics()
        for worker in order(drawn):
            total.add(metrics_of(worker).to_json())
        assert total.refused == sum(refused for *_, refused in drawn)
        assert total.requests.total() == sum(metrics_of(worker).requests.total() for worker in drawn)
        text = metrics_text(total, [{"in_flight": 1, "waiting": 0, "stuck": 0, "ready": 1}] * len(drawn))
        return re.sub(r"_sum\{.*", "", text)  # floating-point sums depend on the order in their last digit

    assert text(list) == text(lambda workers: reversed(workers))


def test_a_page_that_is_written_all_the_time_is_never_read_half() -> None:
    file = open_board()
    writer, reader = Board(file, 0, 2), Board(file, 1, 2)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            writer.write({"pieces": [number] * (number % 500)})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        read = [page for _ in range(2000) for page in reader.others()]
    finally:
        stop.set()
        thread.join()
        os.close(file)

    assert read
    assert all(len(set(page["pieces"])) <= 1 for page in read)
