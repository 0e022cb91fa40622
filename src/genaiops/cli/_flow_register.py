"""`genaiops flow register`: a new version of a flow only when its content changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genaiops.cli._output import echo_json
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import USE_CASE_FILES, flow_home, nearby_folders
from genaiops.errors import InputError

if TYPE_CHECKING:
    from genaiops.settings import Settings

_HASH_SHOWN = 12


@click.command()
@click.argument("source", metavar="FLOW|USE_CASE", type=ExistingPath())
@click.option("--name", help="What it is called; by default the folder's name, for a use case NAME_ENV.")
@click.option("--env", help="Environment of a use case.")
@click.option("--alias", help="Let this word, such as champion, name the version.")
@click.option("--build-id", help="The build that registers it.")
@click.option("--output-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the version's number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def register(
    source: Path,
    name: str | None,
    env: str | None,
    alias: str | None,
    build_id: str | None,
    output_file: Path | None,
    as_json: bool,
) -> None:
    """Register a flow, or the flow of a use case: a new version only when a file of it changed.

    Renamed and moved files count; caches do not.

    \b
    Example:
      genaiops flow register web_classification --env dev
    """
    from genaiops.registry import FileRegistry, tree_digest

    settings = open_settings(folders=nearby_folders(flow_home(source), Path.cwd()))
    folder, called = _flow_of(source, env, settings)
    registry = FileRegistry(settings.state / "registry")
    tags = {"build_id": build_id} if build_id else {}
    version = registry.register("flow", name or called, tree_digest(folder), source=str(source), tags=tags)
    if alias is not None:
        registry.set_alias("flow", version.name, alias, version.version)
    if output_file is not None:
        output_file.parent.mkdir(parents=True, exist_ok=True)
        output_file.write_text(str(version.version), encoding="utf-8")
    if as_json:
        echo_json({"schema_version": 1, **version.to_json(), "is_new": version.is_new})
    else:
        state = "registered" if version.is_new else "unchanged"
        click.echo(f"{version.name} version {version.version} ({version.digest[:_HASH_SHOWN]}): {state}")


def _flow_of(source: Path, env: str | None, settings: Settings) -> tuple[Path, str]:
    """The files of a flow, and its usual name."""
    is_use_case = source.is_dir() and any((source / file).is_file() for file in USE_CASE_FILES)
    if not is_use_case:
        return source, source.resolve().stem if source.is_file() else source.resolve().name
    from genaiops.experiments import load_experiment

    spec = load_experiment(source, settings, env=env)
    if isinstance(spec.flow, str):
        raise InputError(f"The flow {spec.flow!r} is a callable, which has no folder to register.", file=spec.file)
    return spec.flow, f"{spec.name}_{spec.env}" if spec.env else spec.name
