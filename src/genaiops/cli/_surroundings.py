"""The connections that a flow or a use case can name: what its files declare, and what the environment sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.settings import Settings

USE_CASE_FILES = ("experiment.yaml", "experiment.yml")
MODEL_CALLS = ("live", "record", "replay")
# A flow stands in `flows/NAME` of its use case.
_FLOWS_BELOW_USE_CASE = 3


def flow_home(flow: str | Path) -> Path | None:
    """The folder of a flow that is a file or a folder; None for `module:name`."""
    path = Path(flow)
    if path.is_dir():
        return path
    return path.parent if path.is_file() else None


def nearby_folders(home: Path | None, project: Path | None = None) -> list[Path]:
    """Folders whose `.env` and connection files count for a flow: its own, and those above it in its project.

    Args:
        home: The folder of the flow.
        project: Where to stop; by default the flow's own project, at least the use case it belongs to.
    """
    if home is None:
        return []
    from genaiops.settings import find_project

    start = home.resolve()
    top = (project or find_project(start)).resolve()
    if not start.is_relative_to(top) or start == top:
        above = next((f for f in list(start.parents)[:_FLOWS_BELOW_USE_CASE] if use_case_file(f)), start)
        top = above
    return [folder for folder in (start, *start.parents) if folder.is_relative_to(top)]


@record(frozen=True, slots=True)
class UseCaseFacts:
    """What the use case around a flow says about models.

    Args:
        file: Its experiment file; None when the flow belongs to none.
        connections: Its `connections:`.
        model_calls: Its mode of model calls, when it names one.
        recording: The recording it names, absolute.
    """

    file: Path | None = None
    connections: tuple[Mapping[str, Any], ...] = ()
    model_calls: str | None = None
    recording: Path | None = None


def use_case_facts(home: Path | None) -> UseCaseFacts:
    """What the nearest use case around a folder says."""
    for folder in nearby_folders(home):
        file = use_case_file(folder)
        if file is None:
            continue
        data = _read_yaml(file)
        declared = data.get("connections")
        entries = [item for item in declared if isinstance(item, Mapping)] if isinstance(declared, list) else []
        calls = data.get("model_calls")
        calls = calls if isinstance(calls, Mapping) else {"mode": calls}
        mode, recording = calls.get("mode"), calls.get("recording")
        return UseCaseFacts(
            file=file,
            connections=tuple(entries),
            model_calls=mode if mode in MODEL_CALLS else None,
            recording=folder / recording if isinstance(recording, str) else None,
        )
    return UseCaseFacts()


def open_store(settings: Settings, home: Path | None) -> ConnectionStore:
    """The connections that a flow in `home` can name.

    Raises:
        ConnectionSettingsError: A connection file that cannot be read.
    """
    from genaiops.connections import ConnectionStore

    facts = use_case_facts(home)
    return ConnectionStore.load(settings, declared=list(facts.connections), folders=nearby_folders(home))


def require_values(outcome: str, missing: Sequence[Any], variables: Sequence[str], *, hint: str) -> None:
    """Name all that is missing at once, before anything is started.

    Args:
        outcome: What does not happen for the lack of them.
        missing: Values of connections, as `ConnectionStore.missing` tells them.
        variables: Names of other variables.
        hint: What to do.

    Raises:
        ConnectionSettingsError: Something is missing.
    """
    from genaiops.errors import ConnectionSettingsError

    lines = [str(item) for item in missing] + [f"variable {name}" for name in variables]
    if lines:
        listed = "".join(f"\n  {line}" for line in lines)
        raise ConnectionSettingsError(
            f"{outcome}; not set {'is' if len(lines) == 1 else 'are'}:{listed}",
            hint=hint,
            kind="MissingConnectionValues",
        )


def use_case_file(folder: Path) -> Path | None:
    """The experiment file of a use case; None when the folder is none."""
    return next((folder / name for name in USE_CASE_FILES if (folder / name).is_file()), None)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (YAMLError, OSError, ValueError):
        # Whoever reads the use case itself tells what is wrong with it.
        return {}
    return data if isinstance(data, Mapping) else {}
