"""Messages to and from the parent, over the pipes that this process was born with.

A message is one line of JSON, and after it as many bytes as its key `size` says. Outcomes travel as such bytes: they
are the lines of `outcomes.jsonl` already, and the parent appends them unread.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any


class ParentPipe:
    """The two pipes. Writing is safe from any thread."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = os.fdopen(reader, "rb", buffering=1 << 16)
        self._writer = writer
        self._lock = threading.Lock()

    def read(self) -> tuple[dict[str, Any], bytes] | None:
        """The next message; None when the parent is gone."""
        line = self._reader.readline()
        if not line.endswith(b"\n"):
            return None
        header = json.loads(line)
        size = header.get("size", 0)
        body = self._reader.read(size) if size else b""
        return None if len(body) < size else (header, body)

    def write(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send one message; a parent that is gone ends this process."""
        if body:
            header = {**header, "size": len(body)}
        data = json.dumps(header, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
        data += b"\n" + body
        with self._lock:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._writer, view) :]
            except OSError:
                # Nobody is left to tell; what is not written down will be run again.
                os._exit(1)


def take_pipes() -> ParentPipe:
    """Keep the original pipes for messages, out of reach of flow code.

    What flow code, its libraries and its child processes print goes to standard error; they read nothing.
    """
    reader, writer = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (reader, writer):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return ParentPipe(reader, writer)
