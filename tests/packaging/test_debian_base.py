"""A base from Debian packages: made from real packages where apt is, and from one of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from genaiops.packaging import Layout, load_base
from genaiops.packaging._layers import Entry
from genaiops.packaging.debian_base import _files_of, _made_files, main, write_debian_base

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")


@needs_dpkg
def test_files_stand_below_usr_and_documents_stay_behind(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in ("DEBIAN", "lib/x", "usr/bin", "usr/share/doc/p", "usr/share/man/man1"):
        (tree / path).mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n", encoding="utf-8"
    )
    (tree / "lib/x/libp.so").write_bytes(b"elf")
    (tree / "usr/bin/p").write_text("#!/bin/sh\n", encoding="utf-8")
    (tree / "usr/bin/p").chmod(0o4755)
    (tree / "usr/bin/q").symlink_to("p")
    (tree / "usr/share/doc/p/copyright").write_text("MIT", encoding="utf-8")
    (tree / "usr/share/doc/p/changelog").write_text("1", encoding="utf-8")
    (tree / "usr/share/man/man1/p.1").write_text("p", encoding="utf-8")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(tmp_path / "p.deb")], check=True)

    entries = {entry.path: entry for entry in _files_of(tmp_path / "p.deb")}

    assert sorted(entries) == ["usr/bin/p", "usr/bin/q", "usr/lib/x/libp.so", "usr/share/doc/p/copyright"]
    assert entries["usr/bin/p"].mode == 0o755, "nothing runs as somebody else"
    assert entries["usr/bin/q"].link == "p"


def test_what_installation_scripts_would_have_made_is_made() -> None:
    given = [Entry("usr/share/ca-certificates/m/b.crt", b"B\n"), Entry("usr/share/ca-certificates/m/a.crt", b"A\n")]

    made = {entry.path: entry for entry in _made_files([*given, Entry("usr/lib/x", b"")])}

    assert made["etc/ssl/certs/ca-certificates.crt"].content == b"A\nB\n"
    assert made["lib"].link == "usr/lib"
    assert b"10001" in bytes(made["etc/passwd"].content)


def test_sources_that_do_not_exist_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "r.tar"), "--sources", str(tmp_path / "none")]) == 2

    assert "error:" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_base_made_twice_is_the_same_and_has_a_python_that_works(tmp_path: Path) -> None:
    lists = Path("/var/lib/apt/lists")
    if shutil.which("apt-get") is None or not lists.is_dir() or not any(lists.glob("*_Packages*")):
        pytest.skip("no apt with a list of packages")

    packages = write_debian_base(tmp_path / "one.tar.gz")
    write_debian_base(tmp_path / "two.tar.gz")

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    base = load_base(str(tmp_path / "one.tar.gz"), Layout(tmp_path / "image"))
    assert {f"{item.name} {item.version}" for item in base.packages} == set(packages)
    assert {item.distribution for item in base.packages} <= {"debian", "ubuntu"}
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        archive.extractall(tmp_path / "root", filter="tar")
    if os.geteuid() == 0:
        script = "import ctypes, lzma, sqlite3, ssl, zoneinfo; print(zoneinfo.ZoneInfo('Asia/Tokyo'))"
        shown = subprocess.run(
            ["chroot", str(tmp_path / "root"), base.python, "-c", script], capture_output=True, text=True, check=True
        )
        assert shown.stdout.strip() == "Asia/Tokyo"
