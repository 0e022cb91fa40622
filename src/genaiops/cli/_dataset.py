"""`genaiops dataset`: register what changed, look at its health, learn from production."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genaiops.cli._app import Group
from genaiops.cli._output import echo_json, note, table
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import nearby_folders
from genaiops.errors import DataError, InputError
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentSpec
    from genaiops.registry import FileRegistry, Version
    from genaiops.settings import Settings

_HASH_SHOWN = 12


@click.group(cls=Group)
def dataset() -> None:
    """Datasets of this project: register, list, examine, make from production logs.

    \b
    Example:
      genaiops dataset register web_classification
    """


@dataset.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--name", help="For a single file: what it is called.")
@click.option("--env", help="Environment of a use case.")
@click.option("--file", help="Another experiment file than experiment.yaml.")
@click.option("--description", help="For a single file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def register(
    path: Path, name: str | None, env: str | None, file: str | None, description: str | None, as_json: bool
) -> None:
    """Register the datasets of a use case, or one file: a new version only when its content changed.

    The data assets of configs/dataops_config.json that are there are registered too.

    \b
    Example:
      genaiops dataset register web_classification --env dev
    """
    settings = open_settings(folders=nearby_folders(path if path.is_dir() else path.parent, Path.cwd()))
    registry = _registry(settings)
    if path.is_file() and not path.name.startswith("experiment"):
        versions = [_register_file(registry, path, name or path.stem, description)]
    else:
        versions = _register_use_case(registry, path, env, file, settings)
    if as_json:
        form = [{**version.to_json(), "is_new": version.is_new} for version in versions]
        echo_json({"schema_version": 1, "datasets": form})
        return
    cells = [
        (v.name, str(v.version), v.digest[:_HASH_SHOWN], "registered" if v.is_new else "unchanged") for v in versions
    ]
    table(("dataset", "version", "digest", ""), cells)


def _register_file(registry: FileRegistry, path: Path, name: str, description: str | None) -> Version:
    from genaiops.registry import tree_digest

    return registry.register("dataset", name, tree_digest(path), source=str(path), description=description)


def _register_use_case(
    registry: FileRegistry, path: Path, env: str | None, file: str | None, settings: Settings
) -> list[Version]:
    from genaiops.experiments import Problems, read_data_assets
    from genaiops.registry import tree_digest

    spec = _spec(path, settings, env, file)
    versions: dict[str, Version] = {}
    problems = Problems()
    for asset in read_data_assets(spec.folder, problems):
        if asset.path.is_file():
            versions[asset.name] = registry.register(
                "dataset", asset.name, tree_digest(asset.path), source=asset.source, description=asset.description
            )
    problems.raise_errors()
    for item in [*spec.datasets, *(d for evaluator in spec.evaluators for d in evaluator.datasets)]:
        if item.path is None or item.azure is not None or item.name in versions:
            continue
        if not item.path.exists():
            raise DataError(f"There is no data file {item.source!r}.", file=item.place.file, line=item.place.line)
        versions[item.name] = registry.register(
            "dataset", item.name, tree_digest(item.path), source=item.source, description=item.description
        )
    if not versions:
        raise InputError("The use case has no local datasets.", file=spec.file)
    return list(versions.values())


@dataset.command("list")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(name: str | None, as_json: bool) -> None:
    """List registered datasets, or all versions of one.

    \b
    Example:
      genaiops dataset list
    """
    settings = open_settings()
    registry = _registry(settings)
    if name is not None:
        registry.get("dataset", name)  # tells the nearest name when there is none
    names = [name] if name is not None else registry.names("dataset")
    versions = [version for item in names for version in registry.versions("dataset", item)]
    if name is None:
        versions = [registry.get("dataset", item) for item in names]
    if as_json:
        echo_json({"schema_version": 1, "datasets": [version.to_json() for version in versions]})
        return
    if not versions:
        note(f"no datasets in {settings.state / 'registry'}")
        return
    cells = [(v.name, str(v.version), v.digest[:_HASH_SHOWN], v.created, v.source or "") for v in versions]
    table(("dataset", "version", "digest", "created", "source"), cells)


@dataset.command()
@click.argument("path", default=".", type=ExistingPath())
@click.option("--env", help="Environment of a use case.")
@click.option("--label", "labels", multiple=True, help="Column with what is expected; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(path: Path, env: str | None, labels: tuple[str, ...], as_json: bool) -> None:
    """Examine datasets: doubles, contradictions, leaks into prompts, rows that tell nothing.

    \b
    Example:
      genaiops dataset doctor web_classification --label answer
    """
    from genaiops.cli._check import echo_findings
    from genaiops.experiments import examine_data, newest_experiments

    settings = open_settings(folders=nearby_folders(path if path.is_dir() else path.parent, Path.cwd()))
    if path.is_file() and not path.name.startswith("experiment"):
        findings = examine_data(path, labels=labels)
    else:
        spec = _spec(path, settings, env, None)
        latest = next((e for e in newest_experiments(settings) if e.data.get("experiment") == spec.name), None)
        paths = {d.name: d.path for e in spec.evaluators for d in e.datasets if d.path is not None and d.path.exists()}
        paths |= {d.name: d.path for d in spec.datasets if d.path is not None and d.path.exists()}
        prompts = [spec.flow if spec.flow.is_dir() else spec.flow.parent] if isinstance(spec.flow, Path) else []
        held_out = _held_out(spec)
        findings = [
            finding
            for name, file in paths.items()
            for finding in examine_data(
                file, labels=labels, others=held_out, prompts=prompts, experiment=latest, dataset=name
            )
        ]
    findings = list(dict.fromkeys(findings))
    if as_json:
        echo_json({"schema_version": 1, "findings": [finding.to_json() for finding in findings]})
    else:
        echo_findings(findings)


def _held_out(spec: ExperimentSpec) -> dict[str, Path]:
    """The rows that a winner is confirmed on."""
    source = (spec.confirm or {}).get("source")
    file = spec.folder / str(source) if source else None
    return {"the confirmation data": file} if file is not None and file.is_file() else {}


@dataset.command("from-logs")
@click.argument("logs", type=ExistingPath())
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--sample", type=click.IntRange(min=1), help="At most so many rows, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--feedback", "only_feedback", is_flag=True, help="Only requests that somebody gave feedback on.")
@click.option("--failed", is_flag=True, help="Failed requests too, with or without feedback.")
@click.option("--since", type=click.DateTime(), help="Only requests of this time (UTC) or later.")
@click.option("--until", type=click.DateTime(), help="Only requests before this time (UTC).")
@click.option("--keep-doubles", is_flag=True, help="Keep requests whose inputs were seen before.")
@click.option("--mask/--no-mask", default=True, help="Mask e-mail, phone, card, IBAN and IP.  [default: mask]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def from_logs(
    logs: Path,
    target: Path,
    sample: int | None,
    seed: int,
    only_feedback: bool,
    failed: bool,
    since: datetime | None,
    until: datetime | None,
    keep_doubles: bool,
    mask: bool,
    as_json: bool,
) -> None:
    """Make a dataset of production requests: inputs by name, outputs as output.NAME, what people said as feedback.NAME.

    Beside them request.id, request.duration_s and, with --failed, request.error. The same logs and options give the
    same bytes.

    \b
    Example:
      genaiops dataset from-logs ./logs data/production.jsonl --sample 200
    """
    from genaiops.experiments import dataset_from_logs

    open_settings()
    made = dataset_from_logs(
        logs,
        target,
        sample=sample,
        seed=seed,
        only_feedback=only_feedback,
        failed=failed,
        since=since.replace(tzinfo=UTC).timestamp() if since else None,
        until=until.replace(tzinfo=UTC).timestamp() if until else None,
        keep_doubles=keep_doubles,
        mask=mask,
    )
    if as_json:
        form = {"path": str(made.path), "rows": made.rows, "requests": made.requests, "feedback": made.with_feedback}
        echo_json({"schema_version": 1, **form})
    else:
        click.echo(
            f"{made.rows} of {plural(made.requests, 'request')}, {made.with_feedback} with feedback: {made.path}"
        )


def _registry(settings: Settings) -> FileRegistry:
    from genaiops.registry import FileRegistry

    return FileRegistry(settings.state / "registry")


def _spec(path: Path, settings: Settings, env: str | None, file: str | None) -> ExperimentSpec:
    from genaiops.experiments import load_experiment

    return load_experiment(path, settings, env=env, file=file)
