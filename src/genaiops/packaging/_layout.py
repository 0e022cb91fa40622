"""OCI image layouts: `oci-layout`, `index.json` and `blobs/sha256/…` in a folder.

Source: OCI Image Format Specification 1.1, image layout, manifest, configuration.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import IO, Any, NamedTuple

from genaiops.errors import InputError
from genaiops.packaging._layers import Layer
from genaiops.records import record

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
REFERENCE = "org.opencontainers.image.ref.name"
# Stands on the index's entries that we write: a layout with other images in it is somebody else's.
PACKAGE_LABEL = "genaiops.package"


class SystemPackage(NamedTuple):
    """A package of a base's operating system."""

    distribution: str
    name: str
    version: str
    architecture: str


@record(frozen=True)
class BaseImage:
    """What an image is built on: layers that are in the layout already, and their configuration.

    Args:
        name: What the person asked for, for labels and messages.
        digest: Of the base's manifest, when it has one.
        layers: From the bottom up; `diff_id`s come from the configuration.
        config: The base's configuration (`config` of the image configuration).
        python: The interpreter's path inside the image.
        python_version: Its `major.minor`.
        packages: Of its operating system, where it tells.
    """

    name: str
    digest: str | None
    layers: tuple[Layer, ...]
    architecture: str
    python: str
    python_version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[SystemPackage, ...] = ()


class Layout:
    """An OCI image layout that is being written.

    Blobs come first; the image is in the layout once `publish` has named it. Until then the index is what it was.

    Args:
        folder: Made when missing; blobs that are there already are used again.

    Raises:
        InputError: The folder is in use for something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"
        _refuse_foreign(folder)
        self.blobs.mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n', encoding="utf-8")

    def remove_if_empty(self) -> None:
        """Leave no folder behind when nothing came to be in it."""
        if not any(self.blobs.iterdir()) and not (self.folder / "index.json").exists():
            shutil.rmtree(self.folder)

    def add_json(self, data: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        """Write a JSON blob and give its descriptor."""
        content = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_file(self, source: Path, digest: str) -> None:
        """Copy a blob in, once, and prove its digest.

        Raises:
            InputError: The bytes are not what the digest says.
        """
        target = self.blobs / digest.partition(":")[2]
        if target.exists():
            return
        with source.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            raise InputError(f"The blob {source} has the digest {found}; {digest} was expected.")
        shutil.copyfile(source, target)

    def write_image(self, base: BaseImage, layers: Sequence[Layer], config: Mapping[str, Any]) -> dict[str, Any]:
        """Write configuration and manifest, and give the manifest's descriptor, for `publish`.

        Everything in them follows from the files: there is no time of building.
        """
        every = [*base.layers, *layers]
        image_config = {
            "architecture": base.architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {**base.config, **config},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in every]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": layer.comment or "base"} for layer in every],
        }
        labels = dict(config.get("Labels") or {})
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.add_json(image_config, CONFIG_TYPE),
            "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in every],
            "annotations": labels,
        }
        return {
            **self.add_json(manifest, MANIFEST_TYPE),
            "annotations": {PACKAGE_LABEL: labels.get(PACKAGE_LABEL, "")},
            "platform": {"architecture": base.architecture, "os": "linux"},
        }

    def publish(self, descriptor: Mapping[str, Any], *, reference: str) -> None:
        """Name an image in the index, in place of the one that was there, and drop the blobs that it does not use."""
        entry = {**descriptor, "annotations": {**descriptor["annotations"], REFERENCE: reference}}
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}
        draft = self.folder / ".index.json"
        draft.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        draft.replace(self.folder / "index.json")
        manifest = read_blob(self.folder, descriptor["digest"])
        used = {descriptor["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        for blob in self.blobs.iterdir():
            if f"sha256:{blob.name}" not in used:
                blob.unlink()

    def write_archive(self, target: IO[bytes], *, digest: str, name: str) -> None:
        """An image as `docker load` and `podman load` take it, for engines that know no layouts.

        Source: Docker image specification 1.2, combined image archive (`manifest.json`).
        """
        manifest = read_blob(self.folder, digest)
        blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        places = [f"blobs/sha256/{blob.partition(':')[2]}" for blob in blobs]
        content = json.dumps([{"Config": places[0], "RepoTags": [name], "Layers": places[1:]}]).encode("utf-8")
        with tarfile.open(fileobj=target, mode="w|") as archive:
            for place in dict.fromkeys(places):
                archive.add(self.folder / place, place)
            header = tarfile.TarInfo("manifest.json")
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))


def _refuse_foreign(folder: Path) -> None:
    """What is in the folder is replaced: it must be a layout of ours, or empty."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"The output {folder} is a file; a folder is written.")
    index = folder / "index.json"
    if not (folder / "oci-layout").is_file():
        if any(folder.iterdir()):
            raise InputError(
                f"The output {folder} holds other files, and an image layout is written there.",
                hint="Name a folder that is new or empty, or one that an earlier build wrote.",
            )
    elif index.is_file():
        try:
            entries = json.loads(index.read_text(encoding="utf-8"))["manifests"]
            foreign = [item for item in entries if PACKAGE_LABEL not in (item.get("annotations") or {})]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{index} cannot be read: {error!r}.") from error
        if foreign:
            raise InputError(
                f"The layout {folder} holds images that genaiops did not build; they would be lost.",
                hint="Name another --output.",
            )


def read_layout(folder: Path, *, architecture: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The digest, manifest and configuration of the image in a layout.

    Raises:
        InputError: It is no layout, or has no image for this architecture.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not an OCI image layout: {error}.", hint="A layout holds index.json, oci-layout and blobs/."
        ) from error
    descriptor = choose_platform(index.get("manifests", []), architecture, str(folder))
    manifest = read_blob(folder, descriptor["digest"])
    if manifest.get("mediaType", descriptor.get("mediaType")) in (INDEX_TYPE, DOCKER_INDEX_TYPE):
        descriptor = choose_platform(manifest["manifests"], architecture, str(folder))
        manifest = read_blob(folder, descriptor["digest"])
    return descriptor["digest"], manifest, read_blob(folder, manifest["config"]["digest"])


def choose_platform(descriptors: Sequence[Mapping[str, Any]], architecture: str, where: str) -> Mapping[str, Any]:
    """The descriptor for Linux on this architecture; the only one when it does not say.

    Raises:
        InputError: There is none.
    """
    fitting = [
        item
        for item in descriptors
        if (item.get("platform") or {}).get("architecture", architecture) == architecture
        and (item.get("platform") or {}).get("os", "linux") == "linux"
    ]
    if not fitting:
        there = sorted({str((item.get("platform") or {}).get("architecture")) for item in descriptors})
        raise InputError(f"{where} has no image for linux/{architecture}; it has: {', '.join(there) or 'none'}.")
    return fitting[0]


def read_blob(folder: Path, digest: str) -> dict[str, Any]:
    """A JSON blob of a layout.

    Raises:
        InputError: It is missing or no JSON.
    """
    algorithm, _, name = digest.partition(":")
    if algorithm != "sha256" or not name.isalnum():
        raise InputError(f"Expected a digest sha256:…, found {digest[:80]!r}.")
    try:
        data: dict[str, Any] = json.loads((folder / "blobs" / "sha256" / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The blob {digest} of {folder} cannot be read: {error}.") from error
    return data
