"""A stand-in for a model server: OpenAI's and Azure OpenAI's HTTP interface on loopback, with faults on demand.

One asyncio protocol on httptools, no framework: it must never be the slow side of a measurement.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from genaiops.connections import chunks_of_body, simulated_body
from genaiops.testing._http_protocol import HttpProtocol, Reply, Request

_AZURE_PATH = re.compile(r"^/openai/deployments/([^/]+)/(chat/completions|completions|embeddings)$")
_OPENAI_PATH = re.compile(r"^(?:/openai)?(?:/v1)?/(chat/completions|completions|embeddings)$")
_APIS = {"chat/completions": "chat", "completions": "completion", "embeddings": "embedding"}
_HANG_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class ModelServerOptions:
    """How the stand-in behaves; by default it answers at once and never fails.

    Args:
        latency_ms: Time until a reply, in milliseconds.
        latency_sigma: Above 0, latencies are lognormal around `latency_ms` with this sigma.
        share_429: Share of requests refused with 429 and `Retry-After`, in [0, 1].
        share_500: Share answered with 500.
        share_cut: Share whose body ends in the middle.
        share_drop: Share whose connection is closed without an answer.
        share_hang: Share that never gets an answer.
        retry_after_s: The `Retry-After` of a 429.
        rate_per_s: Above this many requests a second (a bucket of one tenth of a second), the rest get 429.
        rpm: Requests a minute announced (and enforced) by `x-ratelimit-*` headers, 0 for none.
        max_in_flight: More requests than this at once get 429, 0 for no limit.
        key: The only key that is accepted; None accepts every key.
        max_completion_tokens_only: Refuse `max_tokens` as newer models do.
        rules: Pairs (regular expression on the last message, reply text that may use its groups). Without a match
            the last message comes back.
        reply: Answers every chat with this text instead.
        record: Keep every request (path, headers, body) in `ModelServer.requests`.
        seed: Seed of faults and latencies.
    """

    latency_ms: float = 0.0
    latency_sigma: float = 0.0
    share_429: float = 0.0
    share_500: float = 0.0
    share_cut: float = 0.0
    share_drop: float = 0.0
    share_hang: float = 0.0
    retry_after_s: float = 1.0
    rate_per_s: float = 0.0
    rpm: int = 0
    max_in_flight: int = 0
    key: str | None = None
    max_completion_tokens_only: bool = False
    rules: Sequence[tuple[str, str]] = ()
    reply: str | None = None
    record: bool = False
    seed: int = 1


@dataclass
class ModelServerStats:
    """What the stand-in has seen: also the JSON of `GET /stats`."""

    requests: int = 0
    succeeded: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "succeeded": self.succeeded,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "seconds": round(self.last_s - self.first_s, 4),
            "statuses": dict(sorted(self.statuses.items())),
        }


class ModelServer:
    """An OpenAI-compatible server for tests and benchmarks.

    >>> import asyncio
    >>> async def main() -> None:
    ...     async with ModelServer(ModelServerOptions(reply="Paris")) as server:
    ...         assert server.url.startswith("http://127.0.0.1:")
    >>> asyncio.run(main())
    """

    def __init__(self, options: ModelServerOptions | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.options = options or ModelServerOptions()
        self.stats = ModelServerStats()
        self.requests: list[dict[str, Any]] = []
        self._host, self._port = host, port
        self._rng = random.Random(self.options.seed)  # noqa: S311 - faults, not secrets
        self._rules = [(str(pattern), text) for pattern, text in self.options.rules]
        self._server: asyncio.Server | None = None
        self._protocols: set[HttpProtocol] = set()
        self._bucket = _Bucket(self.options.rate_per_s)
        self._minute_used = 0
        self._minute_start = 0.0

    @property
    def url(self) -> str:
        """The address without a trailing slash; add `/v1` for an OpenAI connection."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpProtocol(self._answer, self._protocols), self._host, self._port, backlog=2048
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for protocol in list(self._protocols):
            protocol.abort()
        self._server = None
        await asyncio.sleep(0)

    async def __aenter__(self) -> ModelServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _answer(self, request: Request) -> Reply:
        path = unquote(urlsplit(request.target).path)
        if path == "/stats":
            return Reply.of_json(200, self.stats.to_json())
        if path == "/reset":
            self.stats, self.requests = ModelServerStats(in_flight=self.stats.in_flight), []
            return Reply.of_json(200, {})
        self._count_in()
        try:
            reply = await self._answer_model(path, request)
        finally:
            self.stats.in_flight -= 1
            self.stats.last_s = time.monotonic()
        self.stats.statuses[reply.fault or str(reply.status)] += 1
        self.stats.succeeded += reply.status == 200 and not reply.fault
        return reply

    def _count_in(self) -> None:
        stats = self.stats
        stats.first_s = stats.first_s or time.monotonic()
        stats.requests += 1
        stats.in_flight += 1
        stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)

    async def _answer_model(self, path: str, request: Request) -> Reply:
        options = self.options
        if options.record:
            self.requests.append(
                {"target": request.target, "headers": request.headers, "body": _recorded(request.body)}
            )
        if refused := self._refusal(request.headers):
            return refused
        latency_s = self._latency_s()
        fault = self._draw_fault()
        if fault == "429":
            return self._too_many(options.retry_after_s)
        if fault == "drop":
            return Reply(status=0, fault="drop")
        if fault == "hang":
            await asyncio.sleep(_HANG_S)
        if latency_s:
            await asyncio.sleep(latency_s)
        if fault == "500":
            return Reply.of_error(500, "The server had an error while processing your request.", "server_error")
        reply = self._reply(path, request)
        reply.headers.update(self._quota_headers())
        if fault == "cut" and reply.status == 200:
            return reply.cut()
        return reply

    def _refusal(self, headers: Mapping[str, str]) -> Reply | None:
        options = self.options
        sent = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if options.key is not None and sent != options.key:
            return Reply.of_error(401, f"Incorrect API key provided: {sent}.", "invalid_api_key")
        if options.max_in_flight and self.stats.in_flight > options.max_in_flight:
            return self._too_many(options.retry_after_s)
        if options.rate_per_s and (wait_s := self._bucket.take()) > 0:
            return self._too_many(wait_s)
        if options.rpm and not self._take_from_minute():
            return self._too_many(60 - (time.monotonic() - self._minute_start))
        return None

    def _take_from_minute(self) -> bool:
        now = time.monotonic()
        if now - self._minute_start >= 60:
            self._minute_start, self._minute_used = now, 0
        self._minute_used += 1
        return self._minute_used <= self.options.rpm

    def _quota_headers(self) -> dict[str, str]:
        if not self.options.rpm:
            return {}
        left_s = max(0.0, 60 - (time.monotonic() - self._minute_start))
        return {
            "x-ratelimit-limit-requests": str(self.options.rpm),
            "x-ratelimit-remaining-requests": str(max(0, self.options.rpm - self._minute_used)),
            "x-ratelimit-reset-requests": f"{left_s:.3f}s",
        }

    def _too_many(self, wait_s: float) -> Reply:
        reply = Reply.of_error(429, "Rate limit reached for requests.", "rate_limit_exceeded")
        reply.headers["retry-after"] = f"{max(wait_s, 0.001):.3f}"
        reply.headers["retry-after-ms"] = str(max(1, round(wait_s * 1000)))
        reply.headers.update(self._quota_headers())
        return reply

    def _latency_s(self) -> float:
        latency_s = self.options.latency_ms / 1000
        if self.options.latency_sigma:
            latency_s *= self._rng.lognormvariate(0, self.options.latency_sigma)
        return latency_s

    def _draw_fault(self) -> str:
        options = self.options
        shares = (
            ("429", options.share_429),
            ("500", options.share_500),
            ("cut", options.share_cut),
            ("drop", options.share_drop),
            ("hang", options.share_hang),
        )
        left = self._rng.random()
        for name, share in shares:
            if left < share:
                return name
            left -= share
        return ""

    def _reply(self, path: str, request: Request) -> Reply:
        azure = _AZURE_PATH.match(path)
        plain = _OPENAI_PATH.match(path)
        if azure is None and plain is None:
            return Reply.of_error(404, f"Unknown path {path}.", "not_found")
        try:
            body = json.loads(request.body)
        except ValueError:
            return Reply.of_error(400, "The body is not JSON.", "invalid_request")
        if not isinstance(body, dict):
            return Reply.of_error(400, "The body is not a JSON object.", "invalid_request")
        path_end = azure[2] if azure else plain[1]  # type: ignore[index]
        if self.options.max_completion_tokens_only and "max_tokens" in body:
            return Reply.of_error(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                "unsupported_parameter",
                param="max_tokens",
            )
        body.setdefault("model", azure[1] if azure else "")
        whole = simulated_body(_APIS[path_end], body, rules=self._rules, reply=self.options.reply)
        if not body.get("stream"):
            return Reply.of_json(200, whole)
        asks_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return Reply(status=200, events=[chunk for chunk in chunks_of_body(whole) if chunk["choices"] or asks_usage])


class _Bucket:
    """At most `rate` requests a second, with room for a tenth of a second saved up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._room = max(1.0, rate / 10)
        self._level, self._seen_s = self._room, time.monotonic()

    def take(self) -> float:
        """0 when the request may pass, else the seconds until the next one may."""
        now = time.monotonic()
        self._level = min(self._room, self._level + (now - self._seen_s) * self._rate)
        self._seen_s = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate


def _recorded(body: bytes) -> Any:
    """A body as data where it is JSON; flows send images to other services, which are asked here too."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("latin-1")
