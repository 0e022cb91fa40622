"""Runs by name: ids, the folder of runs, and what is in it."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

from genaiops.errors import DataError, suggest
from genaiops.runs._record import RUN_FILE, RunRecord
from genaiops.settings import Settings

RUNS_FOLDER = "runs"


def make_run_id(flow_name: str, variant: str | None, now: datetime) -> str:
    """`FLOW_VARIANT_YYYYMMDD_HHMMSS_RANDOM`: unique, readable, in order of time for one flow and variant.

    >>> make_run_id("web", None, datetime(2026, 1, 2, 3, 4, 5))[:-6]
    'web_20260102_030405_'
    """
    words = [flow_name, *([variant] if variant else []), now.strftime("%Y%m%d_%H%M%S"), os.urandom(3).hex()]
    return clean_name("_".join(words))


def clean_name(text: str) -> str:
    """A name that is a folder's name everywhere: lower case, other characters `_`."""
    return re.sub(r"[^\w-]", "_", text.lower())


def find_run(name: str | Path, settings: Settings) -> RunRecord:
    """The run that a user means: its id, the beginning of its id, its folder, or `latest`.

    Raises:
        DataError: No such run, or several begin so.
    """
    text = str(name)
    folder = settings.state / RUNS_FOLDER
    for place in (Path(name), folder / text):
        if (place / RUN_FILE).is_file():
            return RunRecord.load(place)
    ids = _ids(folder)
    if text == "latest" and ids:
        return RunRecord.load(folder / max(ids, key=lambda run: (folder / run / RUN_FILE).stat().st_mtime_ns))
    begin = [run for run in ids if run.startswith(text)]
    if len(begin) == 1:
        return RunRecord.load(folder / begin[0])
    if begin:
        raise DataError(f"Several runs begin with {text!r}: {', '.join(begin[:10])}.", hint="Give more of the id.")
    hint = suggest(text, ids) if ids else f"There are no runs in {folder}."
    raise DataError(f"There is no run {text!r}.", hint=hint, kind="RunNotFoundError")


def list_runs(settings: Settings, *, limit: int | None = None) -> list[RunRecord]:
    """The runs of this project, the latest first; folders that hold no readable run are left out."""
    folder = settings.state / RUNS_FOLDER
    records = []
    for run in _ids(folder):
        try:
            records.append(RunRecord.load(folder / run))
        except DataError:
            continue
    records.sort(key=lambda record: (record.created, record.id), reverse=True)
    return records[:limit]


def _ids(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if (path / RUN_FILE).is_file())
