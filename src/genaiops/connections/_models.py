"""All model calls of one host: live, recorded or simulated."""

from __future__ import annotations

import asyncio
import atexit
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from genaiops.connections._base import Connection
from genaiops.connections._calls import Api, ModelReply, chunks_of_body, model_endpoint, reply_from_body
from genaiops.connections._engine import Asked, Engine, EngineOptions
from genaiops.connections._errors import ModelCallError
from genaiops.connections._ready import require_ready
from genaiops.connections._recording import Recording, canonical_request
from genaiops.connections._redaction import Redactor
from genaiops.connections._types import AzureOpenAIConnection, SimulatedConnection
from genaiops.errors import SettingsError
from genaiops.tracing import Span, TokenUsage, start_span

Mode = Literal["live", "record", "replay"]
OnReply = Callable[[ModelReply], None]
_Result = TypeVar("_Result")
_MAX_CONCURRENCY = 256
_DEADLINE_S = 600.0


@dataclass
class ModelStats:
    """What the calls of one host added up to."""

    calls: int = 0
    failed: int = 0
    retries: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)
    sources: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """For run records: calls, failures, retries, tokens, where replies came from, failed tries by kind."""
        return {
            "calls": self.calls,
            "failed": self.failed,
            "retries": self.retries,
            "tokens": self.usage.to_json(),
            "sources": dict(sorted(self.sources.items())),
            "troubles": dict(sorted(self.troubles.items())),
        }

    def count(self, reply: ModelReply) -> None:
        self.calls += 1
        self.retries += reply.retries
        self.usage.add(reply.usage)
        self.sources[reply.source] += 1


class Models:
    """All model calls of one host: one client and one adaptive limiter for each endpoint and deployment.

    Belongs to the event loop that calls it first. Other threads use `call_sync`; other loops may await `call` too.
    Each call is a span of kind `llm` (or `embedding`) with its tokens: callers open none.

    Args:
        mode: `live`; `record` (calls what the recording does not hold, and appends it); `replay` (never calls).
        recording: The JSON Lines file to record into or replay from.
        max_concurrency: The most calls in flight for one deployment; below it the limit finds itself.
        rpm: Requests a minute to stay below, 0 for no budget.
        tpm: Tokens a minute to stay below, 0 for no budget.
        deadline_s: How long one call may be tried, from its first try.
        redactor: Takes secrets out of errors and recordings.
        clock: Seconds, never going back.
        rng: For jitter.
        today: The date written into recordings.

    Raises:
        SettingsError: Recording or replaying without a file, or replaying from a file that is not there.

    >>> from genaiops.connections import SimulatedConnection
    >>> models = Models()
    >>> body = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}
    >>> models.call_sync(SimulatedConnection(), body, api="chat").body["choices"][0]["message"]["content"]
    'hello'
    >>> models.close()
    """

    def __init__(
        self,
        *,
        mode: Mode = "live",
        recording: Path | None = None,
        max_concurrency: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        deadline_s: float = _DEADLINE_S,
        redactor: Redactor | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d"),
    ) -> None:
        self.mode = mode
        self.recording_path = recording
        self.stats = ModelStats()
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._recording = _open_recording(mode, recording, self._redactor, today)
        self._options = EngineOptions(
            max_concurrency=max_concurrency or _MAX_CONCURRENCY,
            rpm=rpm or 0,
            tpm=tpm or 0,
            deadline_s=deadline_s,
            redact=self._redactor,
            clock=clock,
            rng=rng or random.Random(),  # noqa: S311 - jitter
        )
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._own: _LoopThread | None = None
        self._own_engine: Engine | None = None

    def expect(self, concurrency: int) -> None:
        """Say how many calls a person wants in flight at once; limits begin there, and obey the server as ever.

        Args:
            concurrency: Calls to one endpoint and deployment.
        """
        self._options = replace(self._options, expected=concurrency)
        for engine in (self._engine, self._own_engine):
            if engine is not None:
                engine.expect(concurrency)

    def require(self, connection: Connection) -> None:
        """Make sure, before the first row, that a connection can be used as models are called here.

        Raises:
            ConnectionSettingsError: It does not lead to a model, or its address names a variable that is not set.
            MissingExtraError: It signs in with a package that is not installed.
        """
        if self.mode != "replay" and not isinstance(connection, SimulatedConnection):
            require_ready(connection)

    async def call(
        self,
        connection: Connection,
        body: Mapping[str, Any],
        *,
        api: Api,
        timeout_s: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        repeat: int | None = None,
    ) -> ModelReply:
        """One reply.

        Args:
            connection: Where to.
            body: The request; parameters that we do not know pass through.
            api: `chat`, `completion` or `embedding`.
            timeout_s: How long it may be tried, from its first try; by default `deadline_s`.
            extra_headers: Sent along.
            repeat: Which of several equal calls this is: decides which of several recorded replies it gets.

        Raises:
            ModelCallError: It failed for good; `permanent` when every row would fail the same way.
            ConnectionSettingsError: The connection does not lead to a model.
        """
        asked = Asked(connection, api, body, timeout_s, extra_headers)
        with self._span(asked) as span:
            try:
                reply = await self._answer(asked, repeat)
            except ModelCallError as error:
                self._count_failure(error)
                raise
            self._note(span, reply)
            return reply

    def stream(
        self,
        connection: Connection,
        body: Mapping[str, Any],
        *,
        api: Api,
        timeout_s: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        repeat: int | None = None,
        on_reply: OnReply | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of one reply as they come. Limits and retries are those of `call`, until the first chunk.

        Args:
            on_reply: Told the whole reply once the last chunk has come; the other arguments are those of `call`.

        Raises:
            ModelCallError: It failed for good, or the stream broke off.
        """
        asked = Asked(connection, api, {**body, "stream": True}, timeout_s, extra_headers)
        # Begun here and not with the first chunk: whoever reads the stream may do so outside of the row's spans.
        return self._watched_stream(asked, repeat, self._span(asked), on_reply)

    async def _watched_stream(
        self, asked: Asked, repeat: int | None, span: Span, on_reply: OnReply | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        asks_usage = bool((asked.body.get("stream_options") or {}).get("include_usage"))
        error: BaseException | None = None
        try:
            async with aclosing(self._stream(asked, repeat)) as chunks:
                async for chunk in chunks:
                    if "_reply" in chunk:
                        self._note(span, chunk["_reply"])
                        if on_reply is not None:
                            on_reply(chunk["_reply"])
                    elif chunk.get("choices") or asks_usage:
                        yield chunk
        except ModelCallError as failure:
            error = failure
            self._count_failure(failure)
            raise
        finally:
            span.end(error)

    def call_sync(
        self,
        connection: Connection,
        body: Mapping[str, Any],
        *,
        api: Api,
        timeout_s: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        repeat: int | None = None,
    ) -> ModelReply:
        """As `call`, from a thread without a loop, or (through a loop of our own) from a loop's own thread."""
        return self._run(
            self.call(connection, body, api=api, timeout_s=timeout_s, extra_headers=extra_headers, repeat=repeat)
        )

    def stream_sync(
        self,
        connection: Connection,
        body: Mapping[str, Any],
        *,
        api: Api,
        timeout_s: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        repeat: int | None = None,
        on_reply: OnReply | None = None,
    ) -> Iterator[dict[str, Any]]:
        """As `stream`, for threads; the next chunk is fetched when it is asked for."""
        chunks = self.stream(
            connection,
            body,
            api=api,
            timeout_s=timeout_s,
            extra_headers=extra_headers,
            repeat=repeat,
            on_reply=on_reply,
        )
        try:
            while (chunk := self._run(_next(chunks))) is not None:
                yield chunk
        finally:
            self._run(_aclose(chunks))

    def limits(self) -> dict[str, list[dict[str, Any]]]:
        """How concurrency and rate of each deployment changed, and why."""
        engines = [engine for engine in (self._engine, self._own_engine) if engine is not None]
        found: dict[str, list[dict[str, Any]]] = {}
        for engine in engines:
            for name, changes in engine.limits().items():
                found.setdefault(name, []).extend(
                    {"s": c.time_s, "concurrency": c.concurrency, "per_s": c.rate_per_s, "why": c.reason}
                    for c in changes
                )
        return found

    async def aclose(self) -> None:
        """Close connections; calls that still wait for a slot are cancelled."""
        if self._engine is not None:
            engine, self._engine, loop = self._engine, None, self._loop
            if loop is asyncio.get_running_loop():
                await engine.aclose()
            elif loop is not None and loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(engine.aclose(), loop))
        if self._own is not None:
            await asyncio.to_thread(self._close_own)

    def close(self) -> None:
        """As `aclose`, from a thread without a loop."""
        asyncio.run(self.aclose())

    async def __aenter__(self) -> Models:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def recorded_in(self) -> str | None:
        """Which recording answers, by its content; None when a model does."""
        return self._recording.digest if self._recording is not None and self.mode == "replay" else None

    # Inside

    async def _answer(self, asked: Asked, repeat: int | None) -> ModelReply:
        if self._recording is None or asked.source == "simulated":
            return await self._on_engine(lambda engine: engine.call(asked))
        request = canonical_request(asked.api, asked.body)
        recorded = self._recorded(request, repeat)
        if recorded is not None:
            return recorded
        reply = await self._on_engine(lambda engine: engine.call(asked))
        self._recording.add(request, reply.body, asked.connection)
        return reply

    async def _stream(self, asked: Asked, repeat: int | None) -> AsyncGenerator[dict[str, Any], None]:
        request = canonical_request(asked.api, asked.body)
        recording = self._recording if asked.source != "simulated" else None
        if recording is not None:
            recorded = self._recorded(request, repeat)
            if recorded is not None:
                for chunk in chunks_of_body(recorded.body):
                    yield chunk
                yield {"_reply": recorded}
                return
        # Without being asked for, a stream does not say how many tokens it took.
        body = {"stream_options": {"include_usage": True}, **asked.body} if asked.api == "chat" else asked.body
        async for chunk in self._stream_on_engine(asked._replace(body=body)):
            if "_reply" in chunk and recording is not None:
                recording.add(request, chunk["_reply"].body, asked.connection)
            yield chunk

    def _recorded(self, request: Mapping[str, Any], repeat: int | None) -> ModelReply | None:
        """A recorded reply; None when a live one is wanted."""
        recording = self._recording
        assert recording is not None
        found = recording.next_reply(request, repeat=repeat, wrap=self.mode == "replay")
        if found is not None:
            return reply_from_body(found.body, source="recorded", recorded=found.date)
        if self.mode == "replay":
            raise recording.miss(request)
        return None

    def _span(self, asked: Asked) -> Span:
        model = str(asked.body.get("model") or "")
        kind = "embedding" if asked.api == "embedding" else "llm"
        attributes: dict[str, Any] = {
            "gen_ai.request.model": model,
            "gen_ai.provider.name": _provider(asked.connection),
            "server.address": model_endpoint(asked.connection),
        }
        for name in ("temperature", "top_p", "max_tokens", "seed"):
            if asked.body.get(name) is not None:
                attributes[f"gen_ai.request.{name}"] = asked.body[name]
        return start_span(f"{asked.api} {model}".strip(), kind, attributes)

    def _note(self, span: Span, reply: ModelReply) -> None:
        self.stats.count(reply)
        span.add_usage(reply.usage)
        span.set(
            **{
                "gen_ai.response.model": reply.model,
                "gen_ai.response.finish_reasons": [reply.finish_reason] if reply.finish_reason else [],
                "genaiops.source": reply.source,
                "genaiops.retries": reply.retries,
                "genaiops.waited_s": round(reply.waited_s, 4),
            }
        )

    def _count_failure(self, error: ModelCallError) -> None:
        self.stats.calls += 1
        self.stats.failed += 1
        self.stats.retries += error.retries

    # Loops and threads

    def _engine_here(self) -> Engine | None:
        """The engine of the running loop; None when another loop owns the calls."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._own is not None and loop is self._own.loop:
                if self._own_engine is None:
                    self._own_engine = Engine(self._options, self.stats.troubles)
                return self._own_engine
            if self._engine is None or self._loop is None or self._loop.is_closed() or not self._loop.is_running():
                if threading.current_thread() is not threading.main_thread():
                    # A loop that flow code runs in a worker thread (`asyncio.run` in a node) ends with that node and
                    # would take the calls of others with it.
                    return None
                # The first loop, or the one after it: a notebook runs one loop after another.
                self._loop = loop
                self._engine = Engine(self._options, self.stats.troubles)
            return self._engine if self._loop is loop else None

    async def _on_engine(self, work: Callable[[Engine], Coroutine[Any, Any, _Result]]) -> _Result:
        engine = self._engine_here()
        if engine is not None:
            await engine.open()
            return await work(engine)
        # There the engine is that of the running loop.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._on_engine(work), self._other_loop()))

    async def _stream_on_engine(self, asked: Asked) -> AsyncGenerator[dict[str, Any], None]:
        engine = self._engine_here()
        if engine is not None:
            await engine.open()
            async with aclosing(engine.stream(asked)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        loop = self._other_loop()
        chunks = self._stream_on_engine(asked)
        try:
            while (
                item := await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_next(chunks), loop))
            ) is not None:
                yield item
        finally:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_aclose(chunks), loop))

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run to the end from a thread, on the loop that owns the calls or on one of our own."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop_for_thread())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _loop_for_thread(self) -> asyncio.AbstractEventLoop:
        try:
            asyncio.get_running_loop()
            is_loop_thread = True
        except RuntimeError:
            is_loop_thread = False
        # Blocking the thread of a loop until that loop answers would wait for ever.
        return self._own_loop() if is_loop_thread else self._other_loop()

    def _other_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that owns the calls when it runs, else one of our own; never the running one."""
        with self._lock:
            if self._engine is not None and self._loop is not None and self._loop.is_running():
                return self._loop
        return self._own_loop()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._own is None:
                self._own = _LoopThread()
            return self._own.loop

    def _close_own(self) -> None:
        own, engine = self._own, self._own_engine
        self._own = self._own_engine = None
        if own is None:
            return
        if engine is not None:
            asyncio.run_coroutine_threadsafe(engine.aclose(), own.loop).result(timeout=10)
        own.stop()


class _LoopThread:
    """An event loop in a thread of its own; ends with the process at the latest."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="genaiops-models", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


async def _next(chunks: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any] | None:
    return await anext(chunks, None)


async def _aclose(chunks: AsyncGenerator[dict[str, Any], None]) -> None:
    await chunks.aclose()


def _provider(connection: Connection) -> str:
    if isinstance(connection, AzureOpenAIConnection):
        return "azure.ai.openai"
    return "simulated" if isinstance(connection, SimulatedConnection) else "openai"


def _open_recording(mode: Mode, path: Path | None, redactor: Redactor, today: Callable[[], str]) -> Recording | None:
    if mode == "live":
        return None
    if path is None:
        raise SettingsError(f"To {mode} model calls a recording is needed.", hint="Name a file with --recording FILE.")
    if mode == "replay" and not path.is_file():
        raise SettingsError(
            f"The recording {str(path)!r} does not exist.",
            hint="Make it: run once with --model-calls record and a connection to a live model.",
        )
    return Recording(path, redact=redactor.json, today=today)
