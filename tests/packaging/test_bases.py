"""Every kind of base image: a layout, a root file system, a registry on loopback; and what each refuses."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import GenaiopsError, InputError
from genaiops.packaging import BaseImage, Layout, load_base, read_layout, this_architecture
from genaiops.packaging._dockerfile import dockerfile
from genaiops.packaging._layers import Entry, write_layer
from genaiops.packaging._package import Package

TOKEN = "t0ken-of-the-day"


def layout_with(folder: Path, python: str = "usr/bin/python3.12") -> tuple[Layout, str]:
    """A small image in a layout, with a file that stands for an interpreter."""
    layout = Layout(folder)
    layer = write_layer([Entry(python, b"elf", 0o755), Entry("etc/os-release", b"ID=x\n")], layout.blobs)
    base = BaseImage("none", None, (), this_architecture(), "/x", "3.12")
    descriptor = layout.write_image(base, [layer], {"Env": ["PATH=/usr/bin"]})
    layout.publish(descriptor, reference="b")
    return layout, descriptor["digest"]


def test_a_layout_becomes_a_base_with_its_layers_and_variables(tmp_path: Path) -> None:
    _, digest = layout_with(tmp_path / "base")

    base = load_base(str(tmp_path / "base"), Layout(tmp_path / "image"))

    assert (base.digest, base.python, base.python_version) == (digest, "/usr/bin/python3.12", "3.12")
    assert base.config == {"Env": ["PATH=/usr/bin"]}
    assert [(tmp_path / "image/blobs/sha256" / layer.digest[7:]).is_file() for layer in base.layers] == [True]


def test_a_layer_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    layout, _ = layout_with(tmp_path / "base")
    blob = max(layout.blobs.iterdir(), key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b")
    blob.write_bytes(blob.read_bytes() + b"\0")

    with pytest.raises(InputError, match="was expected"):
        load_base(str(tmp_path / "base"), Layout(tmp_path / "image"))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_root_file_system_becomes_one_layer_with_the_same_digest_each_time(tmp_path: Path, compressed: bool) -> None:
    archive = tmp_path / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("./usr/bin/python3.11")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"elf"))
    plain = archive.read_bytes()
    if compressed:
        archive.write_bytes(gzip.compress(plain))

    one = load_base(str(archive), Layout(tmp_path / "one"))
    two = load_base(str(archive), Layout(tmp_path / "two"))

    assert one.layers == two.layers
    assert one.layers[0].diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert (one.python, one.python_version) == ("/usr/bin/python3.11", "3.11")


def test_a_base_without_a_fitting_python_is_refused(tmp_path: Path) -> None:
    layout_with(tmp_path / "base", "usr/bin/python3.9")

    with pytest.raises(InputError, match=r"needs Python 3.11 or newer; found: 3.9"):
        load_base(str(tmp_path / "base"), Layout(tmp_path / "image"))


@pytest.mark.parametrize("reference", ["python:3.12-slim", "no/such/folder"])
def test_a_tag_is_refused_because_it_could_be_another_image_tomorrow(tmp_path: Path, reference: str) -> None:
    with pytest.raises(InputError, match="registry reference with a digest"):
        load_base(reference, Layout(tmp_path / "image"))


class Registry:
    """A registry that wants a token and sends on to a store for blobs, as the large ones do."""

    def __init__(self, layout: Layout, digest: str) -> None:
        self.layout, self.digest, self.spoiled = layout, digest, ""
        self.stored_with_token: list[bool] = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = request.path
        if path.startswith("/token"):
            self.send(request, 200, json.dumps({"token": TOKEN}).encode())
        elif path.startswith("/store/"):
            self.stored_with_token.append("authorization" in {name.lower() for name in request.headers})
            digest = path.rpartition("/")[2]
            content = (self.layout.blobs / digest.removeprefix("sha256:")).read_bytes()
            self.send(request, 200, content + (b"x" if digest == self.spoiled else b""))
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="http://{self.address}/token",service="here"'
            self.send(request, 401, b"{}", {"WWW-Authenticate": challenge})
        elif "/blobs/" in path:
            place = f"http://{self.address}/store/{path.rpartition('/')[2]}"
            self.send(request, 307, b"", {"Location": place})
        else:
            file = self.layout.blobs / path.rpartition("sha256:")[2]
            self.send(request, 200 if file.is_file() else 404, file.read_bytes() if file.is_file() else b"{}")

    def send(self, request: Any, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    layout, digest = layout_with(tmp_path / "base")
    found = Registry(layout, digest)
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_an_image_is_pulled_by_digest_with_a_token_that_only_the_registry_sees(
    registry: Registry, tmp_path: Path
) -> None:
    base = load_base(f"{registry.address}/team/base@{registry.digest}", Layout(tmp_path / "image"))

    assert (base.digest, base.python_version, len(base.layers)) == (registry.digest, "3.12", 1)
    assert registry.stored_with_token == [False, False]


def test_bytes_that_are_not_what_the_digest_says_are_refused(registry: Registry, tmp_path: Path) -> None:
    manifest = json.loads((registry.layout.blobs / registry.digest[7:]).read_bytes())
    registry.spoiled = manifest["layers"][0]["digest"]

    with pytest.raises(GenaiopsError, match="The registry sent sha256:"):
        load_base(f"{registry.address}/team/base@{registry.digest}", Layout(tmp_path / "image"))


def test_an_image_that_is_not_there_is_said(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(GenaiopsError, match="answered 404"):
        load_base(f"{registry.address}/team/base@sha256:{'0' * 64}", Layout(tmp_path / "image"))


def test_a_dockerfile_names_a_base_that_an_engine_can_fetch(tmp_path: Path) -> None:
    package = Package(name="p", flow="flow", kind="graph", digest="sha256:0")
    here = BaseImage("this-python", None, (), "amd64", "/opt/python/bin/python3.12", "3.12")
    there = BaseImage(f"r.example/p@sha256:{'0' * 64}", None, (), "amd64", "/usr/bin/python3.12", "3.12")

    assert "ARG BASE=docker.io/library/python:3.12-slim\nFROM ${BASE}\n" in dockerfile(package, here, labels={"a": "b"})
    assert f"\nFROM {there.name}\n" in dockerfile(package, there, labels={"a": "b"})


def test_an_image_is_in_the_layout_only_once_it_is_published(tmp_path: Path) -> None:
    layout, first = layout_with(tmp_path / "image")
    layer = write_layer([Entry("usr/bin/python3.13", b"elf", 0o755)], layout.blobs)
    base = BaseImage("none", None, (), this_architecture(), "/x", "3.13")

    descriptor = layout.write_image(base, [layer], {})
    before = read_layout(layout.folder, architecture=this_architecture())[0]
    layout.publish(descriptor, reference="b")
    after = read_layout(layout.folder, architecture=this_architecture())[0]

    assert (before, after) == (first, descriptor["digest"])
    assert len(list(layout.blobs.iterdir())) == 3, "manifest, configuration and layer of the image that is there now"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "mine").write_text("x", encoding="utf-8")

    with pytest.raises(InputError, match="holds other files"):
        Layout(tmp_path)


def test_a_layout_with_images_of_others_is_left_alone(tmp_path: Path) -> None:
    layout_with(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    del index["manifests"][0]["annotations"]
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")

    with pytest.raises(InputError, match="did not build"):
        Layout(tmp_path)


def test_an_archive_for_engines_holds_the_image_of_the_layout(tmp_path: Path) -> None:
    layout, digest = layout_with(tmp_path / "base")
    target = io.BytesIO()

    layout.write_archive(target, digest=digest, name="localhost/x:1")

    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        names = archive.getnames()
        listed = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert listed[0]["RepoTags"] == ["localhost/x:1"]
    assert [listed[0]["Config"], *listed[0]["Layers"], "manifest.json"] == names
