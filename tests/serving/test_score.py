"""`/score` keeps prompt flow's contract, and its defects are mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve, write_flow


def test_outputs_come_back_without_those_for_evaluation_only(serve: Serve, echo_flow: Path) -> None:
    answer = serve(echo_flow).score({"text": "hi", "times": "2"})

    assert (answer.status, answer.json()) == (200, {"shouted": "HI HI"})
    assert answer.headers["x-request-id"]


def test_unknown_inputs_are_ignored_and_only_named_outputs_returned(serve: Serve, echo_flow: Path) -> None:
    answer = serve(echo_flow, included_outputs=("other",)).score({"text": "hi", "more": 1})

    assert (answer.status, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"times": 2}, 400, "Required input fields ['text'] are missing"),
        ({"text": "hi", "times": "many"}, 400, "times"),
        (b"{not json", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"5", 400, "found a number"),
        (b"[1, 2]", 400, "found a list"),
        (b"null", 400, "found null"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"text": ' + b"[" * 100_000, 400, "nested too deeply"),
    ],
)
def test_a_bad_body_is_refused_with_what_is_wrong(
    serve: Serve, echo_flow: Path, body: Any, status: int, message: str
) -> None:
    served = serve(echo_flow)

    answer = served.score(body)

    assert (answer.status, answer.json()["error"]["code"]) == (status, "UserError")
    assert message in answer.json()["error"]["message"]
    assert served.score({"text": "still here"}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content_type": "application/json; charset=utf-8"}, 200),
        ({"content_type": "application/problem+json"}, 200),
        ({"content_type": "application/x-www-form-urlencoded"}, 200),  # what `curl -d` says
        ({"content_type": "text/plain"}, 200),
        ({"content_type": "application/octet-stream"}, 200),
        ({"content_type": "application/xml"}, 415),
        ({"content_type": "multipart/form-data; boundary=x"}, 415),
        ({"content_type": "image/png"}, 415),
        ({"content_type": "nonsense"}, 415),
        ({"content_encoding": "identity"}, 200),
        ({"content_encoding": "gzip"}, 415),
    ],
)
def test_a_body_that_says_it_is_something_else_is_refused(
    serve: Serve, echo_flow: Path, headers: dict[str, str], status: int
) -> None:
    assert serve(echo_flow).score({"text": "hi"}, **headers).status == status


def test_plain_text_is_the_value_of_the_only_input(serve: Serve, stream_flow: Path) -> None:
    assert serve(stream_flow).score(b"hello").json() == {"output_echo": "Echo: hello "}


def test_a_flow_that_raises_names_the_node_and_the_request_and_not_the_traceback(serve: Serve, echo_flow: Path) -> None:
    answer = serve(echo_flow).score({"text": "raise"}, x_request_id="r-1")

    error = answer.json()["error"]
    assert answer.status == 400
    assert (error["code"], error["node"], error["request_id"]) == ("UserError", "shout", "r-1")
    assert error["message"].startswith("Execution failure in 'shout': (ValueError)")
    assert b"Traceback" not in answer.body
    assert b"shout.py" not in answer.body


def test_a_large_body_is_refused_before_it_is_read(serve: Serve, echo_flow: Path) -> None:
    answer = serve(echo_flow, max_body_bytes=1000).score({"text": "x" * 10_000})

    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize(
    ("accept", "status", "content_type"),
    [
        ("text/event-stream", 200, "text/event-stream; charset=utf-8"),
        ("text/event-stream, application/json;q=0.9", 200, "text/event-stream; charset=utf-8"),
        ("application/json", 200, "application/json"),
        ("application/*", 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("", 200, "application/json"),
        ("text/html", 406, "application/json"),
    ],
)
def test_a_generator_is_streamed_or_joined_as_the_client_accepts(
    serve: Serve, stream_flow: Path, accept: str, status: int, content_type: str
) -> None:
    answer = serve(stream_flow).score({"text": "hello"}, accept=accept)

    assert (answer.status, answer.headers["content-type"]) == (status, content_type)
    if content_type.startswith("text/event-stream"):
        assert answer.body == b'data: {"output_echo":"Echo: "}\n\ndata: {"output_echo":"hello "}\n\n'
    elif status == 200:
        assert answer.json() == {"output_echo": "Echo: hello "}


@pytest.mark.parametrize(
    ("accept", "status"), [("text/event-stream", 406), ("text/event-stream, application/json", 200), ("text/html", 406)]
)
def test_a_plain_answer_is_not_streamed(serve: Serve, echo_flow: Path, accept: str, status: int) -> None:
    assert serve(echo_flow).score({"text": "hi"}, accept=accept).status == status


def test_a_function_that_returns_one_value_answers_with_it_bare(serve: Serve, tmp_path: Path) -> None:
    folder = write_flow(
        tmp_path / "flex",
        flow__flex__yaml="entry: double:double\n",
        double__py="def double(n: int) -> int:\n    return 2 * n\n",
    )

    assert serve(folder).score({"n": "21"}).json() == 42


def test_a_flow_without_inputs_takes_any_body(serve: Serve, tmp_path: Path) -> None:
    flow = "outputs:\n  a: {type: int, reference: '${n.output}'}\nnodes:\n- name: n\n  type: python\n"
    flow += "  source: {type: code, path: n.py}\n  inputs: {}\n"
    tool = "from genaiops.flows import tool\n\n@tool\ndef n() -> int:\n    return 7\n"
    folder = write_flow(tmp_path / "none", flow__dag__yaml=flow, n__py=tool)

    assert serve(folder).score(b"{").json() == {"a": 7}
