"""Evaluators of libraries: what they are given, and the real ones in environments of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from genaiops.connections import AzureOpenAIConnection, OpenAIConnection
from genaiops.errors import SettingsError
from genaiops.evaluators import azure_model_config, call_adapter
from genaiops.experiments import ExperimentRequest, ExperimentResult, run_experiment
from tests.experiments.usecase import BASE, make_use_case, settings_of, write


def evaluated_by(flow: str, init: str = "{}", mappings: str = "") -> str:
    mappings = mappings or '{prediction: "${run.outputs.category}", truth: "${data.answer}"}'
    lines = [
        f"evaluators:\n- name: mine\n  flow: {flow}\n  init: {init}\n",
        f"  datasets:\n  - name: train\n    mappings: {mappings}\n",
    ]
    return BASE + "".join(lines)


def run(folder: Path) -> ExperimentResult:
    return run_experiment(ExperimentRequest(use_case=folder), settings_of(folder, {"PATH": _path()}))


def _path() -> str:
    found = shutil.which("uv")
    return str(Path(found).parent) if found else ""


def test_an_azure_connection_becomes_the_librarys_model_configuration() -> None:
    connection = AzureOpenAIConnection(api_base="https://x.example", api_key="k", api_version="2024-06-01", name="aoai")

    assert azure_model_config(connection, "gpt-4o") == {
        "azure_deployment": "gpt-4o",
        "azure_endpoint": "https://x.example",
        "api_key": "k",
        "api_version": "2024-06-01",
    }


def test_an_openai_connection_becomes_the_librarys_model_configuration() -> None:
    connection = OpenAIConnection(api_key="k", base_url="http://127.0.0.1:1/v1", name="open_ai")

    assert azure_model_config(connection, "m") == {"model": "m", "base_url": "http://127.0.0.1:1/v1", "api_key": "k"}


def test_a_judge_of_autoevals_without_a_connection_sends_nothing_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("autoevals")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-must-not-leave")

    with pytest.raises(SettingsError, match="asks a model") as caught:
        call_adapter("autoevals", "Factuality", {}, {"output": "a", "expected": "a", "input": "q"})

    assert "connection" in str(caught.value.hint)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_scorer_of_autoevals_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """Levenshtein similarity of "A" and "A" is 1."""
    folder = make_use_case(tmp_path / "web", evaluated_by("autoevals:Levenshtein"))

    result = run(folder)

    (score,) = result.scores
    assert score["metrics"]["Levenshtein"]["value"] == 1.0
    assert score["rows"]["failed"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_judge_of_autoevals_asks_the_connection_and_its_calls_are_counted(tmp_path: Path) -> None:
    """The judge answers by calling the function `select_choice`; C is worth 1 in its table."""
    choice = {"name": "select_choice", "arguments": json.dumps({"reasons": "same", "choice": "C"})}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": choice}],
    }
    with judge_server(message) as (address, seen):
        mappings = '{input: "${data.url}", prediction: "${run.outputs.category}", truth: "${data.answer}"}'
        experiment = evaluated_by("autoevals:Factuality", "{connection: judge, model: some-model}", mappings)
        folder = make_use_case(tmp_path / "web", experiment)
        write(folder / "connections/judge.yaml", f"name: judge\ntype: open_ai\nbase_url: {address}/v1\napi_key: k\n")

        result = run(folder)

    (score,) = result.scores
    assert score["metrics"]["Factuality"]["value"] == 1.0
    assert result.data["model_calls"] == 3
    assert {body["model"] for body in seen} == {"some-model"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_evaluator_of_azure_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """Of the rows "A", "B", "C" the first is an article, which SQuAD's rule leaves out: no word in common, 0."""
    folder = make_use_case(tmp_path / "web", evaluated_by("azure-ai-evaluation:F1ScoreEvaluator"))

    result = run(folder)

    (score,) = result.scores
    assert score["metrics"]["f1_score"]["value"] == pytest.approx(2 / 3)


@contextmanager
def judge_server(message: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A model that always answers with one message, and what it was asked."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = {"id": "r", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
            body = json.dumps({**reply, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()
