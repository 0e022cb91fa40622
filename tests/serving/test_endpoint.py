"""`genaiops endpoint test`: what is looked at, what is tried again, and what a use case may ask for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genaiops.cli import main
from genaiops.cli._endpoint import endpoint
from genaiops.errors import InputError
from genaiops.serving import EndpointExpectation, check_endpoint, read_assertions

from .conftest import Serve, write_flow

Reply = tuple[int, str, bytes]
GOOD: Reply = (200, "application/json", b'{"shouted": "HI"}')


class Scripted:
    """A server of somebody else: each path has its answers, the last of them for ever."""

    def __init__(self, answers: dict[str, list[Reply]]) -> None:
        self.asked: list[str] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.asked.append(self.path)
                left = answers.get(self.path, [(404, "text/plain", b"not here")])
                status, content_type, body = left.pop(0) if len(left) > 1 else left[0]
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted() -> Iterator[Callable[[dict[str, list[Reply]]], Scripted]]:
    started: list[Scripted] = []

    def start(answers: dict[str, list[Reply]]) -> Scripted:
        started.append(Scripted(answers))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def found(report: Any) -> dict[str, bool]:
    return {check.name: check.passed for check in report.checks}


def test_a_good_endpoint_passes_what_its_own_description_says(serve: Serve, echo_flow: Path) -> None:
    served = serve(echo_flow)

    report = check_endpoint(f"http://127.0.0.1:{served.port}/score", EndpointExpectation(sample={"text": "hi"}))

    assert report.passed
    assert found(report) == {"ready": True, "status": True, "JSON": True, "schema": True}
    assert report.answer == {"shouted": "HI"}


def test_an_output_that_is_described_and_not_given_fails_the_schema(
    scripted: Callable[[dict[str, list[Reply]]], Scripted],
) -> None:
    answer = {"properties": {"shouted": {"type": "string"}, "score": {"type": "number"}, "parts": {"type": "array"}}}
    content = {"content": {"application/json": {"schema": answer}}}
    document = {"paths": {"/score": {"post": {"responses": {"200": content}}}}}
    server = scripted(
        {
            "/health": [(200, "application/json", b"{}")],
            "/swagger.json": [(200, "application/json", json.dumps(document).encode())],
            "/score": [(200, "application/json", b'{"shouted": "HI", "parts": 5}')],
        }
    )

    report = check_endpoint(server.url, EndpointExpectation(sample={"text": "hi"}))

    schema = next(check for check in report.checks if check.name == "schema")
    assert not schema.passed
    assert schema.found == "the answer lacks score; the answer holds parts as int, not as array"


def test_what_may_be_a_start_up_matter_is_tried_again_and_a_wrong_answer_is_not(
    scripted: Callable[[dict[str, list[Reply]]], Scripted],
) -> None:
    starting: Reply = (503, "text/plain", b"no healthy upstream")
    waits: list[float] = []
    expectation = EndpointExpectation(sample={"text": "hi"})

    slow = scripted({"/readyz": [starting, starting, (200, "text/plain", b"ok")], "/score": [starting, GOOD]})
    report = check_endpoint(slow.url, expectation, clock=lambda: sum(waits), sleep=waits.append)
    wrong = scripted({"/readyz": [(200, "text/plain", b"ok")], "/score": [(500, "text/plain", b"boom"), GOOD]})
    refused = check_endpoint(wrong.url, expectation)

    assert (report.passed, slow.asked.count("/readyz"), slow.asked.count("/score")) == (True, 3, 2)
    assert (refused.passed, wrong.asked.count("/score")) == (False, 1)
    assert [check.found for check in refused.checks if check.name == "status"] == ["500 boom"]


def test_an_endpoint_that_is_never_ready_is_given_up_in_time(
    scripted: Callable[[dict[str, list[Reply]]], Scripted],
) -> None:
    waits: list[float] = []
    server = scripted({"/readyz": [(503, "text/plain", b"starting")]})

    expectation = EndpointExpectation(sample={}, ready_timeout_s=30)
    report = check_endpoint(server.url, expectation, clock=lambda: sum(waits), sleep=waits.append)

    assert found(report) == {"ready": False}
    assert 25 < sum(waits) <= 30
    assert report.checks[0].found == "not within 30 s; /readyz answered 503 starting"


@pytest.mark.parametrize(
    ("rules", "passed"),
    [
        ({"equals": "HI"}, True),
        ({"equals": "HO"}, False),
        ({"one_of": ["HO", "HI"]}, True),
        ({"one_of": ["HO"]}, False),
        ({"contains": "I"}, True),
        ({"contains": "X"}, False),
        ({"matches": "^H.$"}, True),
        ({"matches": "^h.$"}, False),
        ({"min_length": 2}, True),
        ({"min_length": 3}, False),
        ({"at_least": 1}, False),  # a text is no number
        ({"equals": "HI", "min_length": 3}, False),
    ],
)
def test_each_assertion_holds_or_not(serve: Serve, echo_flow: Path, rules: dict[str, Any], passed: bool) -> None:
    served = serve(echo_flow)
    expectation = EndpointExpectation(sample={"text": "hi"}, expected={"shouted": rules})

    assert check_endpoint(f"http://127.0.0.1:{served.port}", expectation).passed is passed


@pytest.mark.parametrize(("rules", "passed"), [({"at_least": 42, "at_most": 42}, True), ({"at_most": 41}, False)])
def test_a_bare_value_is_judged_as_it_is(serve: Serve, tmp_path: Path, rules: dict[str, Any], passed: bool) -> None:
    code = "def double(n: int) -> int:\n    return 2 * n\n"
    served = serve(write_flow(tmp_path / "flex", flow__flex__yaml="entry: double:double\n", double__py=code))
    expectation = EndpointExpectation(sample={"n": 21}, expected={"output": rules})

    assert check_endpoint(f"http://127.0.0.1:{served.port}", expectation).passed is passed


def test_a_stream_must_be_one_and_must_not_break(serve: Serve, stream_flow: Path, echo_flow: Path) -> None:
    breaking = write_flow(
        stream_flow.parent / "breaking",
        flow__dag__yaml=(stream_flow / "flow.dag.yaml").read_text(),
        echo__py="from genaiops.flows import tool\n\n@tool\ndef echo(text: str):\n    yield text\n    raise OSError\n",
    )
    expectation = EndpointExpectation(sample={"text": "hi"}, streaming=True)

    streams = [
        found(check_endpoint(f"http://127.0.0.1:{serve(flow).port}", expectation)).get("streaming")
        for flow in (stream_flow, echo_flow)
    ]
    broken = check_endpoint(f"http://127.0.0.1:{serve(breaking).port}", expectation)

    assert streams == [True, False]
    assert not broken.passed


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{", 1, "no JSON"),
        ("[]", None, "Expected a JSON object"),
        ('{\n "expectd": {}}', 2, "Did you mean 'expected'?"),
        ('{"outputs": "a"}', 1, "a list of output names"),
        ('{"max_latency_s": 0}', 1, "above 0"),
        ('{"streaming": "yes"}', 1, "true or false"),
        ('{"expected": {\n "a": "x"}}', 2, "to be an object"),
        ('{"expected": {"a": {\n "match": "x"}}}', 2, "Did you mean 'matches'?"),
        ('{"expected": {"a": {"matches": "("}}}', 1, "a regular expression"),
        ('{"expected": {"a": {"min_length": "3"}}}', 1, "a whole number"),
        ('{"expected": {"a": {"one_of": []}}}', 1, "a list of values"),
    ],
)
def test_assertions_that_mean_nothing_are_refused_with_their_line(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    file = tmp_path / "endpoint-test.json"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        read_assertions(file)

    assert (refused.value.file, refused.value.line) == (str(file), line)
    assert said in str(refused.value)


def test_the_command_reads_the_use_case_and_its_exit_code_tells(serve: Serve, echo_flow: Path, tmp_path: Path) -> None:
    served = serve(echo_flow)
    (tmp_path / "sample-request.json").write_text('{"text": "hi"}', encoding="utf-8")
    words = ["test", f"http://127.0.0.1:{served.port}", "--use-case", str(tmp_path), "--json"]
    codes = []
    for wanted in ("^HI$", "^HO$"):
        assertions = {"outputs": ["shouted"], "max_latency_s": 60, "expected": {"shouted": {"matches": wanted}}}
        (tmp_path / "endpoint-test.json").write_text(json.dumps(assertions), encoding="utf-8")
        result = CliRunner().invoke(endpoint, words)
        codes.append(getattr(result.exception, "exit_code", result.exit_code))

    assert codes == [0, 1]
    assert 'shouted matches "^HO$": HI' in str(result.exception)
    assert json.loads(result.stdout)["checks"][-2] == {
        "name": 'shouted matches "^HO$"',
        "passed": False,
        "found": "HI",
    }


def test_an_address_with_https_of_a_server_without_is_told_at_once(serve: Serve, echo_flow: Path) -> None:
    started = time.monotonic()
    port = serve(echo_flow).port
    report = check_endpoint(f"https://127.0.0.1:{port}", EndpointExpectation(sample={"text": "hi"}))

    assert [(check.name, check.passed) for check in report.checks] == [("ready", False)]
    assert "does not speak TLS" in report.checks[0].found
    assert time.monotonic() - started < 10


def test_a_certificate_that_nobody_trusts_is_told_at_once_and_with_what_to_do(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        capture_output=True, check=False,
    ) if shutil.which("openssl") else None  # fmt: skip
    if made is None or made.returncode:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]

        def answer() -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(plain.accept()[0], server_side=True).close()

        threading.Thread(target=answer, daemon=True).start()
        report = check_endpoint(f"https://localhost:{port}", EndpointExpectation(sample={"text": "hi"}))

    assert [(check.name, check.passed) for check in report.checks] == [("ready", False)]
    assert "SSL_CERT_FILE" in report.checks[0].found
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "no key was sent: set GENAIOPS_ENDPOINT_KEY"), ("wrong", "key that was sent is not accepted")],
)
def test_a_missing_and_a_wrong_key_are_told_apart(serve: Serve, echo_flow: Path, key: str | None, said: str) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    port = serve(echo_flow, api_key_digests=(digest,)).port
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    report = check_endpoint(f"http://127.0.0.1:{port}", EndpointExpectation(sample={"text": "hi"}, headers=headers))

    assert [(check.name, check.passed) for check in report.checks] == [("ready", True), ("status", False)]
    assert said in report.checks[1].found


@pytest.mark.parametrize(
    "words",
    [
        ("test", "--local", "no-such-flow", "--sample", "sample.json"),
        ("test", "http://127.0.0.1:1", "--sample", "sample.json", "--timeout", "0"),
        ("test", "http://127.0.0.1:1", "--sample", "sample.json", "--max-latency", "-1"),
        ("test", "ftp://127.0.0.1:1", "--sample", "sample.json"),
        ("test", "http://127.0.0.1:1", "--sample", "no-such.json"),
    ],
)
def test_a_mistake_in_the_words_is_no_failed_endpoint(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.json").write_text('{"text": "hi"}', encoding="utf-8")

    assert main(["endpoint", *words]) == 2
