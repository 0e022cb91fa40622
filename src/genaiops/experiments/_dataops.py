"""`configs/dataops_config.json`, which names the data assets that a data pipeline of a use case makes, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.experiments._documents import Document, read_document
from genaiops.experiments._keys import unknown_keys
from genaiops.experiments._paths import find_data
from genaiops.experiments._problems import Problems
from genaiops.records import record

DATAOPS_FILE = Path("configs/dataops_config.json")
_KEYS = {
    (): (
        "DATA_STORE_NAME",
        "DATA_STORE_DESCRIPTION",
        "COMPUTE_NAME",
        "DATA_PREP_COMPONENT",
        "STORAGE",
        "PATH",
        "SCHEDULE",
        "DATA_ASSETS",
    ),
    ("DATA_PREP_COMPONENT",): ("COMPONENT_NAME", "COMPONENT_DISPLAY_NAME", "COMPONENT_DESCRIPTION"),
    ("STORAGE",): ("STORAGE_ACCOUNT", "SOURCE_CONTAINER", "SOURCE_BLOB", "TARGET_CONTAINER"),
    ("PATH",): ("DATA_PIPELINE_CODE_DIR",),
    ("SCHEDULE",): ("NAME", "CRON_EXPRESSION", "TIMEZONE"),
}
_ASSET_KEYS = ("NAME", "PATH", "DESCRIPTION")
# Minute, hour, day of the month, month, day of the week.
_CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", re.IGNORECASE)
_CRON_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/[1-9]\d*)?")


@record(frozen=True, kw_only=True)
class DataAsset:
    """A file that a data pipeline makes.

    Args:
        name: What the asset is called.
        source: As written.
        path: The local file; it need not be there yet.
        description: Free text.
    """

    name: str
    source: str
    path: Path
    description: str | None = None


def read_data_assets(folder: Path, problems: Problems) -> tuple[DataAsset, ...]:
    """The data assets of a use case; mistakes in the file go to `problems`.

    Raises:
        SettingsError: The file is no JSON.
    """
    file = folder / DATAOPS_FILE
    if not file.is_file():
        return ()
    document = read_document(file)
    if not isinstance(document.data, dict):
        problems.error("not-a-map", "The file must be an object.", document.place())
        return ()
    for place, known in _KEYS.items():
        block = document.data.get(place[0]) if place else document.data
        if isinstance(block, Mapping):
            problems.findings += unknown_keys(block, known, document, *place, what=".".join(place) or "The file")
    _check_schedule(document, problems)
    return tuple(_assets(folder, document, problems))


def is_cron(text: str) -> bool:
    """Whether a text is a schedule of five fields, as cron reads it.

    >>> is_cron("10 14 * * 1"), is_cron("*/15 0-6 1,15 * mon"), is_cron("61 * * * *"), is_cron("daily")
    (True, True, False, False)
    """
    fields = text.split()
    return len(fields) == len(_CRON_FIELDS) and all(
        _fits(part, low, high)
        for field, (low, high) in zip(fields, _CRON_FIELDS, strict=True)
        for part in field.split(",")
    )


def _fits(part: str, low: int, high: int) -> bool:
    match = _CRON_PART.fullmatch(_CRON_NAMES.sub("1", part))
    if match is None:
        return False
    numbers = [int(number) for number in match.groups() if number is not None]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


def _check_schedule(document: Document, problems: Problems) -> None:
    schedule: Any = document.data.get("SCHEDULE")
    text = schedule.get("CRON_EXPRESSION") if isinstance(schedule, Mapping) else None
    if text is not None and not is_cron(str(text)):
        place = document.place("SCHEDULE", "CRON_EXPRESSION")
        hint = 'Five fields, such as "10 14 * * 1": 14:10 on Mondays.'
        problems.error("bad-schedule", f"CRON_EXPRESSION {text!r} is no schedule.", place, hint)


def _assets(folder: Path, document: Document, problems: Problems) -> list[DataAsset]:
    found: dict[str, DataAsset] = {}
    for item in document.data.get("DATA_ASSETS") or ():
        place = document.place("DATA_ASSETS")
        if not isinstance(item, Mapping) or not item.get("NAME") or not item.get("PATH"):
            problems.error("missing-key", "Each of DATA_ASSETS has a NAME and a PATH.", place)
            continue
        problems.findings += unknown_keys(item, _ASSET_KEYS, document, "DATA_ASSETS", what=f"Asset {item['NAME']!r}")
        name, source = str(item["NAME"]), str(item["PATH"])
        if name in found:
            problems.error("duplicate-name", f"Two data assets are named {name!r}.", place, "Rename one of them.")
        path = find_data(folder, source)
        found[name] = DataAsset(name=name, source=source, path=path, description=item.get("DESCRIPTION"))
    return list(found.values())
