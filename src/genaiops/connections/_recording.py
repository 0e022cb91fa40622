"""Recorded replies: a readable JSON Lines file, matched by what was asked.

One line: `{"schema_version", "request": {"api", "model", "messages", …}, "reply": {…}, "model", "date", "connection"}`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genaiops.connections._base import Connection
from genaiops.connections._errors import RecordingMissError
from genaiops.errors import SettingsError
from genaiops.plain_text import plural
from genaiops.records import record

SCHEMA_VERSION = 1
_NOT_ASKED = frozenset({"stream", "stream_options"})  # how the reply travels, not what it says
_FIRST = ("api", "model", "messages", "prompt", "input")
_DIFF_LINES = 14
_EXPLAINED_MISSES = 20


@record(frozen=True, slots=True)
class RecordedReply:
    """A reply from a recording, with the day it was given."""

    body: dict[str, Any]
    date: str


def canonical_request(api: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, in one order, without what does not matter: `1.0` is `1`, streaming is not part of it."""
    asked = {"api": api, **{key: value for key, value in body.items() if key not in _NOT_ASKED}}
    keys = [key for key in _FIRST if key in asked] + sorted(set(asked) - set(_FIRST))
    return {key: _plain(asked[key]) for key in keys}


def request_key(request: Mapping[str, Any]) -> str:
    """The identity of a canonical request."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class Recording:
    """A file of requests and replies.

    The same request recorded several times replays in the order of the file, then from the start again.

    Args:
        path: The file. It is made by the first `add`.
        redact: Takes secrets out of what is written.
        today: The date written beside a reply.
    """

    def __init__(self, path: Path, *, redact: Callable[[Any], Any], today: Callable[[], str]) -> None:
        self._path = path
        self._redact = redact
        self._today = today
        self._replies: dict[str, list[RecordedReply]] = {}
        self._requests: dict[str, dict[str, Any]] = {}
        self._given: Counter[str] = Counter()
        self._misses = 0
        self._is_torn = False
        self.digest = ""
        """Of the file when it was read."""
        self._load()

    def __len__(self) -> int:
        return sum(map(len, self._replies.values()))

    def next_reply(self, request: Mapping[str, Any], *, repeat: int | None, wrap: bool) -> RecordedReply | None:
        """The reply to the next occurrence of this request; None when there is none.

        Args:
            request: The canonical request.
            repeat: Which occurrence this is, when the caller counts them itself.
            wrap: After the last one begin again.
        """
        key = request_key(self._redact(request))
        replies = self._replies.get(key)
        if not replies:
            return None
        place = self._given[key] if repeat is None else repeat
        self._given[key] += 1
        if place >= len(replies) and not wrap:
            return None
        return replies[place % len(replies)]

    def add(self, request: Mapping[str, Any], body: Mapping[str, Any], connection: Connection) -> None:
        """Append one reply: in one write, so that several processes may record into one file."""
        shown = self._redact(dict(request))
        line = {
            "schema_version": SCHEMA_VERSION,
            "request": shown,
            "reply": self._redact(dict(body)),
            "model": str(body.get("model") or request.get("model") or ""),
            "date": self._today(),
            "connection": {"name": connection.name, "type": connection.SPELLING},
        }
        data = (json.dumps(line, ensure_ascii=False, default=str) + "\n").encode("utf-8", "surrogatepass")
        if self._is_torn:
            # The half line gets an end of its own; where it has been finished meanwhile, an empty line does no harm.
            data, self._is_torn = b"\n" + data, False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def miss(self, request: Mapping[str, Any]) -> RecordingMissError:
        """The error for a request that nobody recorded: the nearest one, and what differs."""
        self._misses += 1
        shown = self._redact(dict(request))
        nearest = self._nearest(shown) if self._misses <= _EXPLAINED_MISSES else None
        message = f"No recorded reply for this request of {shown.get('model') or 'a model'!r} in {self._path.name}."
        if nearest is not None:
            message += f" The nearest recorded request differs in:\n{_difference(nearest, shown)}\n"
        elif not self._requests:
            message += " The recording holds no requests."
        return RecordingMissError(
            message,
            kind="RecordingMissError",
            hint="Record it: run the same command with --model-calls record and a connection to a live model.",
        )

    def _nearest(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        from rapidfuzz import fuzz, process

        same_api = {key: item for key, item in self._requests.items() if item.get("api") == request.get("api")}
        texts = {key: json.dumps(item, ensure_ascii=False) for key, item in (same_api or self._requests).items()}
        if not texts:
            return None
        _, _, key = process.extractOne(json.dumps(request, ensure_ascii=False), texts, scorer=fuzz.ratio)
        return self._requests[key]

    def _load(self) -> None:
        if not self._path.is_file():
            return
        content = self._path.read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()
        lines = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line.decode("utf-8"))
                asked, body = dict(item["request"]), item["reply"]
                request = canonical_request(asked.pop("api"), asked)
                key = request_key(request)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                if number == len(lines):
                    # Without an end: another process is writing it, or was killed while it did.
                    self._is_torn = True
                    continue
                raise SettingsError(
                    f"This line is not a recorded reply: {error!r}.",
                    file=self._path,
                    line=number,
                    hint="A line holds an object with 'request' (with 'api') and 'reply'. Delete the line to go on.",
                ) from error
            self._requests.setdefault(key, request)
            self._replies.setdefault(key, []).append(RecordedReply(body, str(item.get("date") or "")))


def recorded_connection_types(path: Path) -> dict[str, str]:
    """The connections that a recording was made with: name → type."""
    types: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            connection = json.loads(line).get("connection") or {}
        except (ValueError, AttributeError):
            continue
        if connection.get("name") and connection.get("type"):
            types.setdefault(str(connection["name"]), str(connection["type"]))
    return types


def _difference(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    lines = difflib.unified_diff(_lines(recorded), _lines(asked), "recorded", "asked", lineterm="", n=0)
    shown = [line[:300] for line in lines if not line.startswith(("---", "+++", "@@"))]
    rest = len(shown) - _DIFF_LINES
    return "\n".join(shown[:_DIFF_LINES] + ([f"… {plural(rest, 'more line')}"] if rest > 0 else []))


def _lines(request: Mapping[str, Any]) -> list[str]:
    """The request as lines; texts of messages keep their own lines, so that a change shows where it is."""
    found: list[str] = []
    for line in json.dumps(request, indent=1, ensure_ascii=False).splitlines():
        found += line.split("\\n")
    return found
