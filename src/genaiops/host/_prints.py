"""What flow code prints, with the row that printed it.

Each piece goes to standard error at once, so that the last words of a process that dies are not lost. A line begins
with the mark of its plan and row when they are known; the parent sorts the lines by it.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar

# "PLAN\x1fROW", set where a row starts; threads that the engine starts inherit it.
current_row: ContextVar[str] = ContextVar("genaiops_row", default="")
MARK = "\x1e"
SEPARATOR = "\x1f"


class MarkedStream(io.TextIOBase):
    """A text stream whose lines carry the mark of the row that wrote them.

    Args:
        name: Shown when the stream is printed.
        descriptor: Where it writes.
        redact: Takes secrets out of what is written.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, descriptor: int = 2, *, redact: Callable[[str], str] = str) -> None:
        self.name = name
        self._descriptor = descriptor
        self._redact = redact
        self._lock = threading.RLock()
        self._parts: dict[str, str] = {}

    def write(self, text: str) -> int:
        """Write whole lines at once; the rest waits for its end."""
        row = current_row.get()
        with self._lock:
            text_so_far = self._parts.pop(row, "") + text
            lines, _, rest = text_so_far.rpartition("\n")
            if rest:
                self._parts[row] = rest
            if lines or text_so_far.endswith("\n"):
                self._put(row, lines)
        return len(text)

    def flush(self) -> None:
        """Write lines that have not ended."""
        with self._lock:
            for row, rest in list(self._parts.items()):
                self._put(row, rest)
            self._parts.clear()

    def fileno(self) -> int:
        """The descriptor that child processes inherit."""
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    @property
    def buffer(self) -> io.FileIO:
        """For code that writes bytes; they carry no mark."""
        return io.FileIO(self._descriptor, "w", closefd=False)

    def _put(self, row: str, lines: str) -> None:
        head = f"{MARK}{row}{SEPARATOR}" if row else ""
        text = "".join(f"{head}{line}\n" for line in self._redact(lines).split("\n"))
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return


def mark_prints(redact: Callable[[str], str] = str) -> None:
    """Put marked streams in the place of standard output and standard error.

    Args:
        redact: Takes secrets out of what is written, where no parent does.
    """
    sys.stdout = MarkedStream("<stdout>", redact=redact)
    sys.stderr = MarkedStream("<stderr>", redact=redact)
