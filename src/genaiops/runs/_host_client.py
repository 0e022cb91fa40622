"""A flow host as its parent sees it: a child process that answers messages.

A message is one line of JSON and as many bytes as its key `size` says; `genaiops.host` holds the other end. Requests
have an id and get one answer each; outcomes come by themselves, to the plan they belong to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from genaiops import errors
from genaiops.errors import GenaiopsError, HostError
from genaiops.records import record
from genaiops.runs._process import LINE_LIMIT, HostProcess, NurseryClient, release, start_process

_log = logging.getLogger(__name__)
_STOP_S = 2.0
_KILLED_S = 5.0
_LOOK_S = 0.05
_MARK = b"\x1e"
_SEPARATOR = b"\x1f"
_LAST_LINES = 40


@record(frozen=True, kw_only=True)
class HostSetup:
    """How a host is started. Holds secrets: never to disk.

    Args:
        python: The interpreter and its options.
        folder: Where it starts; the host itself goes to the flow's folder.
        environ: The variables of its process.
        hello: The first message: connections, model calls, folders.
        asks_models: It looks as if the flow had model nodes; where that is wrong, only time is lost.
    """

    python: Sequence[str]
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    hello: Mapping[str, Any] = field(repr=False)
    asks_models: bool = False

    def key(self) -> str:
        """Equal for setups that may share a host."""
        return json.dumps(
            [list(self.python), str(self.folder), dict(self.environ), dict(self.hello)], sort_keys=True, default=str
        )


@record(frozen=True, slots=True)
class Outcomes:
    """Finished rows.

    Args:
        rows: A header for each: `row`, `ok`, `calls`, `tokens`, `cost`, and `error` for failed ones.
        lines: Their lines, ready to be appended.
        traces: Their spans, ready to be appended.
    """

    rows: list[dict[str, Any]]
    lines: bytes
    traces: bytes


class HostGone(Exception):
    """The host's process has ended."""


class PlanHandle:
    """An opened flow in a host.

    Args:
        host: Where it is.
        number: Its number there.
        about: What the host says of it: `inputs`, `flow`, `has_aggregation`, ….
    """

    def __init__(self, host: HostClient, number: int, about: Mapping[str, Any]) -> None:
        self.host = host
        self.number = number
        self.about = about
        self.on_log: Callable[[str, bytes], None] | None = None
        # How large rows have been lately.
        self.row_bytes = 0
        self.on_chunk: Callable[[str, str], None] | None = None
        # What has come in; None when the host is gone.
        self.inbox: asyncio.Queue[Outcomes | None] = asyncio.Queue()

    def send_rows(self, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Hand rows over; their outcomes will be in the inbox."""
        body = json.dumps(rows, separators=(",", ":")).encode()
        self.row_bytes = max(self.row_bytes // 2, len(body) // len(rows))
        self.host.send({"type": "rows", "plan": self.number}, body)

    async def hold(self) -> list[int]:
        """Let rows that have begun finish, and forget the others: their numbers.

        Raises:
            HostError: The host died.
        """
        answer, _ = await self.host.request({"type": "hold", "plan": self.number})
        return list(answer["dropped"])

    async def run_single(self, inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """The outcome of one row, with its metrics.

        Args:
            inputs: The flow's inputs.
            options: `node` runs that node alone, `timeout_s`, `aggregate=False`, `spans=True`; `stream=True` tells
                `on_chunk` every piece of a generator output as it comes, for a plan opened with `streaming`.

        Raises:
            HostError: The host died.
            GenaiopsError: The node does not exist, and the like.
        """
        _, payload = await self.host.request(
            {"type": "single", "plan": self.number}, {"inputs": dict(inputs), **options}
        )
        return json.loads(payload)  # type: ignore[no-any-return]

    async def aggregate(self, outcomes: Path) -> dict[str, Any]:
        """Metrics, nodes and error of what follows all rows, from their file."""
        _, payload = await self.host.request(
            {"type": "aggregate", "plan": self.number}, {"outcomes": str(outcomes.resolve())}
        )
        return json.loads(payload)  # type: ignore[no-any-return]

    async def close(self) -> list[str]:
        """Let the host forget the plan; what it has to say at the end."""
        self.host.forget(self.number)
        with contextlib.suppress(HostError, GenaiopsError):
            answer, _ = await self.host.request({"type": "close", "plan": self.number})
            return list(answer.get("warnings") or ())
        return []


class HostClient:
    """One host. Made by `start`."""

    _numbers = count(1)

    def __init__(self, process: HostProcess) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._plans: dict[int, PlanHandle] = {}
        self._last_lines: list[bytes] = []
        self._has_ended = False
        # Called with every line that is printed, whoever printed it.
        self.on_log: Callable[[bytes], None] | None = None
        self._exit = asyncio.create_task(process.wait())
        self._readers = [asyncio.create_task(self._read()), asyncio.create_task(self._read_prints())]

    @classmethod
    async def start(cls, setup: HostSetup, nursery: NurseryClient | None = None) -> HostClient:
        """Start a host; it is usable at once, what is asked of it waits until it is up.

        Args:
            setup: What it is like.
            nursery: Makes it, if it can make one like that.

        Raises:
            HostError: The interpreter cannot be started.
        """
        try:
            process: HostProcess | None = None
            if nursery is not None:
                process = await nursery.fork(setup.python, setup.folder, setup.environ)
            if process is None:
                process = await start_process([*setup.python, "-m", "genaiops.host"], setup.folder, setup.environ)
        except OSError as error:
            raise HostError(f"The flow host cannot be started: {error}.") from error
        host = cls(process)
        host.send({"type": "hello"}, json.dumps(setup.hello, default=str).encode())
        return host

    @property
    def is_alive(self) -> bool:
        """Whether messages still arrive there."""
        return not self._has_ended

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def open(self, request: Mapping[str, Any]) -> PlanHandle:
        """Open a flow.

        Args:
            request: `flow`, `variant`, `overrides`, `connections`, `environment_variables`, `init`, `concurrency` or
                `limits`, `timeout_s`, `repeat`, `trace_share`.

        Raises:
            InputError: The flow cannot be run as asked; nothing was started.
            HostError: The host died while it loaded the flow.
        """
        number = next(self._numbers)
        handle = PlanHandle(self, number, {})
        self._plans[number] = handle
        try:
            handle.about, _ = await self.request({"type": "open", "plan": number}, dict(request))
        except BaseException:
            self.forget(number)
            raise
        return handle

    async def prepare(self, *, will_call: bool) -> None:
        """Let the host import what its flow will need, and transports to models if they will be called."""
        with contextlib.suppress(HostError, GenaiopsError):
            await self.request({"type": "prepare"}, {"will_call": will_call})

    async def stats(self) -> dict[str, Any]:
        """What the models' limiter saw; empty when the host is gone."""
        try:
            answer, _ = await asyncio.wait_for(self.request({"type": "stats"}), _STOP_S)
        except (HostError, TimeoutError):
            return {}
        return dict(answer.get("stats") or {})

    async def request(
        self, header: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Ask, and wait for the answer.

        Raises:
            HostError: The host died.
            GenaiopsError: What the host refused, as the class it is there.
        """
        if self._has_ended:
            raise self.death()
        number = next(self._numbers)
        future: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self.send({**header, "id": number}, json.dumps(body, default=str).encode() if body is not None else b"")
        try:
            return await future
        except HostGone:
            raise self.death() from None
        finally:
            self._answers.pop(number, None)

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send one message; to a host that is gone it goes nowhere."""
        if self._has_ended or self._process.stdin is None:
            return
        if body:
            header = {**header, "size": len(body)}
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(json.dumps(header).encode() + b"\n" + body)

    def forget(self, number: int) -> None:
        """Let nothing more come in for a plan."""
        self._plans.pop(number, None)

    def death(self) -> HostError:
        """How the host ended, with its last words."""
        code = self._process.returncode
        how = f"with exit code {code}" if code is None or code >= 0 else f"by signal {-code}"
        last = b"".join(self._last_lines[-_LAST_LINES:]).decode("utf-8", "replace").strip()
        return HostError(
            f"The flow host ended {how}.{f' Its last lines:{chr(10)}{last}' if last else ''}", kind="ProcessCrashError"
        )

    async def stop(self) -> None:
        """Let the host end in its own way; after two seconds without it."""
        self.send({"type": "stop", "id": 0})
        await self._ended(_STOP_S)
        await self.kill()

    async def kill(self) -> None:
        """End the host now."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._ended(_KILLED_S)
        # A process that flow code has started may still hold the pipes.
        await asyncio.wait(self._readers, timeout=0.5)
        for task in (*self._readers, self._exit):
            task.cancel()
        await asyncio.gather(*self._readers, self._exit, return_exceptions=True)
        release(self._process)

    async def _ended(self, timeout_s: float) -> None:
        """Until the process has ended, or the time is over.

        On Python 3.11 and early 3.12 (gh-119710) `Process.wait` also waits for the end of the pipes, which a process
        that flow code has started may hold for ever; the exit code is known before that.
        """
        until = monotonic() + timeout_s
        while self._process.returncode is None and (left := until - monotonic()) > 0:
            await asyncio.wait([self._exit], timeout=min(left, _LOOK_S))

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while line := await stream.readline():
                header = json.loads(line)
                size = header.get("size", 0)
                self._take(header, await stream.readexactly(size) if size else b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except ValueError:
            _log.exception("The flow host sent something that is no message.")
        finally:
            await self._end()

    async def _end(self) -> None:
        await self._ended(1.0)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        # Let the last words be read before anybody asks for them.
        await asyncio.wait([self._readers[1]], timeout=0.5)
        self._has_ended = True
        for future in self._answers.values():
            if not future.done():
                future.set_exception(HostGone())
        for handle in self._plans.values():
            handle.inbox.put_nowait(None)

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        if header["type"] == "outcomes":
            handle = self._plans.get(header["plan"])
            if handle is not None:
                cut = header["outcome_bytes"]
                handle.inbox.put_nowait(Outcomes(header["rows"], body[:cut], body[cut:]))
            return
        if header["type"] == "chunk":
            handle = self._plans.get(header["plan"])
            if handle is not None and handle.on_chunk is not None:
                handle.on_chunk(header["output"], body.decode("utf-8", "replace"))
            return
        future = self._answers.get(header.get("id") or 0)
        if future is None or future.done():
            return
        if header["type"] == "refused":
            future.set_exception(error_from_json(header))
        else:
            future.set_result((header, body))

    async def _read_prints(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        rest = b""
        while piece := await stream.read(1 << 16):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._take_print(line + b"\n")
            if len(rest) > LINE_LIMIT:
                self._take_print(rest + b"\n")
                rest = b""
        if rest:
            self._take_print(rest + b"\n")

    def _take_print(self, line: bytes) -> None:
        """A line with a mark goes to the run it belongs to, any other to all of them."""
        plan, row, text = b"", "", line
        if line.startswith(_MARK):
            plan, _, rest = line[1:].partition(_SEPARATOR)
            row_bytes, _, text = rest.partition(_SEPARATOR)
            row = row_bytes.decode("ascii", "replace")
        if self.on_log is not None:
            self.on_log(text)
        self._last_lines.append(text)
        if len(self._last_lines) > 2 * _LAST_LINES:
            del self._last_lines[:_LAST_LINES]
        handles = [self._plans.get(int(plan))] if plan.isdigit() else list(self._plans.values())
        for handle in handles:
            if handle is not None and handle.on_log is not None:
                handle.on_log(row, text)


def error_from_json(message: Mapping[str, Any]) -> GenaiopsError:
    """The error that a host sent, as one of our classes."""
    form = message["error"]
    cls = getattr(errors, str(message.get("class")), None)
    if not (isinstance(cls, type) and issubclass(cls, GenaiopsError)) or cls is errors.MissingExtraError:
        cls = errors.InputError if message.get("exit_code") == errors.InputError.exit_code else GenaiopsError
    known = ("file", "line", "node", "hint", "kind", "type")
    return cls(form["message"], **{key: form.get(key) for key in known})


def python_command(python: str | None = None) -> list[str]:
    """The interpreter of a host."""
    return [python or sys.executable]


def package_path() -> str:
    """The folder that holds this package, for interpreters that do not have it installed."""
    return os.fspath(Path(errors.__file__).parents[1])
