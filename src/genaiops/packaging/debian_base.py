"""`python -m genaiops.packaging.debian_base`: a base image's root file system from Debian packages.

Python with its standard library, what compiled wheels expect, certificates and time zones, and nothing else: no shell,
no package manager. apt fetches the packages and checks their signatures; no script of theirs is run, nobody needs to
be root, and the same packages give the same archive.
"""

from __future__ import annotations

import argparse
import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from genaiops.errors import GenaiopsError, InputError
from genaiops.packaging._layers import Entry, write_tar

PACKAGES = ("base-files", "python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates", "tzdata")
# Asked for by the above for the sake of their installation scripts, which are not run.
LEFT_OUT = frozenset(
    {"debconf", "dpkg", "tar", "openssl", "mawk", "original-awk", "libacl1", "libmd0", "libpcre2-8-0", "libselinux1"}
)
_NOT_NEEDED = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/", "usr/share/info/",
               "usr/share/bug/", "usr/share/perl5/", "usr/share/debconf/")  # fmt: skip
_COPYRIGHT = "/copyright"
# Where /usr is the whole system, as on every Debian since 12.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CERTIFICATES = "usr/share/ca-certificates/"
_LAST_LINES = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the archive, print what is in it, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m genaiops.packaging.debian_base", description=__doc__.partition("\n\n")[2].replace("\n", " ")
    )
    parser.add_argument("archive", type=Path, help="the file to write: rootfs.tar or rootfs.tar.gz")
    parser.add_argument("--include", action="append", default=[], metavar="PACKAGE", help="one more package")
    parser.add_argument("--sources", type=Path, metavar="FILE", help="apt sources to use instead of this machine's")
    words = parser.parse_args(arguments)
    try:
        packages = write_debian_base(words.archive, include=words.include, sources=words.sources)
    except GenaiopsError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    sys.stdout.write("".join(f"{package}\n" for package in packages))
    sys.stdout.write(f"{words.archive}: {words.archive.stat().st_size / 1_000_000:.1f} MB; use it with: ")
    sys.stdout.write(f"genaiops build USE_CASE --base {words.archive}\n")
    return 0


def write_debian_base(archive: Path, *, include: Sequence[str] = (), sources: Path | None = None) -> list[str]:
    """Write a root file system for `genaiops build --base`.

    Args:
        archive: The file to write; compressed when its name ends in `.gz`.
        include: More packages, with what they depend on.
        sources: A file of apt sources, by default those of this machine.

    Returns:
        `NAME VERSION` of each package in it.

    Raises:
        GenaiopsError: apt is missing, does not know a package, or cannot fetch one.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise InputError(
                f"The program {program} is needed to make a base from Debian packages, and it is not here.",
                hint="Run this on Debian or Ubuntu, or name another base: genaiops build --help",
            )
    if sources is not None and not sources.is_file():
        raise InputError(f"The file of apt sources {sources} does not exist.")
    with tempfile.TemporaryDirectory(prefix="genaiops-base-") as scratch:
        files = _fetch([*PACKAGES, *include], Path(scratch), sources)
        wanted = {
            file: fields for file in files if (fields := _fields_of(file))[0] not in LEFT_OUT or fields[0] in include
        }
        found: dict[str, Entry] = {}
        for file, (name, _, control) in wanted.items():
            found |= {entry.path: entry for entry in _files_of(file)}
            # Where scanners look for the packages of images without dpkg.
            found[f"var/lib/dpkg/status.d/{name}"] = Entry(f"var/lib/dpkg/status.d/{name}", control)
        found |= {entry.path: entry for entry in _made_files(found.values())}
        content = io.BytesIO()
        write_tar(found.values(), content)
    data = content.getvalue()
    archive.write_bytes(gzip.compress(data, compresslevel=6, mtime=0) if archive.suffix == ".gz" else data)
    return sorted(f"{name} {version}" for name, version, _ in wanted.values())


def _fetch(packages: list[str], scratch: Path, sources: Path | None) -> list[Path]:
    """The packages and all that they depend on, as if nothing were installed."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    options = {
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    if sources is not None:
        options |= {
            "Dir::Etc::SourceList": sources.resolve(),
            "Dir::Etc::SourceParts": "-",
            "Dir::State": scratch / "state",
        }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    if sources is not None:
        _apt([*words, "update"])
    _apt([*words, "--yes", "--download-only", "install", *packages])
    return sorted((scratch / "cache/archives").glob("*.deb"))


def _apt(words: list[str]) -> None:
    result = subprocess.run(["apt-get", "-q", *words], capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith(("E:", "W:"))]
        last = "\n".join((lines or result.stdout.splitlines())[-_LAST_LINES:])
        raise GenaiopsError(
            f"apt-get cannot fetch the packages:\n{last}",
            hint="Is the list of packages there and fresh (apt-get update)? Are the names right?",
        )


def _fields_of(file: Path) -> tuple[str, str, bytes]:
    """Name, version and the whole description of a package."""
    control = subprocess.run(["dpkg-deb", "--field", str(file)], capture_output=True, check=True).stdout
    fields = dict(
        line.split(": ", 1) for line in control.decode("utf-8").splitlines() if line[:1].isalpha() and ": " in line
    )
    return fields["Package"], fields["Version"], control


def _files_of(file: Path) -> Iterable[Entry]:
    """A package's files and links, each where it stands when /usr is the whole system."""
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(file)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        for member in archive:
            path = _merged(member.name.removeprefix("./").strip("/"))
            if path.startswith(_NOT_NEEDED) and not path.endswith(_COPYRIGHT):
                continue
            if member.issym():
                yield Entry(path, b"", link=member.linkname)
            elif member.isfile() or member.islnk():
                content = archive.extractfile(member)
                assert content is not None
                yield Entry(path, content.read(), 0o755 if member.mode & 0o111 else 0o644)


def _merged(path: str) -> str:
    return f"usr/{path}" if path.partition("/")[0] in _MERGED and "/" in path else path


def _made_files(entries: Iterable[Entry]) -> Iterable[Entry]:
    """What the packages' scripts would have made."""
    every = list(entries)
    certificates = sorted(
        (entry for entry in every if entry.path.startswith(_CERTIFICATES) and entry.path.endswith(".crt")),
        key=lambda entry: entry.path,
    )
    bundle = b"".join(entry.content for entry in certificates if isinstance(entry.content, bytes))
    yield Entry("etc/ssl/certs/ca-certificates.crt", bundle)
    yield Entry("etc/passwd", b"root:x:0:0:root:/:/usr/sbin/nologin\nflow:x:10001:10001:flow:/app:/usr/sbin/nologin\n")
    yield Entry("etc/group", b"root:x:0:\nflow:x:10001:\n")
    yield Entry("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    yield Entry("tmp/.keep", b"")
    there = {entry.path.split("/")[1] for entry in every if entry.path.startswith("usr/")}
    for name in _MERGED:
        if name in there:
            yield Entry(name, b"", link=f"usr/{name}")


if __name__ == "__main__":
    raise SystemExit(main())
