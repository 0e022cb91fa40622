"""`genaiops build`: a flow as a small container image, without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genaiops.cli._build_spec import BuildWords, build_spec
from genaiops.cli._ending import ended_in_order
from genaiops.cli._output import echo_json, note, say
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings

if TYPE_CHECKING:
    from genaiops.cli._build_proof import Proof
    from genaiops.packaging import BuildSpec, BuiltImage, Package


@click.command()
@click.argument("source", metavar="USE_CASE|FLOW", type=ExistingPath())
@click.option(
    "--output", default=Path("image"), show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the OCI image layout.",
)  # fmt: skip
@click.option("--env", "env_name", help="Environment whose overlay counts.  [default: ENV_NAME]")
@click.option("--base", help="this-python, an OCI layout, a root file system, or REGISTRY/NAME@sha256:….")
@click.option("--tag", default="latest", show_default=True, help="The image's reference name.")
@click.option("--label", multiple=True, metavar="K=V", help="One more label of the image. Repeatable.")
@click.option("--variant", multiple=True, help="NODE.VARIANT that is shipped.  [default: the flow's defaults]")
@click.option("--init", multiple=True, metavar="K=V|FILE", help="Constructor argument of a class flow.")
@click.option("--harmless", multiple=True, metavar="FILE", help="A packaged file that only looks as if it held a key.")
@click.option(
    "--test/--no-test",
    default=None,
    help="Start the image and send the sample request, or do not.  [default: where docker or podman answers]",
)
@click.option(
    "--model-calls", type=click.Choice(["live", "replay"]), help="Of the tested image; else as the use case says."
)
@click.option("--network", help="The engine's network for the test; host when models answer on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build(
    source: Path,
    output: Path,
    env_name: str | None,
    base: str | None,
    tag: str,
    label: tuple[str, ...],
    variant: tuple[str, ...],
    init: tuple[str, ...],
    harmless: tuple[str, ...],
    test: bool | None,
    model_calls: str | None,
    network: str | None,
    as_json: bool,
) -> None:
    """Package a use case and write its image: an OCI layout, reproducible, with no Docker needed.

    Where docker or podman answers, the image is started and must answer the sample request; one that does not is not
    called built. What it needs for that must be set here, or --no-test says that nobody will have seen it answer.
    Beside the layout stand a Dockerfile with its folder, for those who build with an engine, and in the image its
    manifest, locked requirements and bill of materials. No secret comes along; the names of what must be set do.

    \b
    Example:
      genaiops build web_classification --output image
      skopeo copy oci:image:latest docker://registry.example/web_classification:1
    """
    from genaiops.cli._build_proof import Proof, plan_proof, prove_image
    from genaiops.packaging import build_image

    settings = open_settings(folders=[source if source.is_dir() else source.parent])
    words = BuildWords(env_name=env_name, base=base, tag=tag, labels=label, variant=variant, init=init)
    spec = build_spec(source, words, settings, harmless=harmless)
    _warn_of_what_stays_behind(spec)
    proofs: list[Proof] = []

    def prove(built: BuiltImage) -> None:
        proofs.append(plan if isinstance(plan, Proof) else prove_image(built, spec, plan))

    with ended_in_order():
        plan = plan_proof(source, spec, settings, wanted=test, model_calls=model_calls, network=network)
        built = build_image(spec, output, on_step=lambda step: note(f"  {step}"), prove=prove)
    if not proofs[0].passed:
        say("warning", f"nobody has seen this image answer ({proofs[0].text})", color="yellow")
    if as_json:
        echo_json({"schema_version": 1, **built.to_json(), **proofs[0].to_json()})
    else:
        _show(built, proofs[0], tag)


def _warn_of_what_stays_behind(spec: BuildSpec) -> None:
    """Files that the code or a sample only seems to read from outside; what is needed for sure ends the build."""
    from genaiops.flows import outside_files, survey_flow

    for found in outside_files(survey_flow(spec.flow.path, every_variant=False, chosen=spec.flow.chosen)):
        if not found.is_needed:
            text = (
                f"{found.file}:{found.line}: {found.written!r} lies outside the flow's folder: it is not in the image"
            )
            say("warning", text, color="yellow")


def _show(built: BuiltImage, proof: Proof, tag: str) -> None:
    package = built.package
    click.echo(f"package  {package.digest}")
    click.echo(f"image    {built.image}")
    click.echo(
        f"size     {_megabytes(built.size_bytes)} compressed; {_megabytes(built.added_bytes)} on top of the base"
    )
    click.echo("           packed   unpacked  layer")
    for layer in built.layers:
        unpacked = _megabytes(layer.size_unpacked) if layer.size_unpacked else ""
        click.echo(f"  {_megabytes(layer.size):>15} {unpacked:>10}  {layer.comment or 'base'}")
    click.echo(f"layout   {built.layout}")
    for needed in _needs(package) or ["nothing"]:
        click.echo(f"needs    {needed}")
    click.echo(f"tested   {proof.text}")
    _show_next(built, proof, tag)


def _needs(package: Package) -> list[str]:
    """A line for each connection and variable that must be there where the image runs."""
    lines = []
    for name in package.connections:
        made_by = package.connection_variables.get(name)
        lines.append(f"connection {name}" + (f" (variables: {', '.join(made_by)})" if made_by else ""))
    return [*lines, *(f"variable {name}" for name in package.required)]


def _show_next(built: BuiltImage, proof: Proof, tag: str) -> None:
    """Commands that go on from here; with the engine that is there, or with those that need none."""
    package = built.package
    wanted = [name for names in package.connection_variables.values() for name in names] + list(package.required)
    given = "".join(f" --env {name}" for name in wanted)
    how = f"--read-only --tmpfs /tmp --publish 8080:8080{given}"
    if proof.image is not None:
        lines = [f"{proof.engine} run --rm {how} {proof.image}"]
    else:
        lines = [f"podman run --rm {how} oci:{built.layout}:{tag}"]
    lines.append(f"skopeo copy oci:{built.layout}:{tag} docker://REGISTRY/{built.package.name}:{tag}")
    click.echo("next")
    for line in lines:
        click.echo(f"  {line}")


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
