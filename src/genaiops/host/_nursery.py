"""Hosts by forking: `python -m genaiops.host nursery DESCRIPTOR MODEL_DESCRIPTOR`.

This process has one thread, no loop and no open file of its own but the socket to its parent. It imports what every
host imports before it looks at a flow, and nothing of any flow; each request is answered with a child that goes on as
a host would that was started in the usual way. The parent hears of the end of each child. Its own first child does the
same for flows with model nodes, whose hosts import more.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.collector import spare_what_is_here

_LENGTH = struct.Struct("!I")
_STREAMS = 3
_MODULE_ENDINGS = (".py", ".pyc", ".so")
# What every host of a flow that is a file has imported when the first line of the flow's code runs.
_EVERY_HOST = (
    "genaiops.host._main",
    "genaiops.host._session",
    "genaiops.connections",
    "genaiops.flows",
    "genaiops.compat",
    "ruamel.yaml",
)
# What hosts of graphs with model nodes have imported, besides, when their first row runs.
_MODEL_HOSTS = (
    "genaiops.flows._graph_plan",
    "genaiops.flows._model_nodes",
    "genaiops.prompts",
    "jinja2.meta",
    "jinja2.sandbox",
)


def serve_nursery(descriptor: int, model_descriptor: int) -> None:
    """Make hosts until the parent is gone; comes back in each of them."""
    # The parent decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    has_folder = not sys.flags.safe_path
    if has_folder:
        del sys.path[0]
    gc.disable()
    _import_all(_EVERY_HOST)
    child = os.fork()
    if child == 0:
        os.close(descriptor)
        _import_all(_MODEL_HOSTS)
    else:
        os.close(model_descriptor)
    try:
        _serve(descriptor if child else model_descriptor, has_folder)
    except _ParentGone:
        # Nobody is left to make hosts for; those that are there see it by themselves, and so does the child.
        if child:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        os._exit(0)
    gc.enable()


class _ParentGone(Exception):
    pass


def _import_all(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)


def _serve(descriptor: int, has_folder: bool) -> None:
    """Make hosts; comes back in each of them.

    Raises:
        _ParentGone: Nobody will ask again.
    """
    with socket.socket(fileno=descriptor) as parent, _Endings() as endings:
        parent.set_inheritable(False)
        # What is here now stays: looking at it again would only make each child copy it.
        spare_what_is_here()
        while True:
            ready, _, _ = select.select([parent.fileno(), endings.fileno()], [], [])
            if endings.fileno() in ready:
                for pid, code in endings.read():
                    _tell(parent, {"pid": pid, "code": code})
            if parent.fileno() in ready and _answer(parent, has_folder):
                break
        endings.forget()


def _answer(parent: socket.socket, has_folder: bool) -> bool:
    """Make one host, or say why not; True in the host."""
    request, streams = _receive(parent)
    try:
        pid, why = 0, _shadow(request["folder"])
        if why is None:
            try:
                pid = os.fork()
            except OSError as error:
                why = str(error)
            else:
                if pid == 0:
                    _become_host(request, streams, has_folder)
                    return True
    finally:
        for stream in streams:
            os.close(stream)
    _tell(parent, {"number": request["number"], "pid": pid, "refused": why})
    return False


class _Endings:
    """Children that have ended, as something that `select` waits for."""

    def __enter__(self) -> _Endings:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def read(self) -> list[tuple[int, int]]:
        """Number and exit code of each child that has ended since; by signal as a negative code."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 1 << 12):
                pass
        found = []
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                found.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
        return found

    @staticmethod
    def forget() -> None:
        """In a child: signals mean what they mean in any process."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _receive(parent: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next request, with the streams of the child."""
    try:
        head, streams, _, _ = socket.recv_fds(parent, _LENGTH.size, _STREAMS)
    except ConnectionError as error:
        raise _ParentGone from error
    if len(head) < _LENGTH.size or len(streams) < _STREAMS:
        raise _ParentGone
    data = b""
    (size,) = _LENGTH.unpack(head)
    while len(data) < size:
        piece = parent.recv(size - len(data))
        if not piece:
            raise _ParentGone
        data += piece
    return json.loads(data), streams


def _tell(parent: socket.socket, message: Mapping[str, Any]) -> None:
    try:
        parent.sendall(json.dumps(message).encode() + b"\n")
    except OSError as error:
        raise _ParentGone from error


def _shadow(folder: str) -> str | None:
    """A module in the folder with the name of one that is imported already: an interpreter would have taken that."""
    loaded = {name.partition(".")[0] for name in sys.modules}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.partition(".")[0]
                if name in loaded and (entry.name.endswith(_MODULE_ENDINGS) or entry.is_dir()):
                    return f"{entry.name} would come before a module that is imported already"
    except OSError as error:
        return str(error)
    return None


def _become_host(request: Mapping[str, Any], streams: list[int], has_folder: bool) -> None:
    """Everything in which a process that was just started differs from this one."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(request["folder"])
    # An interpreter that starts in the C locale sets this one itself, for its children too.
    own = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update({**own, **request["environ"]})
    if has_folder:
        sys.path.insert(0, str(Path.cwd()))
    # What was seen of folders may have changed. `importlib.invalidate_caches` would import a dozen modules for that.
    sys.path_importer_cache.clear()
    del sys.argv[1:]
    del sys.orig_argv[-3:]
