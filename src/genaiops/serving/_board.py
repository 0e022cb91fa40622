"""The figures of all workers, whichever of them is asked: each writes its own on a page of a file that all share.

The file has no name on any disk and no lock: a page that is read while it is written does not match its checksum and
is read again. A worker that takes the place of a dead one goes on counting where that one stopped.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

_PAGE_BYTES = 64 * 1024
_HEAD = struct.Struct("<II")  # length and checksum of what follows
_MOST_READS = 20


def open_board() -> int:
    """A file descriptor of a new board, which worker processes can inherit."""
    if hasattr(os, "memfd_create"):  # Linux: works where nothing can be written, as in a read-only container
        file = os.memfd_create("genaiops-metrics", 0)
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.set_inheritable(file, True)
    return file


class Board:
    """One worker's view of the board.

    Args:
        file: The descriptor that `open_board` gave.
        worker: The number of this worker, from 0.
        workers: How many there are.
    """

    def __init__(self, file: int, worker: int, workers: int) -> None:
        self._file = file
        self._worker = worker
        self._workers = workers
        self._written = b""

    def write(self, figures: dict[str, Any]) -> None:
        """Put this worker's figures on its page."""
        text = json.dumps(figures, separators=(",", ":")).encode("ascii")
        if text != self._written and len(text) <= _PAGE_BYTES - _HEAD.size:
            head = _HEAD.pack(len(text), zlib.crc32(text))
            os.pwrite(self._file, head + text, self._worker * _PAGE_BYTES)
            self._written = text

    def own(self) -> dict[str, Any] | None:
        """What stands on this worker's page: figures of the one whose place it took."""
        return self._read(self._worker)

    def others(self) -> Iterator[dict[str, Any]]:
        """The figures of the other workers."""
        for number in range(self._workers):
            figures = self._read(number) if number != self._worker else None
            if figures is not None:
                yield figures

    def _read(self, number: int) -> dict[str, Any] | None:
        for _ in range(_MOST_READS):
            page = os.pread(self._file, _PAGE_BYTES, number * _PAGE_BYTES)
            if len(page) < _HEAD.size:
                return None  # nobody has written there, and nobody behind it
            length, checksum = _HEAD.unpack_from(page)
            text = page[_HEAD.size : _HEAD.size + length]
            if zlib.crc32(text) == checksum:
                return dict(json.loads(text)) if text else None
        return None
