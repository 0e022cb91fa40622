"""A package's digest changes with names, modes and bytes, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import InputError
from genaiops.packaging import collect_files, content_digest


def make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def digest(folder: Path) -> str:
    return content_digest(collect_files(folder))


def test_a_rename_a_byte_and_a_mode_each_change_the_digest(tmp_path: Path) -> None:
    original = digest(make(tmp_path / "a", one="x", two="y"))

    renamed = digest(make(tmp_path / "b", one="x", three="y"))
    edited = digest(make(tmp_path / "c", one="x", two="z"))
    (make(tmp_path / "d", one="x", two="y") / "one").chmod(0o755)
    executable = digest(tmp_path / "d")

    assert len({original, renamed, edited, executable}) == 4


def test_caches_do_not_change_the_digest(tmp_path: Path) -> None:
    folder = make(tmp_path, one="x")
    before = digest(folder)

    for cache in ("__pycache__", ".promptflow", ".genaiops"):
        (folder / cache).mkdir()
        (folder / cache / "left.over").write_text("log", encoding="utf-8")
    (folder / "one.pyc").write_bytes(b"")

    assert digest(folder) == before


def test_an_image_built_into_the_flows_folder_is_no_part_of_the_flow(tmp_path: Path) -> None:
    folder = make(tmp_path, one="x")
    before = digest(folder)

    make(folder, **{"image__oci-layout": "{}", "image__blobs__sha256__0": "layer"})

    assert digest(folder) == before


def test_secrets_in_dotenv_files_stay_behind_and_samples_come_along(tmp_path: Path) -> None:
    for name in (".env", ".env.local", ".env.sample"):
        (tmp_path / name).write_text("KEY=s3cret\n", encoding="utf-8")

    assert [file.path for file in collect_files(tmp_path)] == [".env.sample"]


def test_ignored_files_stay_behind(tmp_path: Path) -> None:
    make(tmp_path, keep="x", notes="y")
    (tmp_path / ".gitignore").write_text("# mine\n/notes\n*.tmp\n", encoding="utf-8")
    (tmp_path / "a.tmp").write_text("z", encoding="utf-8")

    assert [file.path for file in collect_files(tmp_path)] == [".gitignore", "keep"]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.write_text("x", encoding="utf-8")
    folder = make(tmp_path / "flow", one="x")
    (folder / "two").symlink_to(secret)

    with pytest.raises(InputError, match="outside of the flow's folder"):
        collect_files(folder)
