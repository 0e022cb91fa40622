"""What the use cases of a repository hold: flow, datasets, evaluators, environments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.records import record


@record(frozen=True, slots=True)
class UseCaseAudit:
    """One use case.

    Args:
        path: Its folder, relative to the folder that was audited.
        flow: The flow as its file names it.
        environments: Names that have an overlay file or an entry in its configuration.
        problem: Why its file could not be read.
    """

    path: str
    file: str
    name: str | None = None
    flow: str | None = None
    datasets: tuple[str, ...] = ()
    evaluators: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "path": self.path,
            "file": self.file,
            "name": self.name,
            "flow": self.flow,
            "datasets": list(self.datasets),
            "evaluators": list(self.evaluators),
            "connections": list(self.connections),
            "environments": list(self.environments),
            "problem": self.problem,
        }


def audit_use_case(path: Path, root: Path) -> UseCaseAudit:
    """Read the file that makes a folder a use case."""
    folder = path.parent.relative_to(root).as_posix() if path.parent.is_relative_to(root) else path.parent.as_posix()
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError) as error:
        return UseCaseAudit(folder, path.name, problem=" ".join(str(error).split())[:200])
    if path.suffix == ".json":
        return _older_form(data, folder, path)
    settings = data if isinstance(data, Mapping) else {}
    overlays = [p.stem.partition(".")[2] for p in sorted(path.parent.glob(f"{path.stem}.*{path.suffix}"))]
    name = settings.get("name")
    return UseCaseAudit(
        path=folder,
        file=path.name,
        name=name if isinstance(name, str) else None,
        flow=str(settings.get("flow") or name) if settings.get("flow") or name else None,
        datasets=_names(settings.get("datasets")),
        evaluators=_names(settings.get("evaluators")),
        connections=_names(settings.get("connections")),
        environments=tuple(overlays),
    )


def _older_form(data: Any, folder: str, path: Path) -> UseCaseAudit:
    """`llmops_config.json`: `{"envs": [{"ENV_NAME": …, "STANDARD_FLOW_PATH": …, "EVALUATION_FLOW_PATH": …}]}`."""
    environments = data.get("envs", []) if isinstance(data, Mapping) else []
    entries = [entry for entry in environments if isinstance(entry, Mapping)]
    flows = [str(entry["STANDARD_FLOW_PATH"]) for entry in entries if entry.get("STANDARD_FLOW_PATH")]
    evaluators = [part.strip() for e in entries for part in str(e.get("EVALUATION_FLOW_PATH") or "").split(",")]
    return UseCaseAudit(
        path=folder,
        file=path.name,
        flow=flows[0] if flows else None,
        evaluators=tuple(dict.fromkeys(name for name in evaluators if name)),
        environments=tuple(str(entry["ENV_NAME"]) for entry in entries if entry.get("ENV_NAME")),
    )


def _names(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(str(entry["name"]) for entry in entries if isinstance(entry, Mapping) and entry.get("name"))


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error
