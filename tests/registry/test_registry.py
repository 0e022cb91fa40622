"""Registration is conditional on content; names have versions and aliases."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from genaiops.errors import DataError
from genaiops.registry import FileRegistry, tree_digest, tree_files


def make_tree(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"one")
    (folder / "sub/b.txt").write_bytes(b"two")
    return folder


def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")

    assert tree_digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_the_digest_of_a_folder_is_defined_by_paths_modes_and_bytes(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "t")
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))

    expected = hashlib.sha256(f"a.txt\0-\0{one}\nsub/b.txt\0-\0{two}\n".encode()).hexdigest()

    assert tree_digest(folder) == expected


@pytest.mark.parametrize("change", ["rename", "move", "edit", "add", "mode"])
def test_every_change_of_the_content_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = make_tree(tmp_path / "t")
    before = tree_digest(folder)

    if change == "rename":
        (folder / "a.txt").rename(folder / "c.txt")
    elif change == "move":
        (folder / "a.txt").rename(folder / "sub/a.txt")
    elif change == "edit":
        (folder / "a.txt").write_bytes(b"onf")
    elif change == "add":
        (folder / "empty").write_bytes(b"")
    else:
        (folder / "a.txt").chmod(0o755)

    assert tree_digest(folder) != before


def test_caches_and_times_do_not_change_the_digest(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "t")
    before = tree_digest(folder)

    (folder / "sub/__pycache__").mkdir()
    (folder / "sub/__pycache__/b.pyc").write_bytes(b"x")
    (folder / ".promptflow").mkdir()
    (folder / ".promptflow/flow.tools.json").write_text("{}")
    os.utime(folder / "a.txt", (1, 1))

    assert tree_digest(folder) == before
    assert tree_files(folder) == ["a.txt", "sub/b.txt"]


@hypothesis_settings(deadline=None, max_examples=25)
@given(names=st.lists(st.text("abcXYZ_é", min_size=1, max_size=5), min_size=1, max_size=6, unique_by=str.casefold))
def test_the_order_in_which_files_were_made_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    for folder, order in ((first, names), (second, names[::-1])):
        for name in order:
            (folder / name).write_text(name)

    assert tree_digest(first) == tree_digest(second)


def test_registering_twice_gives_one_version_and_a_changed_byte_a_second(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path / "registry", clock=lambda: datetime(2026, 1, 2, tzinfo=UTC))

    first = registry.register("dataset", "pages", "d1", source="data/pages.jsonl")
    again = registry.register("dataset", "pages", "d1")
    changed = registry.register("dataset", "pages", "d2")

    assert [(v.version, v.is_new) for v in (first, again, changed)] == [(1, True), (1, False), (2, True)]
    assert registry.get("dataset", "pages").version == 2
    assert registry.get("dataset", "pages", 1).source == "data/pages.jsonl"
    assert first.created == "2026-01-02T00:00:00+00:00"


def test_an_alias_names_a_version(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    registry.register("experiment", "web", "d1")
    registry.register("experiment", "web", "d2")

    registry.set_alias("experiment", "web", "champion", 1)

    assert registry.get("experiment", "web", "champion").digest == "d1"
    assert registry.aliases("experiment", "web") == {"champion": 1}
    with pytest.raises(DataError):
        registry.set_alias("experiment", "web", "champion", 9)


def test_unknown_names_and_versions_are_told_with_the_nearest(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    registry.register("dataset", "pages", "d")

    with pytest.raises(DataError) as caught:
        registry.get("dataset", "pgaes")
    assert caught.value.hint == "Did you mean 'pages'?"
    with pytest.raises(DataError):
        registry.get("dataset", "pages", 7)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 200, "a."])
def test_a_name_never_leaves_the_registry(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError):
        FileRegistry(tmp_path).register("dataset", name, "d")


def test_many_processes_register_without_losing_a_version(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from genaiops.registry import FileRegistry\n"
        "r = FileRegistry(Path(sys.argv[1]))\n"
        "for i in range(10): r.register('dataset', 'x', f'{sys.argv[2]}-{i}')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    versions = FileRegistry(tmp_path).versions("dataset", "x")
    assert [version.version for version in versions] == list(range(1, 31))
