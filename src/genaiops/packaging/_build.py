"""Build an image: packages, our runtime, the flow, each a layer of its own, on a base.

Layers that change seldom come first, so that a new prompt is a layer of a few kilobytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import genaiops
from genaiops.errors import InputError
from genaiops.flows import Flow
from genaiops.packaging._base import THIS_PYTHON, load_base, this_architecture
from genaiops.packaging._dockerfile import HEALTH_SCRIPT, dockerfile
from genaiops.packaging._layers import Entry, Layer, tree_entries, write_layer
from genaiops.packaging._layout import BaseImage, Layout
from genaiops.packaging._package import MANIFEST, Package, describe_package
from genaiops.packaging._requirements import (
    Installed,
    compile_folder,
    copy_genaiops,
    flow_requirements,
    install,
    runtime_requirements,
)
from genaiops.packaging._sbom import bill_of_materials

SITE = "app/lib"
_SHORTEST_SECRET = 6
SBOM = "sbom.cdx.json"
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BuildSpec:
    """What to build.

    Args:
        flow: The flow, its variant chosen.
        name: Of the use case; the image's name.
        tag: The image's reference name.
        base: See `load_base`.
        init: Constructor values of a class flow.
        variables: Declared variables; empty values are required where it runs.
        sample_request: A request that the served flow must answer.
        labels: More labels.
        secrets: Values that must be in no layer; a file that holds one is refused.
    """

    flow: Flow
    name: str
    tag: str = "latest"
    base: str = THIS_PYTHON
    init: Mapping[str, Any] | None = None
    variables: Mapping[str, str] | None = None
    sample_request: Path | None = None
    labels: Mapping[str, str] | None = None
    secrets: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """What was built.

    Args:
        package: The package and its digest.
        image: Digest of the image's manifest.
        size_bytes: Of all compressed layers.
        added_bytes: Of the files that came on top of the base, unpacked.
        layout: The folder that holds it.
        layers: From the bottom up, those of the base left out.
    """

    package: Package
    image: str
    size_bytes: int
    added_bytes: int
    layout: Path
    layers: tuple[Layer, ...]

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
        }


def build_image(spec: BuildSpec, output: Path, *, on_step: Progress = lambda _: None) -> BuiltImage:
    """Build an OCI image layout, with manifest, bill of materials and Dockerfile beside it.

    Two builds of the same files with the same packages give the same digest.

    Args:
        spec: What to build.
        output: The folder of the layout; `Dockerfile` and `app/` stand in `output/docker`.
        on_step: Told what happens, in words.

    Raises:
        InputError: The base cannot be used.
        GenaiopsError: Packages cannot be installed.
    """
    layout = Layout(output)
    on_step(f"base image {spec.base}")
    base = load_base(spec.base, layout)
    with tempfile.TemporaryDirectory(prefix="genaiops-build-") as scratch:
        on_step("packages")
        installed = _install(spec, Path(scratch), base)
        package = _describe(spec, installed)
        on_step("layers")
        app = _app_files(package, installed, base)
        _refuse_secrets(app, spec.secrets)
        layers = _write_layers(layout, installed, app, Path(scratch), base)
        config = _image_config(package, base, spec)
        descriptor = layout.write_image(base, layers, config, reference=spec.tag)
        _write_docker_context(output / "docker", package, installed, app, base, config["Labels"])
    every = [*base.layers, *layers]
    return BuiltImage(
        package=package,
        image=descriptor["digest"],
        size_bytes=sum(layer.size for layer in every),
        added_bytes=sum(layer.size_unpacked for layer in layers),
        layout=output,
        layers=tuple(layers),
    )


def _install(spec: BuildSpec, scratch: Path, base: BaseImage) -> Installed:
    requirements = [*runtime_requirements(), *flow_requirements(spec.flow.requirements)]
    return install(requirements, scratch / "site", python_version=base.python_version, architecture=this_architecture())


def _describe(spec: BuildSpec, installed: Installed) -> Package:
    return describe_package(
        spec.flow,
        name=spec.name,
        init=spec.init,
        variables=spec.variables,
        sample_request=spec.sample_request,
        requirements=[*installed.lock, f"genaiops=={genaiops.__version__}"],
    )


def _app_files(package: Package, installed: Installed, base: BaseImage) -> list[Entry]:
    manifest = json.dumps(package.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    lock = "\n".join(installed.lock) + "\n"
    return [
        *(Entry(f"app/{file.path}", file.source, file.mode) for file in package.files),
        Entry(f"app/{MANIFEST}", manifest.encode("utf-8")),
        Entry("app/requirements.lock", lock.encode("utf-8")),
        Entry(f"app/{SBOM}", bill_of_materials(package, installed.folder, base).encode("utf-8")),
    ]


def _refuse_secrets(app: list[Entry], secrets: Sequence[str]) -> None:
    """A secret in an image can be read by whoever pulls it, for ever.

    Raises:
        InputError: A file holds one; all such files are named, the secret is not.
    """
    wanted = [secret.encode("utf-8") for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    found = []
    for entry in app:
        content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
        if any(secret in content for secret in wanted):
            found.append(entry.path.removeprefix("app/"))
    if found:
        raise InputError(
            f"The image is not built; a secret stands in: {', '.join(found)}.",
            hint="Write ${NAME} in its place and set the variable where the image runs.",
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
    ]
    return {
        "User": "10001:10001",
        "WorkingDir": "/app",
        "Env": environment,
        "Entrypoint": [base.python, "-m", "genaiops", "serve", "/app", "--host", "0.0.0.0", "--port", "8080"],  # noqa: S104 - inside a container
        "ExposedPorts": {"8080/tcp": {}},
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
            "genaiops.package": package.digest,
            "genaiops.flow.kind": package.kind,
            **(spec.labels or {}),
        },
    }


def _write_docker_context(
    folder: Path, package: Package, installed: Installed, app: list[Entry], base: BaseImage, labels: dict[str, str]
) -> None:
    """The same tree as files, with a Dockerfile, for those who build with an engine."""
    if folder.exists():
        shutil.rmtree(folder)
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
