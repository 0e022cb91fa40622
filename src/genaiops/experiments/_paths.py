"""Where the names in a use case lead: flows, evaluators, local data files, Azure ML assets."""

from __future__ import annotations

import re
from pathlib import Path

from genaiops.errors import SettingsError, suggest
from genaiops.experiments._spec import AzureSource, EvaluatorKind, ExperimentSpec, Place

FLOW_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_ADAPTERS = ("autoevals", "azure_ai_evaluation", "azure-ai-evaluation")


def find_flow(folder: Path, text: str, place: Place) -> Path | str:
    """The folder or file of a flow, or `module:name` of a callable.

    A bare name is looked up under `flows/` first, then beside `experiment.yaml`; a path starts at the use case and may
    also leave out `flows/`.

    Raises:
        SettingsError: There is no such flow; with the nearest name under `flows/`.
    """
    if _ENTRY.fullmatch(text) and not (folder / text).exists():
        return text
    found = _existing(folder, text)
    if found is None:
        raise SettingsError(
            f"There is no flow {text!r}: neither {_shown(folder, text)} exists.",
            file=place.file,
            line=place.line,
            hint=suggest(Path(text).name, _flow_names(folder)),
            kind="FlowPathNotFound",
        )
    return found


def find_evaluator(folder: Path, text: str, place: Place) -> tuple[EvaluatorKind, Path | None, str | None]:
    """Kind, path and entry of an evaluator.

    `builtin:NAME`, `autoevals:NAME` and `azure_ai_evaluation:NAME` name one outright; a path or bare name is looked up
    as for flows; what is left may be the bare name of a built-in metric.

    Raises:
        SettingsError: Nothing of this name exists.
    """
    from genaiops.evaluators import builtin_names

    scheme, colon, rest = text.partition(":")
    if colon and scheme == "builtin":
        if rest not in builtin_names():
            raise SettingsError(
                f"There is no built-in metric {rest!r}.",
                file=place.file,
                line=place.line,
                hint=suggest(rest, builtin_names()),
                kind="UnknownEvaluator",
            )
        return "builtin", None, rest
    if colon and scheme in _ADAPTERS:
        return "adapter", None, f"{scheme.replace('-', '_')}:{rest}"
    found = _existing(folder, text)
    if found is not None:
        return _kind_of(found), found, None
    if _ENTRY.fullmatch(text):
        return "flow", None, text
    if text in builtin_names():
        return "builtin", None, text
    raise SettingsError(
        f"There is no evaluator {text!r}: neither {_shown(folder, text)} exists, nor a built-in metric of that name.",
        file=place.file,
        line=place.line,
        hint=suggest(Path(text).name, [*_flow_names(folder), *builtin_names()]),
        kind="UnknownEvaluator",
    )


def find_data(folder: Path, source: str) -> Path:
    """The local file of a dataset: relative to the use case, or to its folder `data/`. It need not exist."""
    direct = folder / source
    if direct.exists():
        return direct
    inside = folder / "data" / source
    return inside if inside.exists() else direct


def confirmation_file(spec: ExperimentSpec) -> Path | None:
    """The held-out data file that the block `confirm` names."""
    source = (spec.confirm or {}).get("source")
    return find_data(spec.folder, str(source)) if source else None


def parse_azure_source(source: str, place: Place) -> AzureSource | None:
    """The Azure ML asset or datastore path that a source names; `None` for a local path.

    Raises:
        SettingsError: It begins like one and cannot be read.
    """
    if not source.startswith("azureml:"):
        return None
    datastore = re.fullmatch(r"azureml://(?:.*/)?datastores/(?P<store>[^/]+)/paths/(?P<path>.+)", source)
    if datastore:
        return AzureSource(datastore=datastore["store"], path=datastore["path"])
    asset = re.fullmatch(r"azureml:(?P<name>[^/:@]+)(?:[:@](?P<version>[^/:@]+))?", source)
    if asset:
        version = asset["version"]
        return AzureSource(name=asset["name"], version=None if version == "latest" else version)
    long = re.fullmatch(r"azureml:/(?:/|/subscriptions/.*/)?.*data/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", source)
    if long:
        return AzureSource(name=long["name"], version=long["version"])
    raise SettingsError(
        f"The source {source!r} names no Azure ML data.",
        file=place.file,
        line=place.line,
        hint="Write azureml:<name>, azureml:<name>:<version> or azureml://datastores/<store>/paths/<file>.",
    )


def _existing(folder: Path, text: str) -> Path | None:
    bare = len(Path(text).parts) == 1
    places = [folder / "flows" / text, folder / text] if bare else [folder / text, folder / "flows" / text]
    return next((path for path in places if path.exists()), None)


def _shown(folder: Path, text: str) -> str:
    return f"{folder / 'flows' / text} nor {folder / text}"


def _flow_names(folder: Path) -> list[str]:
    flows = folder / "flows"
    return (
        [path.name for path in flows.iterdir() if path.is_dir() and path.name[0] not in "_."] if flows.is_dir() else []
    )


def _kind_of(path: Path) -> EvaluatorKind:
    if path.is_file():
        return "python" if path.suffix == ".py" else "flow"
    if any((path / name).is_file() for name in FLOW_FILES):
        return "flow"
    has_python = any(file.name.lower().startswith("eval_") for file in path.glob("*.py"))
    return "python" if has_python else "flow"
