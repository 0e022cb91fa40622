"""The server does what its own description says, whatever schemathesis makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Serve

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_no_request_that_schemathesis_finds_breaks_the_description(
    serve: Serve, echo_flow: Path, tmp_path: Path
) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra: dev)")
    served = serve(echo_flow)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{served.port}/swagger.json"]
    words = ["--checks", CHECKS, "--max-examples", "30", "--seed", "1", "--phases", "examples,fuzzing", "--no-color"]

    ended = subprocess.run([*command, *words], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=110)

    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert served.score({"text": "still here"}).status == 200


def test_a_body_of_ten_megabytes_is_refused_in_words_and_not_by_a_broken_connection(
    serve: Serve, echo_flow: Path
) -> None:
    answer = serve(echo_flow).score(b'{"text": "' + b"x" * 10_000_000 + b'"}')

    assert (answer.status, answer.json()["error"]["code"]) == (413, "UserError")


@pytest.mark.parametrize("depth", [129, 900, 10_000])
def test_deep_nesting_is_refused_however_deep(serve: Serve, echo_flow: Path, depth: int) -> None:
    served = serve(echo_flow)

    for body in (b'{"text": ' + b"[" * depth + b"]" * depth + b"}", b'{"text":' * depth + b"1" + b"}" * depth):
        answer = served.score(body)
        assert (answer.status, "nested too deeply" in answer.json()["error"]["message"]) == (400, True)
