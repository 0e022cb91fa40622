"""A package index in a folder and a base of a few bytes: builds that take a second and need no network."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from genaiops.packaging import BaseImage, Layout, this_architecture
from genaiops.packaging._layers import Entry, write_layer
from genaiops.runs import runtime_requirements


def write_wheel(index: Path, name: str, version: str) -> None:
    """A package of one line, in an index as an installer reads it.

    Source: binary distribution format 1.0, simple repository API.
    """
    module = name.replace("-", "_").replace(".", "_")
    information = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"__version__ = {version!r}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{information}/RECORD"])
    folder = index / name.replace(".", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>", encoding="utf-8")


@pytest.fixture
def package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wheels of all that a server needs; uv and pip look nowhere else."""
    folder = tmp_path / "simple"
    for line in runtime_requirements([]):
        name, _, version = line.partition(";")[0].strip().partition("==")
        write_wheel(folder, name, version)
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, folder.as_uri())
    for name in ("UV_INDEX", "UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def small_base(tmp_path: Path) -> Path:
    """A base whose interpreter is a file of three bytes."""
    layout = Layout(tmp_path / "base")
    layer = write_layer([Entry("usr/bin/python3.12", b"elf", 0o755)], layout.blobs)
    nothing = BaseImage("none", None, (), this_architecture(), "/usr/bin/python3.12", "3.12")
    layout.publish(layout.write_image(nothing, [layer], {"Env": ["PATH=/usr/bin"]}), reference="base")
    return layout.folder
