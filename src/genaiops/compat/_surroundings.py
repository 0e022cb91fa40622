"""Settings and connections for a flow that code or a `pf` command names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.settings import Settings

_USE_CASE_FILES = ("experiment.yaml", "experiment.yml")


def flow_folder(flow: object) -> Path | None:
    """The folder of a flow that is a file or a folder; None for code."""
    if callable(flow):
        return None
    path = Path(str(flow))
    if path.is_dir():
        return path.resolve()
    return path.resolve().parent if path.is_file() else None


def open_settings(flow: object = None) -> Settings:
    """The surroundings, with `.env` files beside and above the flow."""
    from genaiops.settings import find_project, load_settings

    return load_settings(extra_dotenv_folders=_folders(flow_folder(flow), find_project(Path.cwd().resolve())))


def open_store(settings: Settings, flow: object = None) -> ConnectionStore:
    """The connections that a flow can name: variables, `.env`, the use case's file, files beside and above it."""
    from genaiops.connections import ConnectionStore

    folders = _folders(flow_folder(flow), settings.project)
    return ConnectionStore.load(settings, declared=list(_declared(folders)), folders=folders)


def _folders(start: Path | None, project: Path) -> list[Path]:
    if start is None:
        return []
    return [start, *(folder for folder in start.parents if folder.is_relative_to(project))]


def _declared(folders: list[Path]) -> Iterator[Mapping[str, Any]]:
    """`connections:` of the nearest use case."""
    from genaiops.errors import GenaiopsError
    from genaiops.flows import load_yaml

    for folder in folders:
        for file in (folder / name for name in _USE_CASE_FILES):
            if not file.is_file():
                continue
            try:
                data = load_yaml(file).data
            except GenaiopsError:
                return  # Whoever reads the use case itself tells what is wrong with it.
            declared = data.get("connections") if isinstance(data, Mapping) else None
            for item in declared if isinstance(declared, list) else ():
                if isinstance(item, Mapping):
                    yield {"__file__": str(file), **item}
            return
