"""The blocks `datasets` and `evaluators` of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.errors import SettingsError, suggest
from genaiops.experiments._documents import Document
from genaiops.experiments._keys import DATASET_KEYS, EVALUATOR_KEYS, unknown_keys
from genaiops.experiments._paths import find_data, find_evaluator, parse_azure_source
from genaiops.experiments._problems import Problems
from genaiops.experiments._spec import DatasetSpec, EvaluatorSpec, Place
from genaiops.records import record


@record(frozen=True, kw_only=True)
class Block:
    """A block in force and the file it stands in."""

    value: Any
    document: Document
    is_overlay: bool = False


def read_datasets(
    folder: Path, block: Block | None, problems: Problems, *, needs_mappings: bool = True
) -> tuple[DatasetSpec, ...]:
    """The application's datasets; names are unique and each has a source and, unless nothing is run, mappings."""
    needed = ("name", "source", "mappings") if needs_mappings else ("name", "source")
    datasets: dict[str, DatasetSpec] = {}
    for index, item in _items(block, "datasets", problems):
        assert block is not None
        place = block.document.place("datasets", index)
        problems.findings += unknown_keys(
            item, DATASET_KEYS, block.document, "datasets", index, what=f"Dataset {item.get('name')!r}"
        )
        if not _has(item, needed, "Dataset", place, problems):
            continue
        if "reference" in item:
            problems.error(
                "unexpected-key",
                f"Dataset {item['name']!r} has the key 'reference', which only an evaluator's dataset may have.",
                block.document.place("datasets", index, "reference"),
                "Take it out, or move the dataset under an evaluator.",
            )
        dataset = _dataset(folder, item, block.document, ("datasets", index), problems)
        if dataset.name in datasets:
            problems.error("duplicate-name", f"Two datasets are named {dataset.name!r}.", place, "Rename one of them.")
            continue
        _warn_same_file(dataset, datasets, place, problems)
        datasets[dataset.name] = dataset
    return tuple(datasets.values())


def read_evaluators(
    folder: Path,
    block: Block | None,
    datasets: tuple[DatasetSpec, ...],
    known: Mapping[str, DatasetSpec],
    problems: Problems,
) -> tuple[EvaluatorSpec, ...]:
    """The evaluators; each has a unique name and at least one dataset that leads to a run.

    Args:
        folder: The use case.
        block: `evaluators` as written.
        datasets: What this environment runs.
        known: Every dataset that may be named: these and those that an overlay replaced.
        problems: Where mistakes go.
    """
    evaluators: dict[str, EvaluatorSpec] = {}
    for index, item in _items(block, "evaluators", problems):
        assert block is not None
        place = block.document.place("evaluators", index)
        problems.findings += unknown_keys(
            item, EVALUATOR_KEYS, block.document, "evaluators", index, what=f"Evaluator {item.get('name')!r}"
        )
        needed = ("name",) if "mappings" in item else ("name", "datasets")
        if not _has(item, needed, "Evaluator", place, problems):
            continue
        evaluator = _evaluator(folder, item, index, block.document, datasets, known, problems)
        if evaluator is None:
            continue
        if evaluator.name in evaluators:
            problems.error(
                "duplicate-name", f"Two evaluators are named {evaluator.name!r}.", place, "Rename one of them."
            )
            continue
        evaluators[evaluator.name] = evaluator
    return tuple(evaluators.values())


def _evaluator(
    folder: Path,
    item: Mapping[str, Any],
    index: int,
    document: Document,
    datasets: tuple[DatasetSpec, ...],
    known: Mapping[str, DatasetSpec],
    problems: Problems,
) -> EvaluatorSpec | None:
    name = str(item["name"])
    text = str(item.get("entry") or item.get("flow") or name)
    place = document.place("evaluators", index, "flow" if "flow" in item else "name")
    try:
        kind, path, entry = find_evaluator(folder, text, place)
    except SettingsError as error:
        problems.caught(error, place)
        return None
    options = item.get("init") or {}
    if not isinstance(options, dict):
        problems.error(
            "not-a-map", f"init of evaluator {name!r} must be a map.", document.place("evaluators", index, "init")
        )
        options = {}
    return EvaluatorSpec(
        name=name,
        flow=text,
        kind=kind,
        path=path,
        entry=entry,
        options=options,
        datasets=_evaluator_datasets(folder, item, index, document, datasets, known, problems),
        place=document.place("evaluators", index),
    )


def _evaluator_datasets(
    folder: Path,
    item: Mapping[str, Any],
    index: int,
    document: Document,
    datasets: tuple[DatasetSpec, ...],
    known: Mapping[str, DatasetSpec],
    problems: Problems,
) -> tuple[DatasetSpec, ...]:
    shared = item.get("mappings")
    if item.get("datasets") is None and isinstance(shared, dict):
        # Without datasets of its own an evaluator looks at every run, on the rows that the run had.
        places = {k: document.place("evaluators", index, "mappings", k) for k in shared}
        place = document.place("evaluators", index, "mappings")
        return tuple(_mapped(d, shared, place, places) for d in datasets)
    found: dict[str, DatasetSpec] = {}
    block = Block(value=item.get("datasets"), document=document)
    for number, entry in _items(block, "datasets", problems, ("evaluators", index, "datasets")):
        where = ("evaluators", index, "datasets", number)
        place = document.place(*where)
        problems.findings += unknown_keys(entry, DATASET_KEYS, document, *where, what=f"Dataset {entry.get('name')!r}")
        dataset = _evaluation_dataset(
            folder, {"mappings": shared, **entry} if shared else entry, where, document, known, problems
        )
        if dataset is None:
            continue
        if dataset.name in found:
            problems.error(
                "duplicate-name", f"Evaluator {item['name']!r} names the dataset {dataset.name!r} twice.", place
            )
            continue
        found[dataset.name] = dataset
    return tuple(found.values())


def _evaluation_dataset(
    folder: Path,
    entry: Mapping[str, Any],
    where: tuple[str | int, ...],
    document: Document,
    known: Mapping[str, DatasetSpec],
    problems: Problems,
) -> DatasetSpec | None:
    """A dataset of an evaluator: one that runs already, or a related one with `source` and `reference`."""
    place = document.place(*where)
    if not _has(entry, ("name", "mappings"), "Dataset", place, problems):
        return None
    name = str(entry["name"])
    if name in known:
        for key in ("source", "reference"):
            if key in entry:
                problems.error(
                    "unexpected-key",
                    f"Dataset {name!r} is defined above and may not have the key {key!r} here.",
                    document.place(*where, key),
                    f"Take {key} out, or give this dataset another name.",
                )
        mappings = entry["mappings"] or {}
        places = {key: document.place(*where, "mappings", key) for key in mappings}
        return _mapped(known[name], mappings, place, places)
    if not _has(entry, ("source", "reference"), "Dataset", place, problems, hint=suggest(name, known)):
        return None
    dataset = _dataset(folder, entry, document, where, problems)
    if dataset.reference not in known:
        problems.error(
            "dangling-reference",
            f"Dataset {name!r} refers to the dataset {dataset.reference!r}, which is not defined.",
            document.place(*where, "reference"),
            suggest(str(dataset.reference), known),
        )
        return None
    return dataset


def _mapped(
    dataset: DatasetSpec, mappings: Mapping[str, Any], place: Place, mapping_places: Mapping[str, Place]
) -> DatasetSpec:
    return replace(dataset, mappings=dict(mappings), place=place, mapping_places=mapping_places)


def _dataset(
    folder: Path, item: Mapping[str, Any], document: Document, where: tuple[str | int, ...], problems: Problems
) -> DatasetSpec:
    place = document.place(*where)
    source = str(item["source"])
    azure = None
    try:
        azure = parse_azure_source(source, document.place(*where, "source"))
    except SettingsError as error:
        problems.caught(error, place)
    mappings = item.get("mappings") or {}
    if not isinstance(mappings, dict):
        problems.error("not-a-map", f"mappings of {item['name']!r} must be a map.", document.place(*where, "mappings"))
        mappings = {}
    segments = item.get("segments") or ()
    return DatasetSpec(
        name=str(item["name"]),
        source=source,
        path=None if source.startswith("azureml:") else find_data(folder, source),
        azure=azure,
        description=item.get("description"),
        mappings=dict(mappings),
        reference=str(item["reference"]) if item.get("reference") is not None else None,
        key=item.get("key"),
        segments=(segments,) if isinstance(segments, str) else tuple(segments),
        cluster=item.get("cluster"),
        limit=item.get("limit"),
        place=place,
        mapping_places={key: document.place(*where, "mappings", key) for key in mappings},
    )


def _items(
    block: Block | None, name: str, problems: Problems, where: tuple[str | int, ...] = ()
) -> list[tuple[int, Mapping[str, Any]]]:
    """The maps of a list block with their numbers; an empty block is an empty list."""
    if block is None or block.value is None:
        return []
    where = where or (name,)
    if not isinstance(block.value, list):
        problems.error("not-a-list", f"{name} must be a list.", block.document.place(*where))
        return []
    found: list[tuple[int, Mapping[str, Any]]] = []
    for index, item in enumerate(block.value):
        if isinstance(item, dict):
            found.append((index, item))
        else:
            problems.error("not-a-map", f"Each item of {name} must be a map.", block.document.place(*where, index))
    return found


def _has(
    item: Mapping[str, Any],
    keys: tuple[str, ...],
    what: str,
    place: Place,
    problems: Problems,
    *,
    hint: str | None = None,
) -> bool:
    """All these keys are there; `mappings:` with nothing under it counts as an empty map."""
    missing = [key for key in keys if key not in item or (item[key] is None and key != "mappings")]
    if missing:
        problems.error("missing-key", f"{what} {item.get('name')!r} has no {' and no '.join(missing)}.", place, hint)
    return not missing


def _warn_same_file(dataset: DatasetSpec, earlier: Mapping[str, DatasetSpec], place: Place, problems: Problems) -> None:
    for other in earlier.values():
        if dataset.path is not None and other.path is not None and dataset.path.resolve() == other.path.resolve():
            problems.warning(
                "same-file",
                f"The datasets {other.name!r} and {dataset.name!r} are one file, {dataset.source}.",
                place,
                "Evaluators tell them apart by name; take one out if that was not meant.",
            )
