"""Flows that call a model: pieces arrive as they are made, and who leaves stops the model."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import write_flow
from .processes import Process, model_server, serving, stats, wait_until
from .slow_model import SlowModel

CHAT = """
inputs:
  question: {type: string, is_chat_input: true}
  chat_history: {type: list, is_chat_history: true, default: []}
outputs:
  answer: {type: string, reference: "${ask.output}", is_chat_output: true}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: m, question: "${inputs.question}"}
  connection: slow
  api: chat
"""
WHOLE = "p0 p1 p2 p3 p4 "
SECRET = "sk-planted/secret+value=="
MESSAGES = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def model() -> Iterator[SlowModel]:
    server = SlowModel()
    yield server
    server.stop()


@pytest.fixture
def served(model: SlowModel, tmp_path: Path) -> Iterator[Process]:
    folder = write_flow(tmp_path / "chat", flow__dag__yaml=CHAT, ask__jinja2="user:\n{{question}}\n")
    variables = {"SLOW_API_KEY": SECRET, "SLOW_BASE_URL": model.url, "SLOW_TYPE": "open_ai"}
    words = ("--drain-delay", "0", "--log", str(tmp_path / "log"), "--concurrency", "2")
    with serving(folder, *words, variables=variables) as process:
        yield process


def ask(served: Process, path: str, body: Any, **headers: str) -> tuple[http.client.HTTPConnection, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", path, json.dumps(body).encode(), headers)
    return connection, connection.getresponse()


def timed_events(reply: Any) -> list[tuple[float, str]]:
    events = []
    while line := reply.readline():
        if line.startswith(b"data: "):
            events.append((time.monotonic(), line[6:].decode().strip()))
    return events


def log_lines(folder: Path, kind: str, count: int) -> list[dict[str, Any]]:
    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for file in folder.glob(f"{kind}-*.jsonl") for line in file.read_text().splitlines()]
        return found if len(found) >= count else []

    return list(wait_until(read))


def test_pieces_of_a_model_arrive_as_they_are_made_and_the_whole_is_logged(served: Process, tmp_path: Path) -> None:
    connection, reply = ask(served, "/score", {"question": "hi"}, accept="text/event-stream", **{"x-request-id": "r1"})
    events = timed_events(reply)
    connection.close()

    assert "".join(json.loads(data)["answer"] for _, data in events) == WHOLE
    assert events[-1][0] - events[0][0] > 0.25
    line = log_lines(tmp_path / "log", "requests", 1)[0]
    assert (line["request_id"], line["status"], line["outputs"]) == ("r1", "completed", {"answer": WHOLE})
    assert line["inputs"]["question"] == "hi"
    assert (line["tokens"]["input"], line["tokens"]["output"]) == (7, 5)


def test_an_openai_client_gets_the_pieces_and_the_tokens(served: Process) -> None:
    connection, reply = ask(served, "/v1/chat/completions", MESSAGES)
    events = timed_events(reply)
    connection.close()

    assert events.pop()[1] == "[DONE]"
    chunks = [json.loads(data) for _, data in events]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == WHOLE
    assert events[-1][0] - events[0][0] > 0.25
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@pytest.mark.parametrize(("path", "body"), [("/score", {"question": "hi"}), ("/v1/chat/completions", MESSAGES)])
def test_a_client_that_leaves_a_stream_stops_the_model(
    served: Process, model: SlowModel, path: str, body: Any, tmp_path: Path
) -> None:
    model.pieces, model.gap_s = 1000, 0.02
    connection, reply = ask(served, path, body, accept="text/event-stream")
    while b"p0" not in reply.readline():
        pass
    reply.close()
    connection.close()

    wait_until(lambda: model.aborted == 1, 5)
    line = log_lines(tmp_path / "log", "requests", 1)[0]
    assert line["status"] == "failed"
    assert line["outputs"]["answer"].startswith("p0 ")


def test_a_client_that_leaves_before_the_answer_stops_the_model(served: Process, model: SlowModel) -> None:
    model.gap_s = 10
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", "/score", b'{"question": "hi"}')
    wait_until(lambda: model.headers, 5)
    connection.close()

    wait_until(lambda: model.aborted == 1, 5)


def test_open_streams_count_as_rows_in_flight(served: Process, model: SlowModel) -> None:
    model.pieces, model.gap_s = 100, 0.05
    connections = [ask(served, "/score", {"question": "hi"}, accept="text/event-stream") for _ in range(2)]
    metrics = served.request("GET", "/metrics")[1]
    for connection, reply in connections:
        reply.close()
        connection.close()

    assert "genaiops_rows_in_flight 2" in metrics
    wait_until(lambda: "genaiops_rows_in_flight 0" in served.request("GET", "/metrics")[1], 5)


def test_plain_answers_of_a_plan_that_can_stream_keep_their_tokens_and_are_kept(
    served: Process, model: SlowModel, tmp_path: Path
) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    status, answer = served.request("POST", "/v1/chat/completions", body)

    assert (status, answer["choices"][0]["message"]["content"]) == (200, WHOLE)
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert served.score({"question": "other"}) == (200, {"answer": WHOLE})


def test_no_secret_stands_in_what_the_server_writes_or_says(served: Process, tmp_path: Path) -> None:
    answer = served.score({"question": f"my key is {SECRET}"}, x_request_id="r9")
    served.request("POST", "/feedback", {"request_id": "r9", "comment": f"you said {SECRET}", "thumbs": "down"})
    log_lines(tmp_path / "log", "requests", 1)
    feedback = log_lines(tmp_path / "log", "feedback", 1)[0]
    served.stop()

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert answer[0] == 200
    assert (feedback["request_id"], feedback["feedback"]["thumbs"]) == ("r9", "down")
    assert SECRET.encode() not in written


def test_the_deadline_of_a_request_ends_its_model_call(model: SlowModel, tmp_path: Path) -> None:
    model.pieces, model.gap_s = 1000, 0.05
    folder = write_flow(tmp_path / "chat", flow__dag__yaml=CHAT, ask__jinja2="user:\n{{question}}\n")
    variables = {"SLOW_API_KEY": SECRET, "SLOW_BASE_URL": model.url, "SLOW_TYPE": "open_ai"}
    with serving(folder, "--drain-delay", "0", "--deadline", "0.5", variables=variables) as server:
        whole = wait_until(lambda: (answer := server.score({"question": "hi"})) and model.headers and answer)
        connection, reply = ask(server, "/score", {"question": "hi"}, accept="text/event-stream")
        streamed = reply.read().decode()
        connection.close()

        assert whole[0] == 504
        assert 'event: error\ndata: {"error":{"code":"SystemError","message":"No answer within 0.5 s."' in streamed
        wait_until(lambda: model.aborted == len(model.headers) >= 1, 5)


@pytest.mark.parametrize(
    ("words", "variables"),
    [(("--workers", "2"), {"GENAIOPS_RPM": "600"}), (("--workers", "2", "--rpm", "600"), {"GENAIOPS_RPM": "60000"})],
)
def test_a_budget_of_requests_is_kept_by_all_workers_together(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str]
) -> None:
    """Ten a second in all: two workers begin with a call each, and the other fourteen take 1.4 s at least."""
    folder = write_flow(tmp_path / "chat", flow__dag__yaml=CHAT, ask__jinja2="user:\n{{question}}\n")
    with model_server() as url:
        around = {"SLOW_API_KEY": SECRET, "SLOW_BASE_URL": f"{url}/v1", "SLOW_TYPE": "open_ai", **variables}
        with serving(folder, "--drain-delay", "0", *words, variables=around) as server, ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda n: server.score({"question": f"number {n}"})[0], range(16)))
        seen = stats(url)

    assert (statuses, seen["requests"]) == ([200] * 16, 16)
    assert seen["seconds"] >= 1.3
