"""The older family of files, `llmops_config.json` with `configs/data_config.json` and `configs/mapping_config.json`.

It is translated into the blocks of an experiment file; each part keeps the place where it was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genaiops.errors import SettingsError, suggest
from genaiops.experiments._documents import Document, read_document
from genaiops.experiments._spec import Place

_EVALUATION_PURPOSE = "test_data"


class _Translated(Document):
    """Blocks made from several files, with the place of each."""

    def __init__(self, path: Path, data: dict[str, Any], places: dict[tuple[str | int, ...], Place]) -> None:
        super().__init__(path, data)
        self._places = places

    def place(self, *parts: str | int) -> Place:
        """Where a part, or what it stands in, was written."""
        while parts:
            if parts in self._places:
                return self._places[parts]
            parts = parts[:-1]
        return Place(file=self.path, line=1)


def read_legacy(path: Path, env: str | None) -> Document:
    """The blocks of the older family in one environment.

    Args:
        path: `llmops_config.json`; the other two files stand in `configs/` beside it.
        env: Which of its environments; may be left out when there is only one.

    Raises:
        SettingsError: A file is missing or the environment is not among them.
    """
    main = read_document(path)
    data = read_document(path.parent / "configs" / "data_config.json")
    mapping = read_document(path.parent / "configs" / "mapping_config.json")
    config = _environment(main, env)
    env = str(config.get("ENV_NAME"))
    places: dict[tuple[str | int, ...], Place] = {
        ("flow",): main.place("envs", "STANDARD_FLOW_PATH"),
        ("evaluators",): main.place("envs", "EVALUATION_FLOW_PATH"),
        ("datasets",): data.place("datasets"),
    }
    rows = [row for row in _list(data, "datasets") if row.get("ENV_NAME") == env]
    blocks: dict[str, Any] = {"name": path.parent.name, "flow": config.get("STANDARD_FLOW_PATH")}
    if config.get("RUNTIME_NAME"):
        blocks["runtime"] = config["RUNTIME_NAME"]
    mappings = mapping.data if isinstance(mapping.data, dict) else {}
    blocks["datasets"] = []
    for row in rows:
        if row.get("DATA_PURPOSE") != _EVALUATION_PURPOSE:
            places["datasets", len(blocks["datasets"])] = data.place(str(row.get("DATASET_NAME")))
            blocks["datasets"].append(_dataset(row, mappings.get("experiment") or {}))
    blocks["evaluators"] = _evaluators(config, rows, mappings.get("evaluation") or {}, data, places)
    return _Translated(path, blocks, places)


def _environment(main: Document, env: str | None) -> dict[str, Any]:
    environments = {str(item.get("ENV_NAME")): item for item in _list(main, "envs")}
    if env is None and len(environments) == 1:
        return next(iter(environments.values()))
    if env is None or env not in environments:
        found = "no environment was named" if env is None else f"there is no environment {env!r}"
        raise SettingsError(
            f"This file describes environments and {found}.",
            file=main.path,
            line=main.place("envs").line,
            hint=suggest(env or "", environments) if env else f"Choose one with --env: {', '.join(environments)}.",
            kind="UnknownEnvironment",
        )
    return environments[env]


def _list(document: Document, key: str) -> list[dict[str, Any]]:
    items = document.data.get(key) if isinstance(document.data, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SettingsError(f"The file must hold a list of objects under {key!r}.", file=document.path, line=1)
    return items


def _dataset(row: dict[str, Any], mappings: dict[str, Any]) -> dict[str, Any]:
    dataset = {"name": row.get("DATASET_NAME"), "source": row.get("DATA_PATH"), "mappings": mappings}
    if row.get("DATASET_DESC"):
        dataset["description"] = row["DATASET_DESC"]
    return dataset


def _evaluators(
    config: dict[str, Any],
    rows: list[dict[str, Any]],
    mappings: dict[str, Any],
    data: Document,
    places: dict[tuple[str | int, ...], Place],
) -> list[dict[str, Any]]:
    """One evaluator a path, each with every test dataset of the environment; none when there is no test data."""
    tests = [row for row in rows if row.get("DATA_PURPOSE") == _EVALUATION_PURPOSE]
    paths = [path.strip() for path in str(config.get("EVALUATION_FLOW_PATH") or "").split(",") if path.strip()]
    evaluators = []
    for index, path in enumerate(paths if tests else []):
        name = Path(path).name
        datasets = []
        for number, row in enumerate(tests):
            places["evaluators", index, "datasets", number] = data.place(str(row.get("DATASET_NAME")))
            datasets.append({**_dataset(row, mappings.get(name) or {}), "reference": row.get("RELATED_EXP_DATASET")})
        evaluators.append({"name": name, "flow": path, "datasets": datasets})
    return evaluators
