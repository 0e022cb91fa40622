"""The folder of a run while it is written: outcomes, traces and prints are appended as they come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from genaiops.runs._lock import FolderLock
from genaiops.runs._outcome_lines import drop_torn_line
from genaiops.runs._record import LOCK_FILE, LOGS_FILE, OUTCOMES_FILE, TRACES_FILE

MAX_LOG_BYTES = 20 * 1024 * 1024


class RunFolder:
    """Open for one process; each append is with the operating system before it returns, and on disk after `sync`.

    Args:
        path: The folder; made when it is missing.
        redact: Takes secrets out of what flow code printed.
    """

    def __init__(self, path: Path, *, redact: Callable[[bytes], bytes]) -> None:
        self.path = path
        self._redact = redact
        self._lock = FolderLock(path / LOCK_FILE, what=f"The run {path.name!r}")
        self._files: dict[str, IO[bytes]] = {}
        self._log_bytes = 0

    def __enter__(self) -> RunFolder:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.__enter__()
        for name in (OUTCOMES_FILE, TRACES_FILE):
            drop_torn_line(self.path / name)
        self._open(OUTCOMES_FILE)
        self._log_bytes = (self.path / LOGS_FILE).stat().st_size if (self.path / LOGS_FILE).is_file() else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_files()
        self._lock.__exit__(kind, error, trace)

    def close_files(self) -> None:
        """Everything to disk; appending opens the files again."""
        for file in self._files.values():
            os.fsync(file.fileno())
            file.close()
        self._files.clear()

    def append(self, lines: bytes, traces: bytes) -> None:
        """Outcomes and spans of finished rows, whole lines each."""
        if lines:
            self._open(OUTCOMES_FILE).write(lines)
        if traces:
            self._open(TRACES_FILE).write(traces)

    def sync(self) -> None:
        """Bring outcomes to the disk, so that not even a power cut takes them. May take milliseconds."""
        file = self._files.get(OUTCOMES_FILE)
        if file is not None:
            os.fsync(file.fileno())

    def log(self, row: str, text: bytes) -> None:
        """A line that flow code printed; past twenty megabytes the rest is left out."""
        if self._log_bytes > MAX_LOG_BYTES:
            return
        line = (f"[row {row}] ".encode() if row else b"") + self._redact(text)
        self._log_bytes += len(line)
        if self._log_bytes > MAX_LOG_BYTES:
            line += b"... what was printed after this is left out\n"
        self._open(LOGS_FILE).write(line)

    def _open(self, name: str) -> IO[bytes]:
        file = self._files.get(name)
        if file is None:
            # Without a buffer of ours, so that a line survives the end of this process.
            file = self._files[name] = (self.path / name).open("ab", buffering=0)
        return file
