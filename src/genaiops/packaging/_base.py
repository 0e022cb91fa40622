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
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from genaiops.errors import InputError
from genaiops.packaging._layers import LAYER_TYPE, Layer
from genaiops.packaging._layout import BaseImage, Layout, SystemPackage, read_blob, read_layout

THIS_PYTHON = "this-python"
_NOTHING: Mapping[str, str] = {}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_DPKG = "var/lib/dpkg/status"
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_INTERPRETER = re.compile(r"^(?:\./)?(usr/local/bin|usr/bin|opt/python/bin)/python3\.(\d+)$")


def this_architecture() -> str:
    """This machine's architecture in OCI's words."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def load_base(reference: str, layout: Layout, environ: Mapping[str, str] = _NOTHING) -> BaseImage:
    """Bring a base image into a layout.

    Args:
        reference: `this-python`, a folder (OCI layout), a file (`.tar`, `.tar.gz`: root file system), or
            `REGISTRY/NAME@sha256:…`.
        layout: Where its layers are copied to.
        environ: The surroundings, which know how to sign in to a registry.

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

        digest = pull_image(reference, layout, this_architecture(), environ)
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
    inside = _look_into(archives, name)
    return BaseImage(
        name=name,
        digest=digest,
        layers=tuple(layers),
        architecture=config.get("architecture", this_architecture()),
        python=inside.python,
        python_version=inside.python_version,
        packages=inside.packages,
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
    except (OSError, EOFError, zlib.error) as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"The root file system {archive} cannot be read: {error}.") from error
    with draft.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size = draft.stat().st_size
    target_path = layout.blobs / digest.partition(":")[2]
    shutil.move(draft, target_path)
    layer = Layer(digest, f"sha256:{plain.hexdigest()}", size, 0, comment=f"root file system {archive.name}")
    inside = _look_into([target_path], str(archive))
    return BaseImage(
        name=archive.name,
        digest=digest,
        layers=(layer,),
        architecture=this_architecture(),
        python=inside.python,
        python_version=inside.python_version,
        packages=inside.packages,
    )


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(archive, "rb")) if is_gzip else archive.open("rb")


class _Inside(NamedTuple):
    """What a base holds that matters here."""

    python: str
    python_version: str
    packages: tuple[SystemPackage, ...]


def _look_into(archives: list[Path], where: str) -> _Inside:
    """The newest interpreter in the layers, and the system's packages as its package manager lists them."""
    interpreters: dict[int, str] = {}
    lists: dict[str, str] = {}
    distribution = "linux"
    for archive in archives:
        try:
            with tarfile.open(archive, "r|*") as layer:
                for member in layer:
                    name = member.name.removeprefix("./")
                    match = _INTERPRETER.match(name)
                    if match:
                        interpreters[int(match[2])] = "/" + name
                    elif member.isfile() and (name == _DPKG or name.startswith(f"{_DPKG}.d/")):
                        lists[name] = _text(layer, member)
                    elif member.isfile() and name in _OS_RELEASE:
                        found = re.search(r"^ID=\"?([a-z0-9._-]+)", _text(layer, member), re.MULTILINE)
                        distribution = found[1] if found else distribution
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"The layer {archive.name} of {where} cannot be read as a tar archive: {error}.",
                hint="Layers have to be packed with gzip or not at all.",
            ) from error
    fitting = {minor: path for minor, path in interpreters.items() if minor >= 11}
    if not fitting:
        there = ", ".join(f"3.{minor}" for minor in sorted(interpreters)) or "none"
        raise InputError(f"The base image {where} needs Python 3.11 or newer; found: {there}.")
    minor = max(fitting)
    return _Inside(fitting[minor], f"3.{minor}", tuple(_packages_in(lists.values(), distribution)))


def _text(layer: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = layer.extractfile(member)
    return content.read().decode("utf-8", "replace") if content is not None else ""


def _packages_in(lists: Iterable[str], distribution: str) -> list[SystemPackage]:
    """Source: deb-control(5): paragraphs of `Field: value` lines."""
    found = set()
    for paragraph in "\n\n".join(lists).split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status|Architecture): (.*)$", paragraph, re.MULTILINE))
        is_installed = fields.get("Status", "install ok installed").endswith(" installed")
        if "Package" in fields and "Version" in fields and is_installed:
            found.add(
                SystemPackage(distribution, fields["Package"], fields["Version"], fields.get("Architecture", "all"))
            )
    return sorted(found)
