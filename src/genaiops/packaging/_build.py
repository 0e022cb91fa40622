"""Build an image: packages, our runtime, the flow, each a layer of its own, on a base.

Layers that change seldom come first, so that a new prompt is a layer of a few kilobytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import genaiops
from genaiops.connections import Redactor
from genaiops.errors import InputError
from genaiops.flows import Flow, find_secrets
from genaiops.packaging._base import THIS_PYTHON, load_base, this_architecture
from genaiops.packaging._dockerfile import HEALTH_SCRIPT, PORT, PORT_VARIABLE, dockerfile
from genaiops.packaging._layers import Entry, Layer, tree_entries, write_layer
from genaiops.packaging._layout import PACKAGE_LABEL, BaseImage, Layout
from genaiops.packaging._package import MANIFEST, Package, describe_package
from genaiops.packaging._requirements import (
    Installed,
    compile_folder,
    copy_genaiops,
    find_installer,
    install,
)
from genaiops.packaging._sbom import bill_of_materials
from genaiops.plain_text import plural
from genaiops.records import record
from genaiops.runs import flow_requirements, flow_source

SITE = "app/lib"
_LARGEST_TEXT = 2_000_000
SBOM = "sbom.cdx.json"
Progress = Callable[[str], None]


@record(frozen=True, kw_only=True)
class BuildSpec:
    """What to build.

    Args:
        flow: The flow, its variant chosen.
        name: Of the use case; the image's name.
        tag: The image's reference name.
        base: See `load_base`.
        init: Constructor values of a class flow.
        variables: Declared variables; empty values are required where it runs.
        connection_variables: Connection to the names of the variables that make it.
        sample_request: A request that the served flow must answer.
        labels: More labels.
        secrets: Values that must be in no layer; a file that holds one is refused.
        harmless: Files of the package that only look as if they held a secret.
        environ: The surroundings, which know how to sign in to the registry of the base; nothing of them is built in.
    """

    flow: Flow
    name: str
    tag: str = "latest"
    base: str = THIS_PYTHON
    init: Mapping[str, Any] | None = None
    variables: Mapping[str, str] | None = None
    connection_variables: Mapping[str, Sequence[str]] | None = None
    sample_request: Path | None = None
    labels: Mapping[str, str] | None = None
    secrets: Sequence[str] = field(default=(), repr=False)
    harmless: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@record(frozen=True, kw_only=True)
class BuiltImage:
    """What was built.

    Args:
        package: The package and its digest.
        image: Digest of the image's manifest.
        size_bytes: Of all compressed layers.
        added_bytes: Of the files that came on top of the base, unpacked.
        layout: The folder that holds it.
        layers: From the bottom up, those of the base first.
        health_check: The command of its HEALTHCHECK.
    """

    package: Package
    image: str
    size_bytes: int
    added_bytes: int
    layout: Path
    layers: tuple[Layer, ...]
    health_check: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "package": self.package.digest,
            "image": self.image,
            "size_bytes": self.size_bytes,
            "added_bytes": self.added_bytes,
            "layout": str(self.layout),
            "layers": [
                {
                    "digest": layer.digest,
                    "size_bytes": layer.size,
                    "unpacked_bytes": layer.size_unpacked,
                    "for": layer.comment,
                }
                for layer in self.layers
            ],
            "connections": list(self.package.connections),
            "variables": list(self.package.variables),
            "required": list(self.package.required),
        }


def build_image(
    spec: BuildSpec,
    output: Path,
    *,
    on_step: Progress = lambda _: None,
    prove: Callable[[BuiltImage], None] = lambda _: None,
) -> BuiltImage:
    """Build an OCI image layout, with manifest, bill of materials and Dockerfile beside it.

    Two builds of the same files with the same packages give the same digest.

    Args:
        spec: What to build.
        output: The folder of the layout; `Dockerfile` and `app/` stand in `output/docker`.
        on_step: Told what happens, in words.
        prove: Looks at the image before it gets its name; what it raises leaves the layout as it was before.

    Raises:
        InputError: The base, the output or the flow's files cannot be used.
        GenaiopsError: Packages cannot be installed.
    """
    find_installer()
    _refuse_secrets(_own_files(describe_build(spec)), spec)
    layout = Layout(output)
    on_step(f"base      {spec.base}")
    try:
        base = load_base(spec.base, layout, spec.environ)
    except InputError:
        layout.remove_if_empty()
        raise
    with tempfile.TemporaryDirectory(prefix="genaiops-build-") as scratch:
        on_step(f"packages  for Python {base.python_version} on {base.architecture}")
        installed = _install(spec, Path(scratch), base)
        package = _describe(spec, installed.lock)
        on_step(f"layers    {plural(len(installed.lock), 'package')}, genaiops {genaiops.__version__}, the flow")
        app = [*_own_files(package), *_made_files(package, installed, base)]
        config = _image_config(package, base, spec)
        _refuse_secrets([*app, Entry("labels and variables", json.dumps(config).encode())], spec)
        layers = _write_layers(layout, installed, app, Path(scratch), base)
        descriptor = layout.write_image(base, layers, config)
        built = BuiltImage(
            package=package,
            image=descriptor["digest"],
            size_bytes=sum(layer.size for layer in (*base.layers, *layers)),
            added_bytes=sum(layer.size_unpacked for layer in layers),
            layout=output,
            layers=(*base.layers, *layers),
            health_check=tuple(config["Healthcheck"]["Test"][1:]),
        )
        prove(built)
        layout.publish(descriptor, reference=spec.tag)
        _write_docker_context(output / "docker", package, installed, app, base, config["Labels"])
    return built


def describe_build(spec: BuildSpec) -> Package:
    """What the package will hold and need, before its requirements are locked.

    Raises:
        InputError: As `describe_package`.
    """
    return _describe(spec, ())


def _install(spec: BuildSpec, scratch: Path, base: BaseImage) -> Installed:
    requirements = flow_requirements(flow_source(spec.flow.path))
    return install(requirements, scratch / "site", python_version=base.python_version, architecture=this_architecture())


def _describe(spec: BuildSpec, lock: Sequence[str]) -> Package:
    return describe_package(
        spec.flow,
        name=spec.name,
        init=spec.init,
        variables=spec.variables,
        connection_variables=spec.connection_variables,
        sample_request=spec.sample_request,
        requirements=[*lock, f"genaiops=={genaiops.__version__}"],
    )


def _own_files(package: Package) -> list[Entry]:
    return [Entry(f"app/{file.path}", file.source, file.mode) for file in package.files]


def _made_files(package: Package, installed: Installed, base: BaseImage) -> list[Entry]:
    manifest = json.dumps(package.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    lock = "\n".join(installed.lock) + "\n"
    return [
        Entry(f"app/{MANIFEST}", manifest.encode("utf-8")),
        Entry("app/requirements.lock", lock.encode("utf-8")),
        Entry(f"app/{SBOM}", bill_of_materials(package, installed.folder, base).encode("utf-8")),
    ]


def _refuse_secrets(entries: list[Entry], spec: BuildSpec) -> None:
    """A secret in an image can be read by whoever pulls it, for ever.

    Raises:
        InputError: A file holds one, or something that looks like one; all such places are named, the secret is not.
    """
    redactor = Redactor(spec.secrets)
    found = []
    for entry in entries:
        name = entry.path.removeprefix("app/")
        is_own = isinstance(entry.content, Path)
        content = entry.content.read_bytes() if isinstance(entry.content, Path) else entry.content
        if redactor.holds_secret(content):
            found.append(f"{name} (the value of a connection or variable that is set here)")
        elif is_own and name not in spec.harmless and len(content) <= _LARGEST_TEXT and b"\0" not in content:
            places = find_secrets(content.decode("utf-8", "replace"))
            found += [f"{name}:{place.line} ({place.kind})" for place in places]
    if found:
        raise InputError(
            f"The image is not built; a secret stands in: {', '.join(found)}.",
            hint="Write ${NAME} in its place and set the variable where the image runs. A file that only looks as if "
            "it held one: --harmless FILE.",
            kind="SecretInImage",
        )


def _write_layers(
    layout: Layout, installed: Installed, app: list[Entry], scratch: Path, base: BaseImage
) -> list[Layer]:
    compile_folder(installed.folder, f"/{SITE}", python_version=base.python_version)
    runtime = scratch / "runtime"
    copy_genaiops(runtime)
    compile_folder(runtime, f"/{SITE}", python_version=base.python_version)
    return [
        write_layer(tree_entries(installed.folder, SITE), layout.blobs, comment="packages"),
        write_layer(tree_entries(runtime, SITE), layout.blobs, comment=f"genaiops {genaiops.__version__}"),
        write_layer(app, layout.blobs, comment="the flow"),
    ]


def _image_config(package: Package, base: BaseImage, spec: BuildSpec) -> dict[str, Any]:
    environment = [
        *[item for item in base.config.get("Env", []) if not item.startswith("PYTHONPATH=")],
        f"PYTHONPATH=/{SITE}",
        "PYTHONUNBUFFERED=1",
        "PYTHONDONTWRITEBYTECODE=1",
        "GENAIOPS_HOME=/tmp/genaiops",
        f"{PORT_VARIABLE}={PORT}",
    ]
    return {
        "User": "10001:10001",
        "WorkingDir": "/app",
        "Env": environment,
        "Entrypoint": [base.python, "-m", "genaiops", "serve", "/app", "--host", "0.0.0.0"],  # noqa: S104 - inside a container
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", base.python, "-c", HEALTH_SCRIPT],
            "Interval": 30_000_000_000,
            "Timeout": 5_000_000_000,
            "StartPeriod": 20_000_000_000,
        },
        "Labels": {
            "org.opencontainers.image.title": package.name,
            "org.opencontainers.image.version": spec.tag,
            "org.opencontainers.image.base.name": base.name,
            **({"org.opencontainers.image.base.digest": base.digest} if base.digest else {}),
            PACKAGE_LABEL: package.digest,
            "genaiops.flow.kind": package.kind,
            **(spec.labels or {}),
        },
    }


def _write_docker_context(
    folder: Path, package: Package, installed: Installed, app: list[Entry], base: BaseImage, labels: dict[str, str]
) -> None:
    """The same tree as files, with a Dockerfile, for those who build with an engine."""
    if (folder / "app").exists():
        shutil.rmtree(folder / "app")
    (folder / SITE).mkdir(parents=True)
    no_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(installed.folder, folder / SITE, dirs_exist_ok=True, ignore=no_bytecode)
    copy_genaiops(folder / SITE)
    for entry in app:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry.content, bytes):
            target.write_bytes(entry.content)
        else:
            shutil.copyfile(entry.content, target)
        target.chmod(entry.mode)
    (folder / "Dockerfile").write_text(dockerfile(package, base, labels=labels), encoding="utf-8")
    # COPY keeps modes, and a narrow umask would leave files that the image's user cannot read.
    for path in (folder / "app", *(folder / "app").rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
