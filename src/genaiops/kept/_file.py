"""The file of kept results: SQLite in WAL mode, read where it is asked, written in batches by one thread."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
import zlib
from pathlib import Path

from genaiops.plain_text import plural

_log = logging.getLogger(__name__)
_BATCH_S = 0.2
_COMPRESS_FROM = 2048
_BUSY_S = 10.0
_COUNT_EVERY = 50  # batches until the size is counted again: other processes write too
# Of what was used in the last minutes nothing is forgotten, unless it is nearly all that there is.
_RECENTLY_MS = 10 * 60 * 1000
_LOOK_EVERY_MS = 1000
_READ_CACHE_KIB = 16 * 1024  # keys are hashes: one row after another is found in another place
_SELECT = "SELECT value, used_ms FROM results WHERE key = ?"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    used_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS results_by_use ON results (used_ms);
"""


class ResultsFile:
    """Texts by key in one file, bounded, shared by processes, and expendable: trouble costs results, never a run.

    Args:
        path: The file; its folder is made on the first write.
        max_bytes: Bound on the bytes of the values as stored.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards the connection for reading and what waits to be written
        self._reader: sqlite3.Connection | None = None
        self._pending: dict[str, str] = {}
        self._writing: dict[str, str] = {}
        self._used: set[str] = set()
        self._looked_ms = 0
        self._is_filling = True
        self._work = threading.Event()
        self._hurry = threading.Event()  # somebody waits: do not collect a batch first
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._has_warned = False
        self._batches = 0
        self._stored_bytes = 0

    def get(self, key: str) -> str | None:
        """The text; None when it is not there."""
        with self._lock:
            waiting = self._pending.get(key) or self._writing.get(key)
            if waiting is not None:
                return waiting
            try:
                reader = self._open_reader()
                row = reader.execute(_SELECT, (key,)).fetchone() if reader else None
                if row is None:
                    return None
                text = _unpack(row[0])
            except (sqlite3.DatabaseError, zlib.error, UnicodeDecodeError) as error:
                self._set_aside(error)
                return None
            if self._is_worth_noting(row[1]):
                self._used.add(key)
                self._wake()
            return text

    def put(self, key: str, text: str) -> None:
        """Keep a text; it is in the file within a second."""
        with self._lock:
            self._pending[key] = text
            self._wake()

    def flush(self) -> None:
        """Wait until everything is written."""
        with self._idle:
            while (self._pending or self._writing) and self._thread is not None and self._thread.is_alive():
                self._hurry.set()
                self._work.set()
                self._idle.wait(0.05)

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self._is_closing = True
        self._hurry.set()
        self._work.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=30)
        with self._lock:
            self._thread, self._is_closing = None, False
            self._close_reader()

    # Reading

    def _is_worth_noting(self, used_ms: int) -> bool:
        """Whether a use changes what would be forgotten first; noting each of thousands costs as much as finding it."""
        now_ms = time.time_ns() // 1_000_000
        # Asked for each row, the size would cost too much; it grows slowly.
        if abs(now_ms - self._looked_ms) > _LOOK_EVERY_MS:
            self._looked_ms, self._is_filling = now_ms, self._is_half_full()
        return self._is_filling or now_ms - used_ms > _RECENTLY_MS

    def _is_half_full(self) -> bool:
        log = self._path.with_name(f"{self._path.name}-wal")  # where SQLite writes first
        with contextlib.suppress(OSError):
            size = self._path.stat().st_size + (log.stat().st_size if log.exists() else 0)
            return size > self._max_bytes / 2
        return True

    def _open_reader(self) -> sqlite3.Connection | None:
        if self._reader is None:
            if not self._path.is_file():
                return None
            self._reader = sqlite3.connect(
                f"{self._path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=_BUSY_S
            )
            self._reader.execute(f"PRAGMA cache_size=-{_READ_CACHE_KIB}")
            if self._reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'results'").fetchone() is None:
                self._close_reader()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            with contextlib.suppress(sqlite3.Error):
                self._reader.close()
            self._reader = None

    # Writing, in a thread of its own

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write_batches, name="genaiops-kept", daemon=True)
            self._thread.start()
        self._work.set()

    def _write_batches(self) -> None:
        writer: sqlite3.Connection | None = None
        try:
            while True:
                self._work.wait()
                self._work.clear()
                self._hurry.wait(_BATCH_S)
                self._hurry.clear()
                with self._lock:
                    self._writing, self._pending = self._pending, {}
                    used, self._used = self._used, set()
                try:
                    writer = writer or self._open_writer()
                    self._write(writer, self._writing, used)
                except (sqlite3.Error, OSError) as error:
                    writer = self._after_trouble(writer, error)
                with self._idle:
                    self._writing = {}
                    self._idle.notify_all()
                    if self._is_closing and not self._pending:
                        return
        finally:
            if writer is not None:
                with contextlib.suppress(sqlite3.Error):
                    writer.close()

    def _open_writer(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        writer = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            writer.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing that was committed; a power cut may lose the last moments.
            writer.execute("PRAGMA synchronous=NORMAL")
            writer.executescript(_SCHEMA)
            self._stored_bytes = _count_bytes(writer)
        except BaseException:
            writer.close()
            raise
        return writer

    def _write(self, writer: sqlite3.Connection, texts: dict[str, str], used: set[str]) -> None:
        now_ms = time.time_ns() // 1_000_000
        rows = [(key, value := _pack(text), len(value), now_ms) for key, text in texts.items()]
        writer.execute("BEGIN IMMEDIATE")
        try:
            writer.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)
            writer.executemany("UPDATE results SET used_ms = ? WHERE key = ?", [(now_ms, key) for key in used])
            self._stored_bytes += sum(row[2] for row in rows)
            self._batches += 1
            if self._batches % _COUNT_EVERY == 0 or self._stored_bytes > self._max_bytes:
                self._stored_bytes = _count_bytes(writer)
                self._evict(writer)
            writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            raise

    def _evict(self, writer: sqlite3.Connection) -> None:
        """Down to nine tenths of the bound, least recently used first."""
        if self._stored_bytes <= self._max_bytes:
            return
        goal = int(0.9 * self._max_bytes)
        keys = []
        for key, size in writer.execute("SELECT key, bytes FROM results ORDER BY used_ms, rowid"):
            if self._stored_bytes <= goal:
                break
            keys.append((key,))
            self._stored_bytes -= size
        writer.executemany("DELETE FROM results WHERE key = ?", keys)

    def _after_trouble(self, writer: sqlite3.Connection | None, error: Exception) -> sqlite3.Connection | None:
        """Results of this batch are given up; a broken file is set aside, so that the next batch finds a good one."""
        if isinstance(error, sqlite3.OperationalError | OSError):
            _log.warning("%s could not be kept in %s: %s.", plural(len(self._writing), "result"), self._path, error)
            return writer
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()
        with self._lock:
            self._set_aside(error)
        return None

    def _set_aside(self, error: Exception) -> None:
        if isinstance(error, sqlite3.OperationalError):
            if not self._has_warned:
                _log.warning("Kept results in %s cannot be read now: %s.", self._path, error)
            self._has_warned = True
            return
        self._close_reader()
        aside = self._path.with_name(f"{self._path.name}.broken-{time.time_ns()}")
        with contextlib.suppress(OSError):
            self._path.replace(aside)
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        _log.warning("The file of kept results was broken (%s) and is set aside as %s.", error, aside.name)


def _count_bytes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM results").fetchone()[0])


def _pack(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"z" + zlib.compress(data, 1) if len(data) >= _COMPRESS_FROM else b"j" + data


def _unpack(value: bytes) -> str:
    data = zlib.decompress(value[1:]) if value[:1] == b"z" else value[1:]
    return data.decode("utf-8", "surrogatepass")
