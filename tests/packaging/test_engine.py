"""Images that are started by a real container engine. Whole builds with real packages: slow."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genaiops.cli import main
from genaiops.packaging import THIS_PYTHON, Layout, find_engine, load_base

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Plain machines without systemd or with old cgroups, where a bare `podman run` fails.
PLAIN_PODMAN = """\
[containers]
default_ulimits=["nofile=1024:4096","nproc=4096:4096"]
netns="host"
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
"""
FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, text: "${inputs.text}"}
  connection: model
  api: chat
"""
EXPERIMENT = """\
name: asking
flow: flows/ask
connections:
- name: model
  connection_type: open_ai
  api_key: ${MODEL_API_KEY}
  base_url: ${MODEL_BASE_URL}
"""
KEY = "sk-only-for-this-test-0123456789"


def ask_engine(engine: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([engine, *words], capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Words that let a container reach this machine's loopback, once an engine has run something here.

    An engine that is there and cannot run anything on this machine proves nothing about us: the tests are skipped.
    """
    folder = tmp_path_factory.mktemp("engine")
    (folder / "containers.conf").write_text(PLAIN_PODMAN, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    why = "no container engine: neither docker nor podman answers"
    for configuration in (None, folder / "containers.conf"):
        if configuration is not None:
            patch.setenv("CONTAINERS_CONF", str(configuration))
        found = find_engine(os.environ)
        if found is not None:
            why = runs_nothing(found.program, folder)
        if not why:
            yield "host"
            patch.undo()
            return
    patch.undo()
    pytest.skip(why)


def runs_nothing(engine: str, folder: Path) -> str:
    """Why the engine cannot run this Python in a root of its own; empty when it can."""
    load_this_python(engine, folder, "localhost/genaiops-can-it-run:1", {"Cmd": ["-c", "print('runs')"]})
    result = ask_engine(engine, "run", "--rm", "--network", "host", "localhost/genaiops-can-it-run:1")
    ask_engine(engine, "rmi", "localhost/genaiops-can-it-run:1")
    return "" if result.stdout.strip() == "runs" else f"{engine} cannot run a container here: {result.stderr[-300:]}"


def load_this_python(engine: str, folder: Path, name: str, config: dict[str, Any]) -> None:
    """This machine's Python as an image of the engine."""
    layout = Layout(folder / "python")
    base = load_base(THIS_PYTHON, layout)
    descriptor = layout.write_image(base, [], {**base.config, "Entrypoint": [base.python], **config})
    with (folder / "image.tar").open("wb") as file:
        layout.write_archive(file, digest=descriptor["digest"], name=name)
    ask_engine(engine, "load", "--input", str(folder / "image.tar"))


@pytest.fixture(scope="module")
def engine(network: str) -> str:
    found = find_engine(os.environ)
    assert found is not None
    return found.program


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository") / "asking"
    (folder / "flows/ask").mkdir(parents=True)
    (folder / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "sample-request.json").write_text('{"text": "hello bees"}', encoding="utf-8")
    (folder / "flows/ask/flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (folder / "flows/ask/ask.jinja2").write_text("# user:\n{{text}}\n", encoding="utf-8")
    return folder


@pytest.fixture
def model() -> Iterator[str]:
    """A model server of its own process, which wants the key."""
    command = [sys.executable, "-m", "genaiops.testing.model_server", "--port", "0", "--key", KEY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip().removeprefix("ready ") + "/v1"
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stdout.close()


def containers(engine: str) -> set[str]:
    return set(ask_engine(engine, "ps", "--all", "--quiet").stdout.split())


def images(engine: str) -> set[str]:
    return set(ask_engine(engine, "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())


def build(use_case: Path, output: Path, network: str, *words: str) -> int:
    return main(["build", str(use_case), "--output", str(output), "--network", network, *words])


def test_an_image_is_built_started_asked_and_runs_as_the_output_says(
    use_case: Path,
    model: str,
    engine: str,
    network: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODEL_API_KEY", KEY)
    monkeypatch.setenv("MODEL_BASE_URL", model)
    before = containers(engine)

    assert build(use_case, tmp_path / "image", network, "--json") == 0

    result = json.loads(capfd.readouterr().out)
    assert result["tested"] is True
    assert "health check" in result["test"]
    assert containers(engine) == before
    assert result["engine_image"] in images(engine)
    assert result["added_bytes"] <= 120_000_000, "what a Python-only flow may add to its base"
    assert result["layers"][1]["unpacked_bytes"] <= 90 * 1024 * 1024, "what the runtime packages may hold"
    with running(engine, result["engine_image"], network) as address:
        assert ask(address, "and again") == {"answer": "and again"}


def test_the_written_dockerfile_gives_an_image_that_answers(
    use_case: Path,
    model: str,
    engine: str,
    network: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL_API_KEY", KEY)
    monkeypatch.setenv("MODEL_BASE_URL", model)
    assert build(use_case, tmp_path / "image", network, "--no-test") == 0
    base, image = "localhost/genaiops-test-base:1", "localhost/genaiops-test-dockerfile:1"
    folder = tmp_path / "image/docker"
    try:
        load_this_python(engine, tmp_path, base, {})
        words = ["build", "--no-cache", "--build-arg", f"BASE={base}", "--tag", image, str(folder)]
        made = ask_engine(engine, *words)
        assert made.returncode == 0, made.stderr[-2000:]

        with running(engine, image, network) as address:
            assert main(["endpoint", "test", address, "--use-case", str(use_case), "--output", "answer"]) == 0
            assert ask(address, "from the Dockerfile") == {"answer": "from the Dockerfile"}
    finally:
        ask_engine(engine, "rmi", "--force", image, base)


def test_an_image_that_answers_wrongly_is_not_called_built(
    use_case: Path,
    model: str,
    engine: str,
    network: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "wrongly"
    shutil.copytree(use_case, other)
    (other / "experiment.yaml").write_text(EXPERIMENT.replace("asking", "wrongly"), encoding="utf-8")
    (other / "endpoint-test.json").write_text('{"expected": {"answer": {"equals": "no"}}}', encoding="utf-8")
    monkeypatch.setenv("MODEL_API_KEY", KEY)
    monkeypatch.setenv("MODEL_BASE_URL", model)
    before = containers(engine), images(engine)

    assert build(other, tmp_path / "image", network) == 1

    printed = capfd.readouterr()
    assert "does not answer as it should" in printed.err
    assert "hello bees" in printed.err, "what it answered"
    assert KEY not in printed.err + printed.out
    assert not (tmp_path / "image/index.json").exists()
    assert (containers(engine), images(engine)) == before


def test_an_image_whose_flow_does_not_start_is_not_called_built(
    use_case: Path, engine: str, network: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "broken"
    shutil.copytree(use_case, other)
    (other / "experiment.yaml").write_text("name: broken\nflow: flows/ask\n", encoding="utf-8")
    text = FLOW.replace("type: llm", "type: python").replace("ask.jinja2", "ask.py")
    node = text[: text.index("  inputs: {deployment_name")] + '  inputs: {text: "${inputs.text}"}\n'
    (other / "flows/ask/flow.dag.yaml").write_text(node, encoding="utf-8")
    (other / "flows/ask/ask.py").write_text(
        "import no_such_module\nfrom promptflow.core import tool\n\n@tool\ndef ask(text: str) -> str: ...\n",
        encoding="utf-8",
    )
    before = containers(engine), images(engine)

    assert build(other, tmp_path / "image", network) == 1

    assert "no_such_module" in capfd.readouterr().err
    assert not (tmp_path / "image/index.json").exists()
    assert (containers(engine), images(engine)) == before


@contextlib.contextmanager
def running(engine: str, image: str, network: str) -> Iterator[str]:
    """The image as the output says to run it, with another port than its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("MODEL_API_KEY", "MODEL_BASE_URL", "MODEL_CONNECTION_TYPE")
    os.environ["MODEL_CONNECTION_TYPE"] = "open_ai"
    given = [word for name in names for word in ("--env", name)]
    started = ask_engine(
        engine, "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--network", network, *given,
        "--env", f"GENAIOPS_PORT={port}", image,
    )  # fmt: skip
    container = started.stdout.strip()
    del os.environ["MODEL_CONNECTION_TYPE"]
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        ask_engine(engine, "rm", "--force", container)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} never answered"
            time.sleep(0.3)


def ask(address: str, text: str) -> Any:
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(f"{address}/score", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())
