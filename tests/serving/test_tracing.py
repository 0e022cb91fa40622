"""Spans of requests stand in the trace of whoever called, with what the caller says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genaiops.tracing import Span

from .conftest import Serve, Served
from .processes import wait_until

# The examples of W3C Trace Context.
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def exported(served: Served, ask: Any, count: int) -> list[Span]:
    spans: list[Span] = []
    served.service.export = spans.extend
    ask()
    wait_until(lambda: len(spans) == count, 30)
    return spans


def test_a_request_continues_the_trace_of_its_caller(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)

    node, root = exported(served, lambda: served.score({"text": "hi"}, traceparent=TRACEPARENT, x_request_id="r1"), 2)

    assert {f"{span.trace_id:032x}" for span in (node, root)} == {TRACE}
    assert (f"{root.parent_id:016x}", node.parent_id) == (PARENT, root.span_id)
    assert root.recorder is not None
    assert root.recorder.attributes == {"flow": "echo", "request_id": "r1"}


@pytest.mark.parametrize(
    "header",
    ["", "00-0-0-0", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", "\u00e4"],
)
def test_a_header_that_means_nothing_starts_a_trace_of_its_own(serve: Serve, echo_flow: Path, header: str) -> None:
    served = serve(echo_flow)

    spans = exported(served, lambda: served.score({"text": "hi"}, traceparent=header), 2)

    assert all(span.trace_id not in (0, int(TRACE, 16)) for span in spans)
    assert spans[-1].parent_id == 0


def test_what_the_caller_says_of_itself_stands_beside_the_request(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)
    baggage = "user=ann;since=2, team=a%20b , flow=other, nonsense, =x"

    root = exported(served, lambda: served.score({"text": "hi"}, baggage=baggage, x_request_id="r1"), 2)[-1]

    assert root.recorder is not None
    assert root.recorder.attributes == {"user": "ann", "team": "a b", "flow": "echo", "request_id": "r1"}


@pytest.mark.parametrize(
    ("query", "attributes"),
    [("", {"feedback": '{"stars": 5, "why": {"a": 1}}'}), ("?flatten=true", {"stars": "5", "why": '{"a": 1}'})],
)
def test_feedback_is_a_span_in_the_callers_trace(
    serve: Serve, echo_flow: Path, query: str, attributes: dict[str, str]
) -> None:
    served = serve(echo_flow)
    body = b'{"stars": 5, "why": {"a": 1}}'

    def ask() -> None:
        served.request("POST", f"/feedback{query}", body, traceparent=TRACEPARENT, baggage="user=ann")

    [span] = exported(served, ask, 1)

    assert span.name == "promptflow-feedback"
    assert f"{span.trace_id:032x}" == TRACE
    assert attributes.items() <= span.attributes.items()
    assert span.recorder is not None
    assert span.recorder.attributes["user"] == "ann"
