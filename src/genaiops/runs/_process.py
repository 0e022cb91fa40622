"""The process of a host: started as any program, or forked by a nursery that has imported what it needs already."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from genaiops.nursery import Nursery

LINE_LIMIT = 1 << 22
_LENGTH = struct.Struct("!I")


async def start_process(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a program with pipes for all that it reads and writes.

    Raises:
        OSError: It cannot be started.
    """
    options: dict[str, Any] = {}
    if sys.platform != "win32":
        # Ctrl-C in a terminal goes to the whole group; only the parent shall hear it.
        options["start_new_session"] = True
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=dict(environ),
        limit=LINE_LIMIT,
        **options,
    )


class ForkedProcess:
    """A child of the nursery, with our ends of its pipes.

    Args:
        pid: Its number.
        streams: Where it reads and writes.
        end: Ends a child of the nursery by its number.
    """

    def __init__(self, pid: int, streams: _Streams, end: Any) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams.stdin, streams.stdout, streams.stderr
        self._streams = streams
        self._end = end
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """The exit code, a signal as a negative one; None while it lives."""
        return self._code.result() if self._code.done() else None

    async def wait(self) -> int:
        """Until it has ended."""
        return await asyncio.shield(self._code)

    def kill(self) -> None:
        """End it now."""
        if not self._code.done():
            self._end(self.pid)

    def has_ended(self, code: int) -> None:
        """Its parent says so."""
        if not self._code.done():
            self._code.set_result(code)

    def close(self) -> None:
        """Let go of the pipes."""
        self._streams.close()


class _Streams:
    """Three pipes: our ends as asyncio has them, and theirs until the child has got them."""

    def __init__(self) -> None:
        (self._read_in, self._write_in), (self._read_out, self._write_out), (self._read_err, self._write_err) = (
            os.pipe(),
            os.pipe(),
            os.pipe(),
        )
        self.stdout = asyncio.StreamReader(LINE_LIMIT)
        self.stderr = asyncio.StreamReader(LINE_LIMIT)
        self.stdin: asyncio.WriteTransport
        self._transports: list[asyncio.BaseTransport] = []

    @property
    def theirs(self) -> list[int]:
        """What the child reads and writes, in the order of their numbers there."""
        return [self._read_in, self._write_out, self._write_err]

    async def connect(self) -> None:
        """Let the loop look after our ends."""
        loop = asyncio.get_running_loop()
        self.stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(self._write_in, "wb", 0))
        self._transports.append(self.stdin)
        for descriptor, reader in ((self._read_out, self.stdout), (self._read_err, self.stderr)):
            protocol = partial(asyncio.StreamReaderProtocol, reader)
            transport, _ = await loop.connect_read_pipe(protocol, os.fdopen(descriptor, "rb", 0))
            self._transports.append(transport)

    def hand_over(self) -> None:
        """The child has its ends."""
        for descriptor in self.theirs:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of our ends."""
        for transport in self._transports:
            transport.close()


HostProcess = asyncio.subprocess.Process | ForkedProcess


def release(process: HostProcess) -> None:
    """Let go of pipes that somebody else holds open: they would stay with us too."""
    if isinstance(process, ForkedProcess):
        process.close()
    else:
        # There is no public way.
        process._transport.close()  # type: ignore[attr-defined]


class NurseryClient:
    """Asks the nursery for hosts, on the loop of this command.

    Args:
        nursery: The process that forks.
        asks_models: The hosts are for flows with model nodes.
    """

    def __init__(self, nursery: Nursery, *, asks_models: bool) -> None:
        self._nursery = nursery
        self._socket = nursery.model_socket if asks_models else nursery.socket
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[int | None]] = {}
        self._children: dict[int, ForkedProcess] = {}
        # Ends that were told before the child was known here: a host may die at once.
        self._codes: dict[int, int] = {}
        self._rest = b""
        self._is_gone = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    async def fork(self, python: Sequence[str], folder: Path, environ: Mapping[str, str]) -> ForkedProcess | None:
        """A new host; None when one like that has to be started in the usual way."""
        if self._is_gone or not self._nursery.fits(python, environ):
            return None
        streams = _Streams()
        pid = None
        try:
            await streams.connect()
            pid = await self._ask({"folder": str(folder), "environ": dict(environ)}, streams.theirs)
        finally:
            streams.hand_over()
            if pid is None:
                streams.close()
        if pid is None:
            return None
        process = self._children[pid] = ForkedProcess(pid, streams, self._end)
        if pid in self._codes:
            self._ended(pid, self._codes.pop(pid))
        return process

    def close(self) -> None:
        """The loop ends; the nursery may serve another one."""
        self._loop.remove_reader(self._socket)

    async def _ask(self, request: Mapping[str, Any], streams: list[int]) -> int | None:
        number = next(self._numbers)
        answer: asyncio.Future[int | None] = self._loop.create_future()
        self._asked[number] = answer
        data = json.dumps({"number": number, **request}).encode()
        try:
            socket.send_fds(self._socket, [_LENGTH.pack(len(data))], streams)
            self._socket.sendall(data)
            return await answer
        except OSError:
            self._gone()
            return None
        finally:
            del self._asked[number]

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._gone()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "code" in message:
            self._ended(message["pid"], message["code"])
            return
        answer = self._asked.get(message["number"])
        if answer is not None and not answer.done():
            answer.set_result(message["pid"] or None)

    def _ended(self, pid: int, code: int) -> None:
        process = self._children.pop(pid, None)
        if process is None:
            self._codes[pid] = code
        else:
            process.has_ended(code)

    def _end(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _gone(self) -> None:
        """Without it nobody hears how a host ends: they end now, and rows that were in them run again elsewhere."""
        self._is_gone = True
        self._loop.remove_reader(self._socket)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)
        for pid in list(self._children):
            self._end(pid)
            self._ended(pid, -signal.SIGKILL)
