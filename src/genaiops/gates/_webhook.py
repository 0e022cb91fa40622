"""An alert on its way to the people who must know: one POST with JSON, tried again when that may help."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from genaiops.connections import Redactor
from genaiops.errors import SettingsError
from genaiops.gates._alert_words import alert_words
from genaiops.gates._alerts import AlertPolicy
from genaiops.gates._evidence import Evidence
from genaiops.gates._verdict import Verdict
from genaiops.records import record

ATTEMPTS: Final = 4
TIMEOUT_S: Final = 10.0
LONGEST_WAIT_S: Final = 30.0
_FIRST_WAIT_S: Final = 1.0
_TRY_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_WORDS: Final = {"failed": "alert", "passed": "ok", "not judged": "not judged"}


@record(frozen=True, kw_only=True)
class Webhook:
    """Where messages go.

    Attributes:
        url: The whole address; whoever holds it may post there, so it is shown nowhere.
        token: For `Authorization: Bearer`, when the receiver wants one.
    """

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """What may be shown of the address."""
        return urlsplit(self.url).hostname or "?"


@record(frozen=True, kw_only=True)
class Delivery:
    """What became of a message.

    Attributes:
        sent: The receiver took it.
        host: The receiver.
        attempts: How often it was tried.
        status: The last HTTP status; None when nobody answered.
        error: Why it was not taken.
    """

    sent: bool
    host: str
    attempts: int
    status: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "sent": self.sent,
            "host": self.host,
            "attempts": self.attempts,
            "status": self.status,
            "error": self.error,
        }


def resolve_webhook(policy: AlertPolicy, environ: Mapping[str, str], *, file: Path | None = None) -> Webhook | None:
    """The receiver with its variables filled in; None when the policy names none.

    Raises:
        SettingsError: Variables that are not set, all of them, or an address that is no https URL (http on this
            machine); the address itself is not repeated.
    """
    if policy.webhook is None:
        return None
    texts = [text for text in (policy.webhook, policy.token) if text]
    missing = [name for text in texts for name in _PLACEHOLDER.findall(text) if not environ.get(name)]
    if missing:
        raise SettingsError(
            f"The alert's webhook needs variables that are not set: {', '.join(dict.fromkeys(missing))}.",
            file=file,
            hint="Set them in the environment or in a .env file, or judge without sending: --no-webhook.",
            kind="MissingVariables",
        )
    url, token = (None if text is None else _filled(text, environ) for text in (policy.webhook, policy.token))
    assert url is not None
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise SettingsError(
            f"The alert's webhook is no https address: it begins with {parts.scheme or '?'}://{parts.hostname or '?'}.",
            file=file,
            hint="Write https://…; http is only for this machine.",
        )
    return Webhook(url=url, token=token)


def alert_message(verdict: Verdict, policy: AlertPolicy, production: Evidence) -> dict[str, Any]:
    """The object that a receiver gets; with `body: text` only its field `text`."""
    result = production.result
    where = f" in {result['env']}" if result.get("env") else ""
    text = "\n".join(
        [
            _head(alert_words(verdict), f"{result.get('experiment')}{where}"),
            *(f"- {words}" for words in verdict.reasons),
        ]
    )
    if policy.body == "text":
        return {"text": text}
    counts = [run.get("rows") or {} for run in production.runs]
    return {
        "schema_version": 1,
        "event": "quality",
        "result": _WORDS[verdict.result],
        "text": text,
        "experiment": result.get("experiment"),
        "id": result.get("id"),
        "env": result.get("env"),
        "build_id": result.get("build_id"),
        "created": result.get("created"),
        "accepted": verdict.baseline,
        "requests": {word: sum(int(rows.get(word) or 0) for rows in counts) for word in ("completed", "failed")},
        "reasons": list(verdict.reasons),
        "checks": [check.to_json() for check in verdict.checks],
    }


def _head(words: str, subject: str) -> str:
    is_quality = words.startswith("quality ")
    return f"Quality of {subject} {words.removeprefix('quality ')}." if is_quality else f"{subject}: {words}."


def send_alert(
    webhook: Webhook,
    message: Mapping[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
    rng: random.Random | None = None,
) -> Delivery:
    """Post a message, again after a pause when the receiver was out of reach, busy or broken; it never raises.

    Args:
        webhook: The receiver.
        message: What `alert_message` made.
        sleep: Waits.
        rng: Spreads the pauses.
    """
    rng = rng or random.Random()  # noqa: S311 - pauses are no secret
    redact = Redactor([webhook.url, *([webhook.token] if webhook.token else [])])
    body = redact(json.dumps(message, ensure_ascii=False, default=str)).encode("utf-8")
    for attempt in range(1, ATTEMPTS + 1):
        status, wait_s, error = _post(webhook, body)
        error = None if error is None else redact(error)
        if status is not None and status < HTTPStatus.MULTIPLE_CHOICES:
            return Delivery(sent=True, host=webhook.host, attempts=attempt, status=status)
        permanent = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TRY_AGAIN
        if permanent or attempt == ATTEMPTS:
            break
        pause = _FIRST_WAIT_S * 2 ** (attempt - 1) * rng.uniform(0.8, 1.2)
        sleep(min(LONGEST_WAIT_S, max(pause, wait_s or 0.0)))
    return Delivery(sent=False, host=webhook.host, attempts=attempt, status=status, error=error)


def _post(webhook: Webhook, body: bytes) -> tuple[int | None, float | None, str | None]:
    """Status, seconds that the receiver asks to wait, and what went wrong."""
    import http.client
    import urllib.error
    import urllib.request

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        """A redirect would carry the message and the token to somebody else."""

        def redirect_request(self, *_: Any) -> None:
            return None

    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "genaiops"}
    if webhook.token:
        headers["Authorization"] = f"Bearer {webhook.token}"
    request = urllib.request.Request(webhook.url, data=body, headers=headers)  # noqa: S310 - checked when resolved
    try:
        with urllib.request.build_opener(NoRedirects()).open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, None, None
    except urllib.error.HTTPError as error:
        with error:
            asked = error.headers.get("Retry-After", "")
            return error.code, float(asked) if asked.isdigit() else None, f"it answered {error.code} {error.reason}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return None, None, f"nobody answered: {reason or type(error).__name__}"


def _filled(text: str, environ: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: environ[match[1]], text).strip()
