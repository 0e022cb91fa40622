"""The record of an experiment and its file form, which gates and reports read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from genaiops.errors import DataError
from genaiops.records import record
from genaiops.runs import is_locked
from genaiops.settings import Settings

SCHEMA_VERSION = 1
EXPERIMENT_FILE = "experiment.json"
ROW_SCORES_FILE = "row_scores.jsonl"
FOLDER = "experiments"
LOCK_FILE = "lock"
_HEAD_BYTES = 4096
# Texts in a record hold no bare line end, so that none of them looks like this.
_TIME = re.compile(rb'\n "(created|resumed)": (?:null|"([\w:.+-]*)")')


@record(frozen=True, kw_only=True)
class ExperimentResult:
    """What an experiment found; everything else stands in its files.

    Args:
        path: Its folder.
        data: What `experiment.json` holds.
    """

    path: Path
    data: Mapping[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """Unique."""
        return str(self.data["id"])

    @property
    def status(self) -> str:
        """`running`, `completed`, `failed` (more failed rows than allowed, an evaluator that failed), `interrupted`."""
        return str(self.data.get("status", "completed"))

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        """The runs, the baseline first."""
        return list(self.data.get("runs", ()))

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """Metrics of each evaluator on each run."""
        return list(self.data.get("scores", ()))

    @property
    def comparisons(self) -> list[Mapping[str, Any]]:
        """Variants against the baseline."""
        return list(self.data.get("comparisons", ()))

    @property
    def exit_code(self) -> int:
        """0 completed, 1 failed, 130 interrupted; a verdict is somebody else's."""
        return {"completed": 0, "failed": 1}.get(self.status, 130)

    def row_scores(self) -> Iterator[dict[str, Any]]:
        """One line for each evaluator, run and row."""
        file = self.path / ROW_SCORES_FILE
        if file.is_file():
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)

    def to_json(self) -> dict[str, Any]:
        """The published form of `genaiops run --json`."""
        return dict(self.data)

    def _repr_html_(self) -> str:
        """Tables and drawn intervals, for notebooks."""
        from genaiops.experiments._display import result_to_html

        return result_to_html(self.data)


def write_experiment(folder: Path, data: Mapping[str, Any]) -> ExperimentResult:
    """Write `experiment.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / EXPERIMENT_FILE
    scratch = folder / f".{EXPERIMENT_FILE}.{os.getpid()}"
    text = json.dumps(data, ensure_ascii=False, indent=1, default=str, allow_nan=True)
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(file)
    return ExperimentResult(path=folder, data=data)


def load_result(path: Path) -> ExperimentResult:
    """Read an experiment's folder.

    Raises:
        DataError: There is no experiment in it, or its file cannot be read.
    """
    file = path / EXPERIMENT_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no experiment in {str(path)!r}.", file=file, kind="ExperimentNotFound") from None
    except json.JSONDecodeError as error:
        raise DataError(f"This is not valid JSON: {error.msg}.", file=file, line=error.lineno) from error
    if data.get("status") == "running" and not is_locked(path / LOCK_FILE):
        # Its process was killed before it could say so.
        data["status"] = "interrupted"
    return ExperimentResult(path=path.resolve(), data=data)


def find_experiment(name: str | Path, settings: Settings) -> ExperimentResult:
    """The experiment that a user means: its id, the beginning of its id, its folder, or `latest`.

    `latest` is the one that was started or resumed last; judging or reporting an older one changes nothing in that.

    Raises:
        DataError: No such experiment, or several begin so.
    """
    text, folder = str(name), settings.state / FOLDER
    for place in (Path(name), folder / text):
        if (place / EXPERIMENT_FILE).is_file():
            return load_result(place)
    if text == "latest" and (latest := next(newest_experiments(settings), None)):
        return latest
    ids = sorted(path.name for path in _folders(settings))
    begin = [item for item in ids if item.startswith(text)]
    if len(begin) == 1:
        return load_result(folder / begin[0])
    if begin:
        raise DataError(
            f"Several experiments begin with {text!r}: {', '.join(begin[:10])}.", hint="Give more of the id."
        )
    near = get_close_matches(text, ids, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "List them with: genaiops runs list"
    hint = hint if ids else f"There are no experiments in {folder}."
    raise DataError(f"There is no experiment {text!r}.", hint=hint, kind="ExperimentNotFound")


def list_experiments(settings: Settings, *, limit: int | None = None) -> list[ExperimentResult]:
    """The experiments of this project, the one started or resumed last first; folders that hold none are left out."""
    return list(islice(newest_experiments(settings), limit))


def newest_experiments(settings: Settings) -> Iterator[ExperimentResult]:
    """The same, each read when it is asked for: of a long history few are."""
    for path in sorted(_folders(settings), key=_started, reverse=True):
        with suppress(DataError):
            yield load_result(path)


def _started(path: Path) -> tuple[float, str]:
    """When it was started last, by its own record: files get new times whenever a gate or a report looks at them."""
    times = _times_in_head(path)
    if len(times) < 2:
        try:
            times = load_result(path).data
        except DataError:
            return 0.0, path.name
    try:
        moment = datetime.fromisoformat(str(times.get("resumed") or times.get("created")))
    except ValueError:
        return 0.0, path.name
    return moment.timestamp(), path.name


def _times_in_head(path: Path) -> Mapping[str, Any]:
    """`created` and `resumed`, which stand at the beginning of what `write_experiment` writes."""
    try:
        with (path / EXPERIMENT_FILE).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return {}
    return {found[1].decode(): (found[2] or b"").decode() for found in _TIME.finditer(head)}


def _folders(settings: Settings) -> list[Path]:
    folder = settings.state / FOLDER
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if (path / EXPERIMENT_FILE).is_file()]
