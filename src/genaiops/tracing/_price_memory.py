"""Prices that were looked up today, for the processes that ask for the same ones later."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_TABLE = "genai_prices"


class PriceMemory:
    """`prices.json` of a folder: good for one day (prices have dates) and one release of the table.

    A file that cannot be read or written costs time, never a price.

    Args:
        folder: Where the file is; made when there is something to remember.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "prices.json"

    def recall(
        self, asked: Sequence[str | None], look_up: Callable[[], Sequence[float] | None], *, today: date
    ) -> Sequence[float] | None:
        """What was found for this question, or is found now; None when nobody knows the price."""
        valid = f"{today.isoformat()} {_release()}"
        key = " ".join(part or "*" for part in asked)
        known = self._read(valid)
        if key in known:
            prices: Sequence[float] | None = known[key]
            return prices
        found = look_up()
        # Read again: others may have learned something meanwhile. Who writes last wins; the loser looks up again.
        self._write(valid, {**self._read(valid), key: found})
        return found

    def _read(self, valid: str) -> dict[str, Any]:
        try:
            form = json.loads(self._path.read_text(encoding="utf-8"))
            known = form["prices"] if form["valid"] == valid else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, valid: str, prices: dict[str, Any]) -> None:
        scratch = self._path.with_name(f".prices.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"valid": valid, "prices": prices}), encoding="utf-8")
            scratch.replace(self._path)
        except OSError as error:
            _log.debug("prices were not remembered: %s", error)


def _release() -> str:
    """Which table is installed, without loading it."""
    spec = find_spec(_TABLE)
    table = Path(spec.origin).with_name("data.py") if spec and spec.origin else None
    if table is None or not table.is_file():
        return ""
    state = table.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
