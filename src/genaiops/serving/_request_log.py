"""Production traffic as a dataset: requests logged as outcomes, sampled, redacted, bounded, rotated.

A thread of its own writes; a request never waits for the disk. When the disk is slower than the traffic, lines are
left out and counted.
"""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genaiops.flows import Outcome
from genaiops.plain_text import plural

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 256 * 1024
MAX_WAITING = 10_000
REQUESTS, FEEDBACK = "requests", "feedback"


class RequestLog:
    """Writes `requests-*.jsonl` and `feedback-*.jsonl` in one folder.

    Args:
        folder: Where the files are; made when missing, readable by the owner only.
        sample: The share of requests that is logged; a request that failed is always logged.
        max_bytes: A file is closed at this size.
        max_files: The oldest files of each kind beyond this number are deleted.
        redact: Takes secrets out of a line.
        worker: Tells the files of several workers apart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sample: float = 1.0,
        max_bytes: int = 64 * 1024 * 1024,
        max_files: int = 10,
        redact: Callable[[str], str] = str,
        worker: str = "0",
        rng: random.Random | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._sample = sample
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._redact = redact
        self._worker = worker
        self._rng = rng or random.Random()  # noqa: S311 - a sample, not a secret
        self._lines: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(MAX_WAITING)
        self._files: dict[str, Any] = {}
        self.left_out = 0
        self._thread = threading.Thread(target=self._write_lines, name="request-log", daemon=True)
        self._thread.start()

    def write(self, outcome: Outcome, request_id: str) -> None:
        """Log one request, if it is in the sample."""
        if outcome.status == "completed" and self._sample < 1 and self._rng.random() >= self._sample:
            return
        # The outcome is turned into text by the writing thread: it does not change any more.
        self._put(REQUESTS, {"request_id": request_id, "time": time.time(), "outcome": outcome})

    def write_feedback(self, request_id: str, feedback: Any) -> None:
        """Log what somebody thinks of an answer."""
        self._put(FEEDBACK, {"request_id": request_id, "time": time.time(), "feedback": feedback})

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits and stop."""
        self._lines.put(None)
        self._thread.join(timeout_s)

    def _put(self, kind: str, entry: dict[str, Any]) -> None:
        try:
            self._lines.put_nowait((kind, entry))
        except queue.Full:
            self.left_out += 1
            if self.left_out in (1, 1000) or self.left_out % 100_000 == 0:
                log.warning("the request log cannot keep up: %s left out so far", plural(self.left_out, "line"))

    def _write_lines(self) -> None:
        while True:
            entry = self._lines.get()
            if entry is None:
                break
            try:
                kind, data = entry
                self._append(kind, self._line(data))
            except Exception:
                # One line that cannot be written must not end the log.
                log.exception("a line of the request log could not be written")
            if self._lines.empty():
                for file in self._files.values():
                    file.flush()
        for file in self._files.values():
            file.close()

    def _line(self, entry: dict[str, Any]) -> bytes:
        outcome = entry.pop("outcome", None)
        data = {**entry, **outcome.to_json()} if outcome is not None else entry
        line = self._redact(json.dumps(data, ensure_ascii=False, default=repr, separators=(",", ":"))).encode("utf-8")
        if len(line) > MAX_LINE_BYTES:
            slim = {key: value for key, value in data.items() if key not in ("nodes", "inputs", "outputs")}
            slim["left_out"] = f"inputs, outputs and nodes: {len(line)} bytes"
            line = self._redact(json.dumps(slim, ensure_ascii=False, default=repr)).encode("utf-8")
        return line + b"\n"

    def _append(self, kind: str, line: bytes) -> None:
        file = self._files.get(kind)
        if file is None or file.tell() + len(line) > self._max_bytes:
            if file is not None:
                file.close()
            self._files[kind] = file = self._next_file(kind)
        file.write(line)

    def _next_file(self, kind: str) -> Any:
        name = f"{kind}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{self._worker}-{time.monotonic_ns() % 10**6:06}"
        path = self._folder / f"{name}.jsonl"
        file = path.open("ab")
        path.chmod(0o600)
        old = sorted(self._folder.glob(f"{kind}-*.jsonl"))[: -self._max_files]
        for leftover in old:
            leftover.unlink(missing_ok=True)
        return file
