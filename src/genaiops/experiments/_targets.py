"""Where flows of an experiment are loaded from: their own folder, or one that we write for `module:name`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from genaiops.evaluators import write_entry_flow
from genaiops.experiments._spec import ExperimentSpec
from genaiops.settings import Settings, state_folder


def flow_source(spec: ExperimentSpec, source: Path | str, settings: Settings) -> Path:
    """The folder or file to load; an entry `module:name` gets a small flow that imports from the use case.

    Args:
        spec: The use case, whose folder is the entry's home.
        source: Folder, file or entry.
        settings: Whose state folder holds the small flow.
    """
    if isinstance(source, Path):
        return source
    mark = hashlib.sha256(f"{spec.folder}\0{source}".encode()).hexdigest()[:12]
    name = source.replace(":", "_").replace(".", "_")
    return write_entry_flow(state_folder(settings, "entries", f"{name}_{mark}"), source, code=spec.folder)
