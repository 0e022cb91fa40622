"""A process that has imported what a host imports and makes hosts by forking: quicker than a start.

It is started before this process has imported what it needs itself, so that both do it at the same time. What is made
there is like a process that was started in the usual way: same folder, variables, import path and modules. Where that
cannot be promised (`Nursery.fits`), hosts are started in the usual way.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Variables that an interpreter, its allocator, its loader or a library reads once, at its start.
_READ_AT_START = re.compile(r"(PYTHON|LD_|DYLD_|LC_|MALLOC_|GLIBC_|OPENSSL_|COV)\w*|LANG|LANGUAGE|HOME|TZ")
# No Python file is in there: `python -m` looks into the folder where it starts before all others.
_EMPTY_FOLDER = Path(__file__).parent / "schemas"
_END_S = 2.0
_current: list[Nursery] = []


class Nursery:
    """The process, and the sockets that lead to it and to its child.

    Attributes:
        socket: Asks for hosts that have what every host imports.
        model_socket: Asks for hosts of flows with model nodes.

    Args:
        environ: The variables it starts with.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self.socket, theirs = socket.socketpair()
        self.model_socket, their_models = socket.socketpair()
        with theirs, their_models:
            descriptors = [theirs.fileno(), their_models.fileno()]
            command = [sys.executable, "-m", "genaiops.host", "nursery", *map(str, descriptors)]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=_EMPTY_FOLDER,
                    env=self._environ,
                    pass_fds=descriptors,
                    # Ctrl-C in a terminal goes to the whole group; only we shall hear it.
                    start_new_session=True,
                )
            except OSError:
                self._hang_up()
                raise

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def fits(self, python: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether a host with this interpreter and these variables may come from here.

        What an interpreter reads once, when it starts, must be the same there; all else can be set in a child.
        """
        if list(python) != [sys.executable] or self._process.poll() is not None:
            return False
        return _read_at_start(environ) == _read_at_start(self._environ) and not _is_relative(environ)

    def close(self) -> None:
        """End the process. Hosts end by themselves, when they are told to or their parent is gone."""
        self._hang_up()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _hang_up(self) -> None:
        self.socket.close()
        self.model_socket.close()


@contextlib.contextmanager
def open_nursery(environ: Mapping[str, str]) -> Iterator[None]:
    """Let hosts that are started inside come from a nursery, where this system has safe forks; else do nothing.

    Args:
        environ: The variables that the hosts will have, as far as they are known.
    """
    nursery = None
    if sys.platform == "linux" and not _current:
        with contextlib.suppress(OSError):
            nursery = Nursery(environ)
    if nursery is None:
        yield
        return
    _current.append(nursery)
    try:
        yield
    finally:
        _current.remove(nursery)
        nursery.close()


def current_nursery() -> Nursery | None:
    """The nursery that is open, if any."""
    return _current[0] if _current else None


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if _READ_AT_START.fullmatch(name)}


def _is_relative(environ: Mapping[str, str]) -> bool:
    """Whether the import path depends on the folder where the interpreter starts."""
    folders = environ.get("PYTHONPATH", "").split(os.pathsep) if environ.get("PYTHONPATH") else []
    return any(not Path(folder).is_absolute() for folder in folders)
