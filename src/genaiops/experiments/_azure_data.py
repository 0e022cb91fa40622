"""Datasets that live in an Azure ML workspace, found on this machine under their name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from genaiops.datasets import SUFFIXES
from genaiops.errors import DataError, GenaiopsError
from genaiops.experiments._dataops import DataAsset, read_data_assets
from genaiops.experiments._paths import find_data
from genaiops.experiments._problems import Problems
from genaiops.experiments._spec import AzureSource, DatasetSpec, EvaluatorSpec
from genaiops.registry import FileRegistry, Version, tree_digest
from genaiops.settings import Settings


class AzureData:
    """Looks for the local copy of what a use case names as `azureml:…`.

    A copy is what the local registry has under the name, the file of the data asset in
    `configs/dataops_config.json`, or `data/<name>.jsonl` and the like.

    Args:
        folder: The use case's.
        settings: Where the registry is.
        problems: Gets what should be known of a copy.
    """

    def __init__(self, folder: Path, settings: Settings, problems: Problems) -> None:
        self._folder, self._settings, self._problems = folder, settings, problems
        self._registry = FileRegistry(settings.state / "registry")
        self._found: dict[str, Path | None] = {}

    def in_datasets(self, datasets: Sequence[DatasetSpec]) -> tuple[DatasetSpec, ...]:
        """The same datasets with the file of each local copy."""
        return tuple(self._placed(dataset) for dataset in datasets)

    def in_evaluators(self, evaluators: Sequence[EvaluatorSpec]) -> tuple[EvaluatorSpec, ...]:
        """The same for the datasets of evaluators."""
        return tuple(replace(each, datasets=self.in_datasets(each.datasets)) for each in evaluators)

    def _placed(self, dataset: DatasetSpec) -> DatasetSpec:
        if dataset.azure is None:
            return dataset
        written = str(dataset.azure)
        if written not in self._found:
            self._found[written] = self._copy(dataset, dataset.azure)
        return replace(dataset, path=self._found[written])

    def _copy(self, dataset: DatasetSpec, azure: AzureSource) -> Path | None:
        latest = self._registered(azure.name, None)
        path = next((path for path in self._places(azure, latest) if path.exists()), None)
        if path is None:
            return None
        version = self._registered(azure.name, azure.version) if azure.version else latest
        if version is None:
            self._warn_unchecked(dataset, azure, path)
        elif azure.version and version.digest != tree_digest(path):
            self._problems.error(
                "changed-dataset",
                f"{path} is no longer what was registered as version {azure.version} of {azure.name!r}.",
                dataset.place,
                f"Bring that version back, or register this one and name it: genaiops dataset register {path} "
                f"--name {azure.name}",
            )
        return path

    def _places(self, azure: AzureSource, version: Version | None) -> Iterator[Path]:
        """Where a copy may be, the surest place first."""
        if azure.path is not None:
            yield from (self._folder / "data" / azure.path, self._folder / "data" / Path(azure.path).name)
            return
        if version is not None and version.source and not version.source.startswith("azureml:"):
            yield find_data(self._folder, version.source)
            yield self._settings.project / version.source
        yield from (asset.path for asset in self._assets() if asset.name == azure.name)
        yield from (self._folder / "data" / f"{azure.name}{suffix}" for suffix in SUFFIXES)

    def _assets(self) -> Sequence[DataAsset]:
        """Mistakes in their file are told elsewhere."""
        try:
            return read_data_assets(self._folder, Problems())
        except GenaiopsError:
            return ()

    def _registered(self, name: str | None, version: str | None) -> Version | None:
        try:
            return self._registry.get("dataset", name, version) if name else None
        except DataError:
            return None

    def _warn_unchecked(self, dataset: DatasetSpec, azure: AzureSource, path: Path) -> None:
        self._problems.warning(
            "local-copy",
            f"{azure} is read from {path}; whether the workspace holds the same is not checked.",
            dataset.place,
        )


def missing_copy(azure: AzureSource) -> str:
    """What to do about a dataset of which there is no copy here."""
    if azure.path is not None:
        return f"Download it to data/{Path(azure.path).name}."
    return (
        f"Download it to data/{azure.name}.jsonl, or register a file under its name: "
        f"genaiops dataset register FILE --name {azure.name}"
    )
