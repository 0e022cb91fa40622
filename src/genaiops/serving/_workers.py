"""Worker processes of the server and what they share: a listening socket and a board for figures.

A worker spends most of its start importing; it can do so while the command that starts it still reads files. So it may
be started before it is known what it will serve. Nothing heavy is imported here for the same reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import SettingsError
from genaiops.records import record
from genaiops.serving._board import open_board
from genaiops.serving._ending import begetting
from genaiops.serving._listen import listen

if TYPE_CHECKING:
    from genaiops.runs import HostSetup


# The exit code of a worker that gave up its place to a fresh one. Source: EX_TEMPFAIL of sysexits.h.
WORN_OUT = 75


@record(frozen=True)
class Shared:
    """What all workers of a server inherit.

    Args:
        sock: Where they listen.
        board: The file of their figures.
    """

    sock: socket.socket
    board: int


@contextlib.contextmanager
def open_shared(host: str, port: int) -> Iterator[Shared]:
    """Take the address, and let go of it in the end.

    Raises:
        SettingsError: The address is taken or not ours.
    """
    try:
        sock = listen(host, port)
    except OSError as error:
        raise SettingsError(
            f"The address {host}:{port} cannot be used: {error.strerror or error}.",
            hint="Choose another with --host and --port; --port 0 takes a free one.",
        ) from error
    with contextlib.closing(sock):
        board = open_board()
        try:
            yield Shared(sock, board)
        finally:
            os.close(board)


class Worker:
    """One worker process: `python -m genaiops.host serve`, a flow host of its own.

    Args:
        python: The interpreter and its options.
        environ: The variables of its process.
        shared: What it inherits.
    """

    def __init__(self, python: Sequence[str], environ: Mapping[str, str], shared: Shared) -> None:
        options: dict[str, Any] = {}
        if sys.platform != "win32":
            # Ctrl-C goes to the whole group; the workers shall hear of it from us, once.
            options = {"start_new_session": True, "pass_fds": (shared.sock.fileno(), shared.board)}
        self._kind = (list(python), dict(environ))
        self.started = time.monotonic()
        # -P: what lies in the current folder must not stand in for what the server is made of.
        self._process = subprocess.Popen(
            [*python, "-P", "-m", "genaiops.host", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            **options,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def fits(self, setup: HostSetup) -> bool:
        """Whether it was started as this setup wants it."""
        return self._kind == (list(setup.python), dict(setup.environ))

    def greet(self, hello: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
        """Tell it what to serve and wait for its answer; None when it ended without one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        body = json.dumps({**hello, "folder": str(folder)}, default=str).encode()
        head = json.dumps({"type": "hello", "size": len(body)}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(head + body)
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else None

    def terminate(self) -> None:
        """Ask it to drain and end."""
        self._process.terminate()

    def kill_from_signal(self) -> None:
        """End it now, whatever of this process a signal has interrupted: no lock is taken."""
        if self._process.returncode is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def early_workers(count: int, environ: Mapping[str, str], shared: Shared) -> Iterator[list[Worker]]:
    """Workers that begin to import now; those that nobody has taken out of the list end with the block."""
    early: list[Worker] = []

    def told() -> None:
        for worker in early:
            worker.kill_from_signal()

    try:
        with begetting(told):
            early += [Worker([sys.executable], environ, shared) for _ in range(count)]
        yield early
    finally:
        for worker in early:
            worker.kill()
