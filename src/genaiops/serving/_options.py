"""How a flow is served: limits, keys, times. Plain data, so that it travels to the worker processes as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from genaiops.errors import SettingsError, suggest
from genaiops.records import record


@record(frozen=True, kw_only=True)
class ServeOptions:
    """What a server is allowed to do and how long it may take.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        workers: Processes that answer.
        concurrency: Rows in flight in one worker; more wait.
        queue: Requests that may wait in one worker; more are refused at once with 429.
        deadline_s: How long one request may take, waiting included; then it is answered with 504.
        max_stuck: So many threads of one worker may run flow code whose requests have been answered without it; then
            the worker is replaced, for threads cannot be ended.
        body_timeout_s: How long a client may take to send headers, and again to send a body.
        stall_timeout_s: How long a client may stop reading its answer; then the connection is cut.
        max_body_bytes: Larger bodies are refused with 413.
        drain_delay_s: After SIGTERM the server is not ready but still answers for so long, so that load balancers
            notice.
        grace_s: At most so long after SIGTERM the process ends, whatever is still in flight.
        api_key_digests: SHA-256 digests (hexadecimal) of the keys that may call; none means that everybody may.
        cors_origins: Web origins that may call from a browser; none by default, `*` for all.
        included_outputs: Only these outputs are returned; empty means all that are not `evaluation_only`.
        version: What `/version` and `/health` say.
        build_info: More for `/version`.
        log_folder: Where requests are logged as outcomes; None logs none.
        log_sample: The share of requests that is logged, 0 to 1.
        log_max_bytes: A log file is closed and a new one begun at this size.
        log_max_files: The oldest log files beyond this number are deleted.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    concurrency: int = 256
    queue: int = 512
    deadline_s: float = 300.0
    max_stuck: int = 16
    body_timeout_s: float = 15.0
    stall_timeout_s: float = 60.0
    max_body_bytes: int = 4 * 1024 * 1024
    drain_delay_s: float = 1.0
    grace_s: float = 25.0
    api_key_digests: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    included_outputs: tuple[str, ...] = ()
    version: str = ""
    build_info: str = ""
    log_folder: str | None = None
    log_sample: float = 1.0
    log_max_bytes: int = 64 * 1024 * 1024
    log_max_files: int = 10

    def __post_init__(self) -> None:
        for name in ("workers", "concurrency", "max_stuck", "max_body_bytes", "log_max_bytes", "log_max_files"):
            if getattr(self, name) < 1:
                raise SettingsError(f"Expected {name} to be at least 1, found {getattr(self, name)}.")
        for name in ("deadline_s", "body_timeout_s", "stall_timeout_s", "grace_s"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"Expected {name} to be more than 0 seconds, found {getattr(self, name)}.")
        if not 0 <= self.log_sample <= 1:
            raise SettingsError(f"Expected log_sample between 0 and 1, found {self.log_sample}.")
        if self.drain_delay_s >= self.grace_s:
            raise SettingsError(
                f"The drain delay ({self.drain_delay_s} s) must be shorter than the grace period ({self.grace_s} s).",
                hint="Work in flight needs time to finish after the drain delay.",
            )

    def to_json(self) -> dict[str, Any]:
        """The form that travels to a worker process."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ServeOptions:
        """Read the form that travels.

        Raises:
            SettingsError: A name is unknown or a value makes no sense.
        """
        known = {field.name for field in fields(cls)}
        for name in data:
            if name not in known:
                raise SettingsError(f"Unknown server option {name!r}.", hint=suggest(name, known))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)


def options_from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """What variables of prompt flow's serving contract say: version, output filter, workers.

    Raises:
        SettingsError: A variable holds something that cannot be read.
    """
    found: dict[str, Any] = {}
    included = environ.get("PROMPTFLOW_RESPONSE_INCLUDED_FIELDS")
    if included:
        names = _read_json("PROMPTFLOW_RESPONSE_INCLUDED_FIELDS", included)
        if not isinstance(names, list):
            raise SettingsError("Expected PROMPTFLOW_RESPONSE_INCLUDED_FIELDS to hold a JSON list of output names.")
        found["included_outputs"] = tuple(str(name) for name in names)
    build_info = environ.get("BUILD_INFO")
    if build_info:
        found["build_info"] = build_info
        details = _read_json("BUILD_INFO", build_info)
        if isinstance(details, dict) and details.get("build_number"):
            found["version"] = str(details["build_number"])
    workers = environ.get("PROMPTFLOW_WORKER_NUM")
    if workers:
        if not workers.isdigit():
            raise SettingsError(f"Expected PROMPTFLOW_WORKER_NUM to be a number, found {workers!r}.")
        found["workers"] = int(workers)
    return found


def _read_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"Expected {name} to hold JSON: {error}.") from error
