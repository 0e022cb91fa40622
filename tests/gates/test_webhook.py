"""A message reaches a real HTTP server on loopback, or says why it did not."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import SettingsError
from genaiops.gates import (
    Webhook,
    alert_message,
    judge_alert,
    load_evidence,
    read_alert,
    resolve_webhook,
    send_alert,
)
from tests.gates.folders import passes, write_experiment


class Receiver:
    """Answers with the given statuses in turn, the last one for ever, and keeps what it was sent."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        waiting = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(waiting.pop(0) if len(waiting) > 1 else waiting[0])
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/very-secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    opened: list[Receiver] = []
    yield opened
    for receiver in opened:
        receiver.close()


def sent(receiver: Receiver, message: dict[str, Any] | None = None, **options: Any) -> tuple[Any, list[float]]:
    pauses: list[float] = []
    webhook = Webhook(url=receiver.url, token=options.pop("token", None))
    found = send_alert(webhook, message or {"text": "hello"}, sleep=pauses.append, rng=random.Random(1))
    return found, pauses


def opened(receivers: list[Receiver], *statuses: int, **options: Any) -> Receiver:
    receivers.append(Receiver(*statuses, **options))
    return receivers[-1]


def test_a_message_is_one_post_with_json_and_the_token(receivers: list[Receiver]) -> None:
    receiver = opened(receivers, 200)

    delivery, pauses = sent(receiver, {"text": "Qualität fällt −0.2"}, token="t0ken-of-hook")

    ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/hooks/very-secret-path", {"text": "Qualität fällt −0.2"})
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Authorization"] == "Bearer t0ken-of-hook"
    assert (delivery.sent, delivery.attempts, delivery.status, pauses) == (True, 1, 200, [])


def test_a_broken_or_busy_receiver_is_tried_again_with_longer_pauses(receivers: list[Receiver]) -> None:
    receiver = opened(receivers, 503, 429, 500, 204)

    delivery, pauses = sent(receiver)

    assert (delivery.sent, delivery.attempts, len(receiver.requests)) == (True, 4, 4)
    assert [round(pause / 2**n) for n, pause in enumerate(pauses)] == [1, 1, 1]  # 1, 2, 4 s, a fifth more or less


def test_the_receiver_may_ask_for_a_pause_but_not_for_an_hour(receivers: list[Receiver]) -> None:
    _, patient = sent(opened(receivers, 429, 200, headers={"Retry-After": "7"}))
    _, bounded = sent(opened(receivers, 429, 200, headers={"Retry-After": "3600"}))

    assert (patient, bounded) == ([7.0], [30.0])


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_not_tried_again(receivers: list[Receiver], status: int) -> None:
    receiver = opened(receivers, status)

    delivery, pauses = sent(receiver)

    assert (delivery.sent, delivery.attempts, delivery.status, pauses) == (False, 1, status, [])
    assert delivery.error is not None
    assert str(status) in delivery.error


def test_a_redirect_is_not_followed_with_the_message_and_the_token(receivers: list[Receiver]) -> None:
    other = opened(receivers, 200)
    receiver = opened(receivers, 302, headers={"Location": other.url})

    delivery, _ = sent(receiver, token="t0ken-of-hook")

    assert (delivery.sent, delivery.status, other.requests) == (False, 302, [])


def test_nobody_there_is_said_after_four_tries_and_never_raised() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/hooks/very-secret-path"
    pauses: list[float] = []

    delivery = send_alert(Webhook(url=url), {"text": "x"}, sleep=pauses.append)

    assert (delivery.sent, delivery.attempts, delivery.status, len(pauses)) == (False, 4, None, 3)
    assert delivery.error is not None
    assert delivery.error.startswith("nobody answered: ")


def test_the_address_and_the_token_stand_in_nothing_that_is_shown(receivers: list[Receiver]) -> None:
    receiver = opened(receivers, 500)
    webhook = Webhook(url=receiver.url, token="t0ken-of-hook")

    delivery = send_alert(webhook, {"text": f"see {receiver.url} t0ken-of-hook"}, sleep=lambda _: None)

    assert "secret" not in f"{webhook} {delivery} {receiver.requests[0][2]}"
    assert "t0ken-of-hook" not in f"{webhook} {delivery} {receiver.requests[0][2]}"
    assert delivery.host == "127.0.0.1"


def test_variables_are_filled_in_and_all_missing_ones_named() -> None:
    policy = read_alert({"webhook": "https://hooks.example.org/${HOOK_PATH}", "token": "${HOOK_TOKEN}"})

    webhook = resolve_webhook(policy, {"HOOK_PATH": "a/b", "HOOK_TOKEN": "t"})

    assert webhook is not None
    assert (webhook.url, webhook.token) == ("https://hooks.example.org/a/b", "t")
    with pytest.raises(SettingsError, match="HOOK_PATH, HOOK_TOKEN"):
        resolve_webhook(policy, {})
    assert resolve_webhook(read_alert({}), {}) is None


@pytest.mark.parametrize("url", ["http://hooks.example.org/secret-path", "file:///etc/secret-path", "secret-path"])
def test_only_https_leaves_this_machine_and_the_address_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="no https address") as caught:
        resolve_webhook(read_alert({"webhook": "${HOOK}"}), {"HOOK": url})

    assert "secret-path" not in str(caught.value)


def test_a_message_says_what_fell_in_the_published_form(tmp_path: Path) -> None:
    production = load_evidence(
        write_experiment(tmp_path / "p", {"logged": {"accuracy": passes(30, 60)}}, default="logged")
    )
    accepted = load_evidence(write_experiment(tmp_path / "a", {"v": {"accuracy": passes(55, 60)}}, default="v"))
    policy = read_alert({"metrics": {"accuracy": {"margin": 0.05}}})
    verdict = judge_alert(production, policy, accepted)

    message = alert_message(verdict, policy, production)
    short = alert_message(verdict, read_alert({"body": "text"}), production)

    assert (message["schema_version"], message["event"], message["result"]) == (1, "quality", "alert")
    assert (message["experiment"], message["id"], message["env"], message["accepted"]) == ("demo", "p", "dev", "a")
    assert message["requests"] == {"completed": 60, "failed": 0}
    assert message["text"].splitlines()[0] == "Quality of demo in dev fell below the accepted level."
    assert message["reasons"] == list(verdict.reasons)
    assert short == {"text": message["text"]}
