"""Secrets are planted wherever a project keeps them, and no command of the product writes or says one.

The provider sends the key back in its replies and errors, the flow prints, returns and raises it, rows hold it. Every
byte that is written, and all that is printed, is searched for every form in which a secret may travel.
"""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

KEY = 'pl4nt/+key"Zq3L=='
FILE_KEY = "pl4nt-file-kP0vTx81"
TOKEN = "pl4nt token MnBcR7yH"
DOTENV = "pl4nt-dotenv-dW2s9Lr="
INIT = "pl4nt-init-5fGh7Jk2"
ADDRESS = "pl4nt-address-3RtY8u"
PLANTED = {"key": KEY, "file": FILE_KEY, "token": TOKEN, ".env": DOTENV, "init": INIT, "address": ADDRESS}

GRAPH = """\
inputs:
  text: {type: string, default: hello}
outputs:
  answer: {type: string, reference: "${ask.output}"}
  seen: {type: object, reference: "${look.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, temperature: 0, text: "${inputs.text}"}
  connection: aoai
  api: chat
- name: look
  type: python
  source: {type: code, path: look.py}
  inputs: {text: "${inputs.text}", answer: "${ask.output}", service: search}
"""
LOOK = """\
import base64, logging, os, sys
from promptflow.core import tool
from promptflow.connections import CustomConnection

@tool
def look(text: str, answer: str, service: CustomConnection) -> dict:
    key = os.environ["AOAI_API_KEY"]
    names = ("SEARCH_TOKEN", "STORE_PASSWORD", "STORE_URL")
    everything = [key, service.api_key, service.endpoint, *(os.environ[name] for name in names)]
    for secret in everything:
        print("printed", secret)
        print("printed to stderr", repr(secret), file=sys.stderr)
        logging.getLogger("flow").warning("logged %s", secret)
    if "raise" in text:
        raise ValueError("raised with " + " ".join(everything))
    return {"secrets": everything, key: "as a name", "basic": base64.b64encode(f"user:{key}".encode()).decode(),
            "connection": str(service)}
"""
CLASS = """\
class Greet:
    def __init__(self, model_config: dict) -> None:
        self.model_config = model_config

    def __call__(self, text: str) -> dict:
        print(self.model_config)
        return {"answer": str(self.model_config)}
"""
EXPERIMENT = """\
name: leaky
flow: flows/leaky
connections:
- name: aoai
  connection_type: OpenAIConnection
  api_key: ${AOAI_API_KEY}
  base_url: ${AOAI_BASE_URL}
- name: search
  connection_type: CustomConnection
  secrets: {api_key: "%s"}
  configs: {endpoint: "https://user:%s@search.example/"}
datasets:
- name: rows
  source: data/rows.jsonl
  mappings: {text: "${data.text}"}
evaluators:
- name: length
  flow: evaluate_length.py
  datasets:
  - name: rows_again
    reference: rows
    source: data/rows.jsonl
    mappings: {answer: "${run.outputs.answer}"}
gate:
  max_failed_rows: 1.0
"""
EVALUATE = """\
def eval_length(answer: str = "") -> dict:
    print(answer)
    return {"length": len(answer or "")}
"""


def forms_of(secret: str) -> set[bytes]:
    """As it is, as JSON and Python write it, in an address, and what base64 makes of it wherever it begins."""
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, escaped, json.dumps(escaped)[1:-1], repr(secret)[1:-1]}
    forms |= {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(b"\0" * shift + secret.encode()).decode()[4 if shift else 0 : -4])
    return {form.encode() for form in forms}


class Leaky(http.server.BaseHTTPRequestHandler):
    """A provider that tells everybody what it was sent."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = str(body["messages"][-1]["content"])
        sent = self.headers.get("Authorization", "")
        said = f"you sent {sent} and {base64.b64encode(sent.encode()).decode()} with {dict(self.headers)}"
        if "refuse" in text:
            self.answer(400, {"error": {"message": f"Incorrect key: {said}", "type": sent, "code": sent}})
        else:
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            self.answer(
                200, {"id": "1", "object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": usage}
            )

    def answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Echo", quote(self.headers.get("Authorization", "")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Leaky)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


class Project:
    """A repository full of secrets, and what the commands wrote and said in it."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.folder, self.said = folder, {}
        rows = [{"text": "hello"}, {"text": f"my key is {KEY}, {base64.b64encode(KEY.encode()).decode()}"},
                {"text": "refuse"}, {"text": "raise"}]  # fmt: skip
        files = {
            "leaky/experiment.yaml": EXPERIMENT % (FILE_KEY, ADDRESS),
            "leaky/evaluate_length.py": EVALUATE,
            "leaky/sample-request.json": '{"text": "hello"}',
            "leaky/environment/env.yaml": "search_token: ${SEARCH_TOKEN}\n",
            "leaky/data/rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
            "leaky/flows/leaky/flow.dag.yaml": GRAPH,
            "leaky/flows/leaky/ask.jinja2": "user:\n{{text}}\n",
            "leaky/flows/leaky/look.py": LOOK,
            "leaky/flows/class/flow.flex.yaml": "entry: greet:Greet\n",
            "leaky/flows/class/greet.py": CLASS,
            "leaky/init.json": json.dumps({"model_config": {"api_key": INIT, "base": "x"}}),
            ".env": f"STORE_PASSWORD='{DOTENV}'\n",
        }
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.planted_in = {folder / name for name in files}
        self.environ = {k: v for k, v in os.environ.items() if k not in ("CI", "GENAIOPS_HOME")} | {
            "AOAI_API_KEY": KEY, "AOAI_BASE_URL": provider, "SEARCH_TOKEN": TOKEN, "INIT_API_KEY": INIT,
            "STORE_URL": f"postgres://me:{ADDRESS}@store.example/db", "NO_COLOR": "1", "HOME": str(folder / "home"),
        }  # fmt: skip

    def run(self, *words: str, expected: set[int] | None = None) -> str:
        """Run one command, with what it says kept for the search."""
        done = subprocess.run(
            [sys.executable, "-m", "genaiops", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            timeout=110,
        )
        self.said[" ".join(words)] = done.stdout + done.stderr
        assert done.returncode in (expected or {0}), done.stderr.decode()[-2000:]
        return done.stdout.decode()

    def leaks(self) -> list[str]:
        """Where a secret is: a command's words, or a file beside those in which it was planted."""
        places = dict(self.said)
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.planted_in:
                content = path.read_bytes()
                places[str(path.relative_to(self.folder))] = content
                if content[:2] == b"\x1f\x8b":
                    places[f"{path.name} (unpacked)"] = gzip.decompress(content)
        return [
            f"{name} in {place}: …{content[max(0, at - 60) : at].decode('utf-8', 'replace')}"
            for place, content in places.items()
            for name, secret in PLANTED.items()
            for form in sorted(forms_of(secret))
            if (at := content.find(form)) >= 0
        ]


@pytest.fixture
def project(tmp_path: Path, provider: str) -> Project:
    return Project(tmp_path, provider)


def test_rows_and_batches(project: Project) -> None:
    flow = "leaky/flows/leaky"
    project.run("flow", "run", flow, "--input", "text=hello")
    project.run("flow", "run", flow, "--input", "text=hello", "--json")
    project.run("flow", "run", flow, "--input", "text=refuse", expected={1})
    project.run("--debug", "flow", "run", flow, "--input", f"text=raise {KEY}", "--json", expected={1})
    project.run("flow", "run", flow, "--data", "leaky/data/rows.jsonl", "--map", "text=${data.text}", expected={0, 1})
    project.run("flow", "run", "leaky/flows/class", "--init", "leaky/init.json", "--input", "text=x", expected={0, 1})

    assert project.leaks() == []


def test_experiments_with_reports_and_all_that_reads_them(project: Project) -> None:
    result = json.loads(project.run("run", "leaky", "--env", "dev", "--json", expected={0, 1, 3}))
    run = result["runs"][0]["id"]
    project.run("run", "leaky", "--dry-run", expected={0})
    project.run("runs", "list")
    project.run("runs", "show", run)
    project.run("runs", "show", run, "--json")
    project.run("runs", "compare", run, run, expected={0, 1, 2})
    project.run("gate", result["experiment"], expected={0, 1, 2, 3})

    assert result["reports"]
    assert project.leaks() == []


def test_checks_audits_and_connections(project: Project) -> None:
    project.run("check", "leaky", expected={0, 2})
    project.run("check", "leaky", "--explain", expected={0, 2})
    project.run("check", "leaky", "--json", expected={0, 2})
    project.run("audit", ".", expected={0, 1, 2})
    project.run("audit", ".", "--json", expected={0, 1, 2})
    project.run("connection", "list", "leaky", expected={0, 2})
    project.run("connection", "list", expected={0})
    project.run("connection", "check", "aoai", expected={0, 1, 2})
    project.run("connection", "show", "aoai", expected={0, 2})

    assert project.leaks() == []


def test_commands_of_prompt_flow(project: Project) -> None:
    (project.folder / "made.yaml").write_text(
        f"name: made\ntype: open_ai\napi_key: {FILE_KEY}\nbase_url: https://me:{ADDRESS}@x.example/v1\n",
        encoding="utf-8",
    )
    project.planted_in.add(project.folder / "made.yaml")
    flow = "leaky/flows/leaky"
    project.run("pf", "flow", "test", "--flow", flow, "--inputs", "text=hello", expected={0, 1})
    project.run("pf", "flow", "test", "--flow", flow, "--inputs", "text=raise", expected={0, 1})
    project.run("pf", "flow", "validate", "--source", flow, expected={0, 1, 2})
    project.run(
        "pf", "run", "create", "--flow", flow, "--data", "leaky/data/rows.jsonl",
        "--column-mapping", "text=${data.text}",
        "--name", "one", "--stream", expected={0, 1},
    )  # fmt: skip
    for command in ("show", "show-details", "show-metrics", "visualize"):
        project.run("pf", "run", command, "--name", "one", expected={0, 1, 2})
    project.run("pf", "run", "list")
    project.run("pf", "connection", "list")

    assert project.leaks() == []


def test_a_server_with_its_log(project: Project) -> None:
    command = [sys.executable, "-m", "genaiops", "serve", "leaky/flows/leaky", "--port", "0", "--drain-delay", "0"]
    process = subprocess.Popen(
        [*command, "--log", "log"],
        cwd=project.folder,
        env=project.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    address = process.stdout.readline().decode().strip().removeprefix("ready ")
    # What a flow gives as its output is for its caller to read; errors and all that is kept are not.
    for text in ("hello", f"my key is {KEY}"):
        assert b"you sent" in send(f"{address}/score", {"text": text})
    for text in ("refuse", "raise"):
        project.said[f"/score {text}"] = send(f"{address}/score", {"text": text})
    project.said["/feedback"] = send(f"{address}/feedback", {"request_id": "x", "comment": f"you said {KEY}"})
    for path in ("/swagger.json", "/version", "/metrics", "/health", "/"):
        project.said[path] = send(f"{address}{path}")
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=60)
    project.said["serve"] = printed[0] + printed[1]

    assert list((project.folder / "log").iterdir())
    project.run("dataset", "from-logs", "log", "--output", "from-logs.jsonl", expected={0, 1, 2})
    assert project.leaks() == []


def send(url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return bytes(reply.read())
    except urllib.error.HTTPError as error:
        return error.read()
