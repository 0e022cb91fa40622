"""Takes secrets out of everything that is written: texts, bytes, JSON, log records."""

from __future__ import annotations

import base64
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from genaiops.connections._base import SCRUBBED

_Bytes = bytes  # the class below has a method of that name
_SHORTEST = 6
# Keys that servers without keys are given, and the like: hiding them would blank out ordinary words.
_NOT_SECRET = frozenset(
    {"ollama", "unused", "not-needed", "not-used", "no-key", "no-key-required", "simulated", "recorded", "replay"}
    | {"lm-studio", "lmstudio", "dummy-key", "api-key", "api_key", "openai", "localhost", "secret", "password"}
    | {"placeholder", "sk-no-key-required", "anything", "string", "nothing", "default", "changeme", "<user-input>"}
)
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|SECRET|TOKEN|PASSWORD|PASSWD|PWD|CREDENTIALS?|CONNECTION_?STRING|SAS)$", re.IGNORECASE
)

# Source: RFC 3986, userinfo.
_PASSWORD = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@?#]*:([^/\s@]+)@")


class Redactor:
    """Replaces each secret, in every form in which it may travel, by `******`.

    Forms: as it is, escaped for JSON, for URLs, and base64 at any of its three alignments. Secrets shorter than six
    characters are left alone: blanking them would damage ordinary text.

    >>> Redactor(["s3cr3t-key"])("Authorization: s3cr3t-key")
    'Authorization: ******'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._byte_forms: tuple[_Bytes, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these too."""
        added = {secret for secret in map(str, secrets) if is_worth_hiding(secret)} - self._secrets
        if not added:
            return
        self._secrets |= added
        forms = {form for secret in self._secrets for form in _forms(secret)}
        # Longest first: a secret may be part of another one.
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._byte_forms = tuple(form.encode() for form in self._forms)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, SCRUBBED)
        return text

    def bytes(self, data: _Bytes) -> _Bytes:
        """The same for bytes, such as a line of JSON that is about to be written."""
        for form in self._byte_forms:
            if form in data:
                data = data.replace(form, SCRUBBED.encode())
        return data

    def json(self, value: Any) -> Any:
        """The same for every text (keys too) in a JSON value; what is not JSON stays as it is."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self(key) if isinstance(key, str) else key: self.json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        return value

    def holds_secret(self, data: str | _Bytes) -> bool:
        """Whether a secret is in there."""
        if isinstance(data, _Bytes):
            return any(form in data for form in self._byte_forms)
        return any(form in data for form in self._forms)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets; for more than one text make a `Redactor`."""
    return Redactor(secrets)(text)


def is_worth_hiding(secret: str) -> bool:
    """Whether a secret is long and particular enough to be searched for."""
    return len(secret.strip()) >= _SHORTEST and secret.strip().lower() not in _NOT_SECRET


def is_secret_variable(name: str) -> bool:
    """Whether a variable's name says that it holds a secret: `OPENAI_API_KEY`, `X_TOKEN`, `…_PASSWORD`."""
    # A shell's working directory only sounds like a password.
    return name not in ("PWD", "OLDPWD") and _SECRET_VARIABLE.search(name) is not None


def passwords_in(text: str) -> list[str]:
    """Passwords in the addresses of a text.

    >>> passwords_in("postgres://me:s3cr3t@host/db")
    ['s3cr3t']
    """
    return [form for found in _PASSWORD.findall(text) for form in dict.fromkeys((found, unquote(found)))]


def _forms(secret: str) -> set[str]:
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, secret.strip(), escaped, json.dumps(escaped)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
    forms |= _base64_forms(secret.encode())
    return {form for form in forms if len(form) >= _SHORTEST}


def _base64_forms(secret: bytes) -> set[str]:
    """What stays of the secret inside any base64 text, wherever it begins and ends there."""
    forms = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            text = encode(b"\0" * offset + secret).decode().rstrip("=")
            # The first characters mix with what stands before, the last one with what follows.
            start = (0, 2, 3)[offset]
            end = len(text) - ((offset + len(secret)) % 3 != 0)
            forms.add(text[start:end])
    return {form for form in forms if len(form) >= 8}


def install_log_redaction(redactor: Callable[[str], str]) -> Callable[[], None]:
    """Redact every log record of this process where it is made, so that no handler ever sees a secret.

    Returns:
        A function that takes the redaction away again.
    """
    before = logging.getLogRecordFactory()

    def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        try:
            record.msg, record.args = redactor(record.getMessage()), None
        except (TypeError, ValueError, KeyError):
            record.msg = redactor(str(record.msg))
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redactor("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return record

    logging.setLogRecordFactory(make_record)

    def uninstall() -> None:
        if logging.getLogRecordFactory() is make_record:
            logging.setLogRecordFactory(before)

    return uninstall
