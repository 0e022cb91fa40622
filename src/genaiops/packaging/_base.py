"""What an image is built on: a registry reference, an OCI layout, a root file system, or this machine's Python.

Nothing here needs Docker. `this-python` takes the interpreter that runs us with the libraries it needs, so that an
image can be built where there is neither a registry nor a container engine.
"""

from __future__ import annotations

import gzip
import hashlib
import platform
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from genaiops.errors import InputError
from genaiops.packaging._layers import LAYER_TYPE, Layer
from genaiops.packaging._layout import BaseImage, Layout, read_blob, read_layout

THIS_PYTHON = "this-python"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_INTERPRETER = re.compile(r"^(?:\./)?(usr/local/bin|usr/bin|opt/python/bin)/python3\.(\d+)$")


def this_architecture() -> str:
    """This machine's architecture in OCI's words."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def load_base(reference: str, layout: Layout) -> BaseImage:
    """Bring a base image into a layout.

    Args:
        reference: `this-python`, a folder (OCI layout), a file (`.tar`, `.tar.gz`: root file system), or
            `REGISTRY/NAME@sha256:…`.
        layout: Where its layers are copied to.

    Raises:
        InputError: It cannot be found, has no Python 3.11 or newer, or is a tag where a digest is needed.
    """
    if reference == THIS_PYTHON:
        from genaiops.packaging._this_python import base_from_this_python

        return base_from_this_python(layout, this_architecture())
    path = Path(reference).expanduser()
    if path.is_dir():
        return _from_layout(path, layout)
    if path.is_file():
        return _from_root_file_system(path, layout)
    if "@sha256:" in reference:
        from genaiops.packaging._registry import pull_image

        digest = pull_image(reference, layout, this_architecture())
        manifest = read_blob(layout.folder, digest)
        return _from_image(digest, manifest, read_blob(layout.folder, manifest["config"]["digest"]), layout, reference)
    raise InputError(
        f"The base image {reference!r} is neither a folder, a file, nor a registry reference with a digest.",
        hint=f"Write REGISTRY/NAME@sha256:DIGEST (a tag could be another image tomorrow), or {THIS_PYTHON}.",
    )


def _from_layout(folder: Path, layout: Layout) -> BaseImage:
    digest, manifest, config = read_layout(folder, architecture=this_architecture())
    for descriptor in manifest["layers"]:
        layout.add_file(folder / "blobs" / "sha256" / descriptor["digest"].partition(":")[2], descriptor["digest"])
    return _from_image(digest, manifest, config, layout, folder.resolve().name)


def _from_image(
    digest: str, manifest: Mapping[str, Any], config: Mapping[str, Any], layout: Layout, name: str
) -> BaseImage:
    """A base whose layers are in the layout already."""
    layers = []
    for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        media_type = descriptor["mediaType"].replace("application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_TYPE)
        layers.append(Layer(descriptor["digest"], diff_id, descriptor["size"], 0, media_type=media_type))
    archives = [layout.blobs / layer.digest.partition(":")[2] for layer in layers]
    python, version = _find_python(archives, name)
    return BaseImage(
        name=name,
        digest=digest,
        layers=tuple(layers),
        architecture=config.get("architecture", this_architecture()),
        python=python,
        python_version=version,
        config={key: config.get("config", {})[key] for key in ("Env",) if key in config.get("config", {})},
    )


def _from_root_file_system(archive: Path, layout: Layout) -> BaseImage:
    """One layer from a tar archive; it is packed again only when it is not compressed, always to the same bytes."""
    draft = layout.blobs / ".rootfs"
    plain = hashlib.sha256()
    try:
        with (
            _opened(archive) as source,
            draft.open("wb") as target,
            gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0) as zipped,
        ):
            while chunk := source.read(1 << 20):
                plain.update(chunk)
                zipped.write(chunk)
    except OSError as error:
        raise InputError(f"The root file system {archive} cannot be read: {error}.") from error
    with draft.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size = draft.stat().st_size
    target_path = layout.blobs / digest.partition(":")[2]
    shutil.move(draft, target_path)
    layer = Layer(digest, f"sha256:{plain.hexdigest()}", size, 0, comment=f"root file system {archive.name}")
    python, version = _find_python([target_path], str(archive))
    return BaseImage(archive.name, digest, (layer,), this_architecture(), python, version)


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(archive, "rb")) if is_gzip else archive.open("rb")


def _find_python(archives: list[Path], where: str) -> tuple[str, str]:
    """The newest interpreter in the layers, with its version."""
    found: dict[int, str] = {}
    for archive in archives:
        try:
            with tarfile.open(archive, "r|*") as layer:
                for member in layer:
                    match = _INTERPRETER.match(member.name)
                    if match:
                        found[int(match[2])] = "/" + member.name.removeprefix("./")
        except tarfile.TarError as error:
            raise InputError(f"The layer {archive.name} of {where} is no tar archive: {error}.") from error
    fitting = {minor: path for minor, path in found.items() if minor >= 11}
    if not fitting:
        there = ", ".join(f"3.{minor}" for minor in sorted(found)) or "none"
        raise InputError(f"The base image {where} needs Python 3.11 or newer; found: {there}.")
    minor = max(fitting)
    return fitting[minor], f"3.{minor}"
