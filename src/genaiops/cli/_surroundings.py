"""The connections that a flow or a use case can name: what its files declare, and what the environment sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.settings import Settings

USE_CASE_FILES = ("experiment.yaml", "experiment.yml")


def flow_home(flow: str | Path) -> Path | None:
    """The folder of a flow that is a file or a folder; None for `module:name`."""
    path = Path(flow)
    if path.is_dir():
        return path
    return path.parent if path.is_file() else None


def nearby_folders(home: Path | None, project: Path) -> list[Path]:
    """Folders whose `.env` and connection files count for a flow: its own, those above it in the project."""
    if home is None:
        return []
    start = home.resolve()
    found = [start]
    for folder in start.parents:
        if not folder.is_relative_to(project):
            break
        found.append(folder)
    return found


def open_store(settings: Settings, home: Path | None) -> ConnectionStore:
    """The connections that a flow in `home` can name.

    Raises:
        ConnectionSettingsError: A connection file that cannot be read.
    """
    from genaiops.connections import ConnectionStore

    folders = nearby_folders(home, settings.project)
    return ConnectionStore.load(settings, declared=list(_declared(folders)), folders=folders)


def _declared(folders: list[Path]) -> Iterator[Mapping[str, Any]]:
    """`connections:` of the nearest use case."""
    for folder in folders:
        file = next((folder / name for name in USE_CASE_FILES if (folder / name).is_file()), None)
        if file is None:
            continue
        declared = _read_yaml(file).get("connections")
        if isinstance(declared, list):
            yield from ({"__file__": str(file), **item} for item in declared if isinstance(item, Mapping))
        return


def _read_yaml(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (YAMLError, OSError, ValueError):
        # Whoever reads the use case itself tells what is wrong with it.
        return {}
    return data if isinstance(data, Mapping) else {}
