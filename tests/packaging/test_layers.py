"""A layer follows from its files alone, and its files alone."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

from genaiops.packaging._layers import Entry, tree_entries, write_layer


def test_the_same_files_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    entries = [Entry("b/x", b"1"), Entry("a", b"2", 0o755), Entry("b/a", b"", link="x")]

    one = write_layer(entries, tmp_path / "one")
    two = write_layer(list(reversed(entries)), tmp_path / "two")

    assert one == two


def test_names_and_numbers_are_those_of_the_bytes(tmp_path: Path) -> None:
    layer = write_layer([Entry("app/a.txt", b"hello")], tmp_path)
    packed = (tmp_path / layer.digest.partition(":")[2]).read_bytes()

    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"
    assert (layer.size, layer.size_unpacked) == (len(packed), 5)


def test_folders_come_before_their_files_and_nothing_tells_when_or_by_whom(tmp_path: Path) -> None:
    layer = write_layer([Entry("app/lib/a.txt", b"hello")], tmp_path)

    with tarfile.open(tmp_path / layer.digest.partition(":")[2]) as archive:
        members = archive.getmembers()

    assert [(member.name, member.mtime, member.uid, member.uname) for member in members] == [
        ("app", 0, 0, ""),
        ("app/lib", 0, 0, ""),
        ("app/lib/a.txt", 0, 0, ""),
    ]


def test_a_tree_keeps_links_and_whether_a_file_may_be_executed(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "run.sh").chmod(0o750)
    (tmp_path / "link").symlink_to("run.sh")

    entries = {entry.path: entry for entry in tree_entries(tmp_path, "app")}

    assert (entries["app/run.sh"].mode, entries["app/link"].link) == (0o755, "run.sh")
