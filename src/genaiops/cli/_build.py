"""`genaiops build`: a flow as a small container image, without Docker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._flow_options import chosen_variants, mapping_or_file
from genaiops.cli._output import echo_json, note
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import open_store

if TYPE_CHECKING:
    from genaiops.packaging import BuildSpec, BuiltImage
    from genaiops.settings import Settings

_SECRET = re.compile(r"(key|secret|token|password|credential|connection_string)", re.IGNORECASE)


@click.command()
@click.argument("source", metavar="USE_CASE|FLOW", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--output", default=Path("image"), show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the OCI image layout.",
)  # fmt: skip
@click.option("--env", "env_name", help="Environment whose overlay counts.  [default: ENV_NAME]")
@click.option("--base", help="this-python, an OCI layout, a root file system, or REGISTRY/NAME@sha256:….")
@click.option("--tag", default="latest", show_default=True, help="The image's reference name.")
@click.option("--variant", multiple=True, help="NODE.VARIANT that is shipped.  [default: the flow's defaults]")
@click.option("--init", multiple=True, metavar="K=V|FILE", help="Constructor argument of a class flow.")
@click.option("--test/--no-test", default=True, help="Start the image and send the sample request, where an engine is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build(
    source: Path,
    output: Path,
    env_name: str | None,
    base: str | None,
    tag: str,
    variant: tuple[str, ...],
    init: tuple[str, ...],
    test: bool,
    as_json: bool,
) -> None:
    """Package a use case and write its image: an OCI layout, reproducible, with no Docker needed.

    Beside the layout stand a Dockerfile with its folder, for those who build with an engine, and in the image its
    manifest, locked requirements and bill of materials. No secret comes along; the names of what must be set do.

    \b
    Example:
      genaiops build web_classification --output image
      skopeo copy oci:image:latest docker://registry.example/web_classification:1
    """
    from genaiops.packaging import build_image

    settings = open_settings(folders=[source if source.is_dir() else source.parent])
    spec = _spec(source, settings, env_name, base, tag, variant, mapping_or_file(init, option="--init"))
    built = build_image(spec, output, on_step=lambda step: note(f"  {step}"))
    proof = _prove(built, tag, settings) if test else "not tested: --no-test"
    if as_json:
        echo_json({"schema_version": 1, **built.to_json(), "tested": proof})
    else:
        _show(built, proof)


def _spec(
    source: Path,
    settings: Settings,
    env_name: str | None,
    base: str | None,
    tag: str,
    variant: tuple[str, ...],
    init: dict[str, Any],
) -> BuildSpec:
    from genaiops.experiments import load_experiment
    from genaiops.flows import load_flow
    from genaiops.packaging import THIS_PYTHON, BuildSpec

    folder = source if source.is_dir() else source.parent
    sample = folder / "sample-request.json"
    common: dict[str, Any] = {
        "tag": tag,
        "base": base or settings.environ.get("GENAIOPS_BASE_IMAGE") or THIS_PYTHON,
        "sample_request": sample if sample.is_file() else None,
        "secrets": open_store(settings, folder).secrets(),
    }
    chosen = chosen_variants(variant)
    if (folder / "experiment.yaml").is_file() or (folder / "experiment.yml").is_file():
        experiment = load_experiment(folder, settings, env=env_name)
        values = {**experiment.init, **init}
        return BuildSpec(
            flow=load_flow(experiment.flow, variant=chosen),
            name=experiment.name,
            init=_without_secrets(values) or None,
            variables=_names_of_secrets(experiment.environment_variables),
            **common,
        )
    flow = load_flow(source, variant=chosen)
    return BuildSpec(flow=flow, name=flow.name, init=_without_secrets(init) or None, **common)


def _without_secrets(values: Any) -> Any:
    """Init values without those whose names sound secret, at any depth."""
    if isinstance(values, Mapping):
        kept = {
            key: value for key, value in values.items() if not (_SECRET.search(str(key)) and isinstance(value, str))
        }
        return {key: _without_secrets(value) for key, value in kept.items()}
    return [_without_secrets(value) for value in values] if isinstance(values, list) else values


def _names_of_secrets(variables: Any) -> dict[str, str]:
    """Declared variables; one whose name sounds secret comes along as a name without its value."""
    return {name: "" if _SECRET.search(name) else str(value) for name, value in variables.items()}


def _prove(built: BuiltImage, tag: str, settings: Settings) -> str:
    from genaiops.packaging import find_engine, run_and_test

    engine = find_engine()
    if engine is None:
        return "not tested: no container engine (docker or podman) answers here"
    if not (built.layout / "docker" / "app" / "sample-request.json").is_file():
        return "not tested: the use case has no sample-request.json"
    variables = _variables_of(built, settings)
    unset = [name for name in built.package.required if name not in variables]
    missing = open_store(settings, built.layout).missing(built.package.connections)
    if unset or missing:
        listed = ", ".join([*map(str, missing), *unset])
        return f"not tested: not set here: {listed}"
    return run_and_test(engine, built, tag, environ=settings.environ, variables=variables)


def _variables_of(built: BuiltImage, settings: Settings) -> list[str]:
    """The variables set here that say something about the package's connections, or that it reads."""
    prefixes = tuple(f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_" for name in built.package.connections)
    names = {*built.package.required, *built.package.variables}
    return [name for name in settings.environ if name in names or (prefixes and name.startswith(prefixes))]


def _show(built: BuiltImage, proof: str) -> None:
    click.echo(f"package  {built.package.digest}")
    click.echo(f"image    {built.image}")
    click.echo(
        f"size     {_megabytes(built.size_bytes)} compressed; {_megabytes(built.added_bytes)} on top of the base"
    )
    for layer in built.layers:
        click.echo(f"  {_megabytes(layer.size):>10}  {layer.comment}")
    click.echo(f"layout   {built.layout}")
    needed = [*(f"connection {name}" for name in built.package.connections), *built.package.required]
    click.echo(f"needs    {', '.join(needed) or 'nothing'}")
    click.echo(f"tested   {proof}")


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
