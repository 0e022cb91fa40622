"""The outcomes of runs and of evaluations, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

HELD_BYTES: Final = 8_000_000
"""What files may weigh whose rows are kept in memory until they are needed again."""
_decode: Final = json.JSONDecoder().raw_decode


class Outcomes:
    """Rows that are needed more than once: parsed once when there are few of them, else each time anew.

    Args:
        folder: The experiment's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Path, list[dict[str, Any]]] = {}
        self._room = HELD_BYTES

    def of(self, run: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines of a run's `outcomes.jsonl` in the order of rows as written; a torn last line is left out.

        What the first reader takes out of a line is not held: memory for nodes that no table shows is soon spent.
        """
        folder = run_folder(self._folder, run)
        if folder is None:
            return
        file = folder / "outcomes.jsonl"
        if file in self._held:
            yield from self._held[file]
            return
        size = file.stat().st_size
        is_held = size <= self._room
        lines = []
        for line in _lines(file):
            yield line
            if is_held:
                lines.append(line)
        if is_held:
            self._room -= size
            self._held[file] = lines


def run_folder(folder: Path, run: Mapping[str, Any]) -> Path | None:
    """Where a run's files are: where it says, or beside the experiment when the state folder was moved."""
    written = Path(str(run.get("path") or ""))
    places = [written] if run.get("path") and written.is_absolute() else [folder / written] if run.get("path") else []
    name = written.name or str(run.get("id"))
    places.append(folder.parent.parent / "runs" / name)
    return next((place for place in places if (place / "outcomes.jsonl").is_file()), None)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield parse_line(line.decode("utf-8"))


def parse_line(line: str) -> Any:
    """The JSON of a line; as `json.loads`, without its search for white space around.

    Raises:
        JSONDecodeError: It is not JSON.
    """
    try:
        form, end = _decode(line)
    except json.JSONDecodeError:
        return json.loads(line)
    return form if line[end:] == "\n" else json.loads(line)
