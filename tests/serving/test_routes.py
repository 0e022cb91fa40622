"""The other routes: health, description, metrics, keys, the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .conftest import Serve, write_flow


def test_health_and_version_have_prompt_flows_shapes(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, version="7", build_info='{"build_number": "7"}')

    assert served.request("GET", "/health").json() == {"status": "Healthy", "version": "7"}
    assert served.request("GET", "/version").json() == {
        "status": "Healthy",
        "build_info": '{"build_number": "7"}',
        "version": "7",
    }


def test_an_unknown_path_says_what_there_is(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)

    unknown = served.request("GET", "/nope")
    wrong_verb = served.request("GET", "/score")

    assert (unknown.status, wrong_verb.status, wrong_verb.headers["allow"]) == (404, 405, "POST")
    assert b"'/nope' with GET is not supported" in unknown.body


def test_the_description_lists_inputs_and_public_outputs(serve: Serve, echo_flow: Path) -> None:
    document = serve(echo_flow).request("GET", "/swagger.json").json()

    body = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    answer = document["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {name: schema["type"] for name, schema in body["properties"].items()} == {
        "text": "string",
        "times": "integer",
    }
    assert body["required"] == ["text"]
    assert list(answer["properties"]) == ["shouted"]
    assert document["info"]["x-flow-name"] == "echo"


def test_without_a_key_nobody_is_answered_when_keys_are_required(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow, api_key_digests=(hashlib.sha256(b"k1").hexdigest(), hashlib.sha256(b"k2").hexdigest()))

    assert served.score({"text": "hi"}).status == 401
    assert served.score({"text": "hi"}, authorization="Bearer wrong").status == 401
    assert served.score({"text": "hi"}, authorization="Bearer k2").status == 200
    assert served.score({"text": "hi"}, api_key="k1").status == 200
    assert served.request("GET", "/readyz").status == 200


def test_cors_is_closed_unless_an_origin_is_named(serve: Serve, echo_flow: Path) -> None:
    closed = serve(echo_flow).score({"text": "hi"}, origin="https://app.example")
    opened = serve(echo_flow, cors_origins=("https://app.example",)).score({"text": "hi"}, origin="https://app.example")

    assert "access-control-allow-origin" not in closed.headers
    assert opened.headers["access-control-allow-origin"] == "https://app.example"


def test_metrics_count_requests_and_rows(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)
    served.score({"text": "hi"})
    served.score({"text": "raise"})

    text = served.request("GET", "/metrics").body.decode()

    assert 'genaiops_requests_total{route="/score",status="200"} 1' in text
    assert 'genaiops_requests_total{route="/score",status="400"} 1' in text
    assert 'genaiops_rows_total{status="failed"} 1' in text
    assert "genaiops_ready 1" in text


def test_the_page_carries_hostile_names_as_data_and_allows_no_foreign_script(serve: Serve, tmp_path: Path) -> None:
    flow = (
        "display_name: '</script><script>alert(1)</script>'\ninputs:\n  text: {type: string}\n"
        "outputs:\n  a: {type: string, reference: '${inputs.text}'}\nnodes: []\n"
    )
    answer = serve(write_flow(tmp_path / "page", flow__dag__yaml=flow)).request("GET", "/")

    assert answer.status == 200
    assert b"<script>alert(1)" not in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]


def test_a_feedback_is_received(serve: Serve, echo_flow: Path) -> None:
    answer = serve(echo_flow).request("POST", "/feedback?flatten=true", {"thumbs": "up"})

    assert (answer.status, answer.json()) == (200, {"status": "Feedback received."})
