"""A base image from the Python that runs us: its binary, standard library and the shared libraries they need.

Only the standard library comes along, no installed package. Linux only: the image is a Linux image.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from genaiops.errors import InputError
from genaiops.packaging._layers import Entry, write_layer
from genaiops.packaging._layout import BaseImage, Layout

_HOME = "opt/python"
# Never needed by a server: the tests of Python itself, its editor, its installers, its headers.
_LEFT_OUT = frozenset({"test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3", "site-packages", "tkinter"})
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x[0-9a-f]+\)")
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# Not needed by Python itself: name resolution, which is loaded by name, and what compiled wheels may expect of every
# Linux (the list of the manylinux policy that concerns glibc and the compilers' run-time libraries).
_BY_NAME = (
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libresolv.so.2",
    "librt.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "libutil.so.1",
    "libm.so.6",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)


def base_from_this_python(layout: Layout, architecture: str) -> BaseImage:
    """One layer with the interpreter under `/opt/python`.

    Raises:
        InputError: This is not Linux, or `ldd` is missing.
    """
    if sys.platform != "linux":
        raise InputError(
            f"The base image 'this-python' needs Linux; this is {sys.platform}.",
            hint="Name a base image: a registry reference with a digest, an OCI layout or a root file system.",
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    entries = _entries(version)
    layer = write_layer(entries, layout.blobs, comment=f"Python {sys.version.split()[0]} and the libraries it needs")
    environment = [f"PATH=/{_HOME}/bin:/usr/local/bin:/usr/bin:/bin", f"LD_LIBRARY_PATH=/{_HOME}/lib", "LANG=C.UTF-8"]
    config = {"Env": environment}
    return BaseImage("this-python", None, (layer,), architecture, f"/{_HOME}/bin/python{version}", version, config)


def _entries(version: str) -> list[Entry]:
    binary = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    files = {f"{_HOME}/bin/python{version}": (binary, 0o755)}
    for path in sorted(library.rglob("*")):
        parts = path.relative_to(library).parts
        if path.is_file() and not _LEFT_OUT.intersection(parts) and "__pycache__" not in parts and path.suffix != ".a":
            files[f"{_HOME}/lib/python{version}/{'/'.join(parts)}"] = (path.resolve(), 0o644)
    entries = [Entry(place, source, mode) for place, (source, mode) in files.items()]
    binaries = [binary, *(path for path, _ in files.values() if path.suffix == ".so")]
    entries += [Entry(_place(path), path.resolve(), 0o755) for path in _libraries(binaries)]
    certificates = next((Path(path) for path in _CERTIFICATES if Path(path).is_file()), None)
    if certificates is not None:
        entries.append(Entry("etc/ssl/certs/ca-certificates.crt", certificates.resolve()))
    return [
        *entries,
        Entry("etc/passwd", b"root:x:0:0:root:/:/sbin/nologin\nflow:x:10001:10001:flow:/app:/sbin/nologin\n"),
        Entry("etc/group", b"root:x:0:\nflow:x:10001:\n"),
        Entry("etc/nsswitch.conf", b"hosts: files dns\n"),
        Entry("tmp/.keep", b""),
        Entry(f"{_HOME}/bin/python3", b"", link=f"python{version}"),
        Entry("usr/bin/python3", b"", link=f"/{_HOME}/bin/python{version}"),
    ]


def _place(library: Path) -> str:
    """System libraries keep their place; those of this Python's own installation come to it in the image."""
    if library.resolve().is_relative_to(Path(sys.base_prefix).resolve()):
        return f"{_HOME}/lib/{library.name}"
    return str(library).lstrip("/")


def _libraries(binaries: list[Path]) -> list[Path]:
    """Every shared library that the binaries load, the dynamic linker included."""
    try:
        shown = subprocess.run(
            ["ldd", *map(str, binaries)], capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except FileNotFoundError as error:
        raise InputError(
            "The program 'ldd' is needed to find the libraries of this Python and is not installed.",
            hint="Install it (it comes with glibc), or name another base image.",
        ) from error
    found = {Path(match) for match in _LIBRARY.findall(shown)}
    for library in list(found):
        found.update(path for name in _BY_NAME if (path := library.parent / name).is_file())
    return sorted(found)
