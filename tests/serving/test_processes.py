"""The command as a process of its own: it starts, is replaced, reloads and ends as it should."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genaiops import __version__

from .conftest import ECHO, SHOUT, write_flow
from .processes import is_alive, run_serve, serving, wait_until

SLOW_STREAM = """
import time
from genaiops.flows import tool

@tool
def echo(text: str):
    for number in range(1000):
        yield f"{number} "
        time.sleep(0.05)
"""


def test_workers_share_a_port_and_one_that_is_killed_is_replaced(echo_flow: Path) -> None:
    with serving(echo_flow, "--workers", "2", "--drain-delay", "0") as server:
        first, second = sorted(server.workers())
        os.kill(first, signal.SIGKILL)
        replaced = wait_until(lambda: len(found := server.workers()) == 2 and first not in found and found)
        answers = {wait_until(lambda: server.score({"text": "hi"})[0]) for _ in range(20)}

        assert second in replaced
        assert answers == {200}
        assert server.stop() == 0


def test_sigterm_lets_a_request_in_flight_finish(echo_flow: Path) -> None:
    with serving(echo_flow, "--drain-delay", "0.5", "--grace", "10") as server:
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(server.score({"text": "sleep 2"})))
        asking.start()
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.request("GET", "/readyz")[0] == 503, 0.45)
        still_answered = server.score({"text": "late"})
        asking.join(10)

        assert still_answered == (200, {"shouted": "LATE"})
        assert answers == [(200, {"shouted": "SLEEP 2"})]
        assert server.process.wait(10) == 0


def test_sigterm_ends_an_open_stream_with_a_last_event_and_the_process_within_its_grace(tmp_path: Path) -> None:
    from .conftest import STREAM

    folder = write_flow(tmp_path / "stream", flow__dag__yaml=STREAM, echo__py=SLOW_STREAM)
    with serving(folder, "--drain-delay", "0.2", "--grace", "3") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("POST", "/score", b'{"text": "x"}', {"accept": "text/event-stream"})
        reply = connection.getresponse()
        reply.readline()
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        events = reply.read().decode()
        code = server.process.wait(10)
        took = time.monotonic() - started
        connection.close()

    assert events.rstrip().endswith('event: end\nretry: 1000\ndata: {"message":"The server is shutting down."}')
    assert (code, took < 3.3) == (0, True)


def test_flow_code_that_never_returns_cannot_outlive_the_grace_period(tmp_path: Path) -> None:
    code = "import time\n\nasync def hang(text: str) -> str:\n    time.sleep(3600)\n    return text\n"
    folder = write_flow(tmp_path / "hang", flow__flex__yaml="entry: hanging:hang\n", hanging__py=code)
    with (
        serving(folder, "--drain-delay", "0.1", "--grace", "2") as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(b'POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"text": "x"}')
        time.sleep(0.5)
        started = time.monotonic()
        code_of_exit = server.stop()

    assert (code_of_exit, time.monotonic() - started < 2.8) == (0, True)


def test_what_cannot_be_finished_within_the_grace_period_is_answered_with_503(tmp_path: Path) -> None:
    code = "import time\n\ndef hang(text: str) -> str:\n    time.sleep(3600)\n    return text\n"
    folder = write_flow(tmp_path / "hang", flow__flex__yaml="entry: hanging:hang\n", hanging__py=code)
    with serving(folder, "--workers", "2", "--drain-delay", "0.1", "--grace", "4") as server:
        workers = server.workers()
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(server.score, {"text": "x"}) for _ in range(4)]
            wait_until(lambda: "genaiops_rows_in_flight 4\n" in server.request("GET", "/metrics")[1], 30)
            started = time.monotonic()
            code_of_exit = server.stop()
            took = time.monotonic() - started
            statuses = [asked.result()[0] for asked in asking]

    assert statuses == [503] * 4
    assert (code_of_exit, took < 4.8) == (0, True)
    assert not any(is_alive(worker) for worker in workers)


def test_workers_end_when_their_parent_is_killed(echo_flow: Path) -> None:
    with serving(echo_flow, "--workers", "2", "--drain-delay", "0.1", "--grace", "3") as server:
        workers = server.workers()
        server.process.kill()
        server.process.wait()

        wait_until(lambda: not any(is_alive(worker) for worker in workers), 6)


def test_a_changed_file_is_served_after_a_reload_and_a_mistake_ends_nothing(echo_flow: Path) -> None:
    with serving(echo_flow, "--reload", "--drain-delay", "0") as server:
        assert server.score({"text": "hi"})[1] == {"shouted": "HI"}

        (echo_flow / "shout.py").write_text("def broken(:\n", encoding="utf-8")
        wait_until(lambda: "cannot be served as it is now" in server.errors)
        (echo_flow / "shout.py").write_text(SHOUT.replace("upper", "title"), encoding="utf-8")

        wait_until(lambda: server.score({"text": "hi"}) == (200, {"shouted": "Hi"}))


MODEL_FLOW = """
environment_variables: {GREETING: from the file}
inputs:
  question: {type: string}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: m, temperature: 0, question: "${inputs.question}"}
  connection: first_model
  api: chat
- name: ask_again
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: m, temperature: 0, question: "${ask.output}"}
  connection: second_model
  api: chat
"""
ASK = "user:\n{{question}}\n"


def test_all_missing_connections_are_named_and_nothing_is_started(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "ask", flow__dag__yaml=MODEL_FLOW, ask__jinja2=ASK)

    ended = run_serve(folder, "--port", "0")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "first_model" in ended.stderr
    assert "second_model" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_in_use_is_said(echo_flow: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_serve(echo_flow, "--port", str(taken.getsockname()[1]))

    assert ended.returncode == 2
    assert "cannot be used" in ended.stderr


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"schema_version": 1, "digest": "x", "flow": "flow"}, "it lacks variant, init, defaults, required"),
        ({"schema_version": 9, "digest": "x", "flow": "flow"}, "has schema version 9; this version reads 1"),
    ],
)
def test_a_package_that_is_none_is_not_served(tmp_path: Path, manifest: dict[str, object], said: str) -> None:
    (tmp_path / "package.json").write_text(json.dumps(manifest), encoding="utf-8")

    ended = run_serve(tmp_path, "--port", "0")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_a_port_that_there_is_not_is_refused(echo_flow: Path) -> None:
    assert run_serve(echo_flow, "--port", "99999").returncode == 2


def test_a_flow_with_a_mistake_is_not_served(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "wrong", flow__dag__yaml=ECHO.replace("${inputs.text}", "${inputs.txt}"))

    ended = run_serve(folder, "--port", "0")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error:" in ended.stderr
    assert "Traceback" not in ended.stderr


CLASS_FLOW = """
import os

class Greeter:
    def __init__(self, greeting: str, factor: float = 1.0, words: list = ()) -> None:
        self.told = [greeting, factor, words, os.environ.get("PLACE")]

    def __call__(self, name: str) -> dict:
        return {"told": self.told, "name": name}
"""
CLASS_YAML = "entry: greeter:Greeter\nenvironment_variables:\n  PLACE: file\n"


@pytest.mark.parametrize(("place", "expected"), [(None, "file"), ("surroundings", "surroundings")])
def test_init_values_keep_their_types_and_the_surroundings_win_over_the_flow_file(
    tmp_path: Path, place: str | None, expected: str
) -> None:
    folder = write_flow(tmp_path / "greet", flow__flex__yaml=CLASS_YAML, greeter__py=CLASS_FLOW)
    init = {"greeting": "hello = there, a2V5==", "factor": 0.5, "words": ["a b", 2]}
    variables = {"PF_FLOW_INIT_CONFIG": json.dumps(init), **({"PLACE": place} if place else {})}
    with serving(folder, "--drain-delay", "0", variables=variables) as server:
        status, answer = server.score({"name": "Ada"})

    assert status == 200
    assert answer == {"told": ["hello = there, a2V5==", 0.5, ["a b", 2], expected], "name": "Ada"}


def test_an_init_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "greet", flow__flex__yaml=CLASS_YAML, greeter__py=CLASS_FLOW)

    ended = run_serve(folder, "--port", "0", PF_FLOW_INIT_CONFIG="greeting=hello")

    assert (ended.returncode, "PF_FLOW_INIT_CONFIG" in ended.stderr) == (2, True)


@pytest.mark.parametrize(("build", "version"), [(None, __version__), ('{"build_number": "20261128.3"}', "20261128.3")])
def test_the_version_is_that_of_the_build_or_of_this_package(echo_flow: Path, build: str | None, version: str) -> None:
    with serving(echo_flow, "--drain-delay", "0", variables={"BUILD_INFO": build} if build else {}) as server:
        assert server.request("GET", "/health") == (200, {"status": "Healthy", "version": version})
        assert server.request("GET", "/version")[1]["build_info"] == (build or "")


def test_keys_of_a_file_are_asked_for(echo_flow: Path, tmp_path: Path) -> None:
    import hashlib

    keys = tmp_path / "keys.txt"
    keys.write_text(f"# keys\n{hashlib.sha256(b'open-sesame').hexdigest()}  # ali\n", encoding="utf-8")
    with serving(echo_flow, "--api-keys", str(keys), "--drain-delay", "0") as server:
        assert server.score({"text": "hi"})[0] == 401
        assert server.score({"text": "hi"}, authorization="Bearer open-sesame")[0] == 200


def test_a_model_flow_is_served_from_a_recording_without_connections() -> None:
    from .processes import ROOT

    use_case = ROOT / "examples" / "named_entity_recognition"
    recording = next((use_case / "recordings").glob("*.jsonl"))
    sample = json.loads((use_case / "sample-request.json").read_text(encoding="utf-8"))
    with serving(
        use_case / "flows" / "standard", "--model-calls", "replay", "--recording", str(recording),
        "--drain-delay", "0", cwd=use_case,
    ) as server:  # fmt: skip
        status, answer = server.score(sample)

    assert status == 200
    assert "entities" in answer
    for log in use_case.glob("stderr-*.log"):
        log.unlink()
