"""The packages that a served flow needs, installed into a folder and written down to the last version."""

from __future__ import annotations

import compileall
import contextlib
import importlib.util
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

import genaiops
from genaiops.errors import GenaiopsError
from genaiops.records import record
from genaiops.runs import runtime_requirements

_TIMEOUT_S = 900
_SHOWN_LINES = 12
# An index's address may hold a password; installers show the address.
_CREDENTIALS = re.compile(r"(://)[^/\s@]+@")
# Rooms that a server never opens.
_ROOMS_LEFT_OUT = (
    "experiments",
    "evaluators",
    "stats",
    "reports",
    "gates",
    "audits",
    "scaffold",
    "deployment",
    "abtests",
)


@record(frozen=True)
class Installed:
    """What was installed.

    Args:
        folder: The packages, as on an import path.
        lock: `name==version` of each, sorted.
    """

    folder: Path
    lock: tuple[str, ...]


def install(requirements: Sequence[str], folder: Path, *, python_version: str, architecture: str) -> Installed:
    """Install what a server needs and what a flow asks for, for a Python version, into a folder.

    Args:
        requirements: What the flow asks for.
        folder: Made here.
        python_version: `major.minor` of the image.
        architecture: Of the image, in OCI's words.

    Raises:
        GenaiopsError: They cannot be resolved or fetched; the installer's last lines are in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = _install_command(folder, python_version, architecture)
    result = _run_installer(command, [*runtime_requirements(requirements), *requirements], folder)
    if result.returncode and requirements:
        # What the flow pins may not go with our pins; then its own choice wins.
        result = _run_installer(command, [*runtime_requirements(requirements, pinned=False), *requirements], folder)
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-_SHOWN_LINES:])
        tail = _CREDENTIALS.sub(r"\1******@", tail)
        raise GenaiopsError(
            f"The packages for the image could not be installed:\n{tail}",
            hint="Check the flow's requirements.txt and the package index that pip or uv uses. Packages without a "
            "wheel for the image's Python and architecture cannot be installed.",
        )
    _clean(folder)
    lock = tuple(sorted(f"{_canonical(item)}=={item.version}" for item in distributions(path=[str(folder)])))
    return Installed(folder, lock)


def _run_installer(command: list[str], requirements: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    listed = folder.parent / "requirements.in"
    listed.write_text("\n".join(sorted(requirements)) + "\n", encoding="utf-8")
    command = [*command, "-r", str(listed)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)


def find_installer() -> list[str]:
    """The command of `uv pip` or `pip`, whichever is there; uv is faster.

    Raises:
        GenaiopsError: Neither is.
    """
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "pip"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Any pip will do: it installs for the image's Python, not for its own.
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip]
    raise GenaiopsError("Neither uv nor pip is there to install packages.", hint="Install one: pip install uv")


def _install_command(folder: Path, python_version: str, architecture: str) -> list[str]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    installer = find_installer()
    command = [*installer, "install", "--quiet", "--target", str(folder), "--only-binary", ":all:", "--no-compile",
               "--python-version", python_version]  # fmt: skip
    if Path(installer[0]).stem == "uv" or "uv" in installer:
        return [*command, "--python-platform", f"{machine}-manylinux_2_28"]
    platforms = [f"manylinux_2_28_{machine}", f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]
    chosen = [option for name in platforms for option in ("--platform", name)]
    return [*command, "--disable-pip-version-check", "--no-input", *chosen]


def _canonical(distribution: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def _clean(folder: Path) -> None:
    """Take out what differs between two installations of the same packages, and what no server needs."""
    for name in ("direct_url.json", "INSTALLER", "REQUESTED", "RECORD", "uv_cache.json"):
        for path in folder.glob(f"*.dist-info/{name}"):
            path.unlink()
    shutil.rmtree(folder / "bin", ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / ".lock").unlink()
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    for tests in [path for name in ("tests", "test") for path in folder.glob(f"*/{name}") if path.is_dir()]:
        shutil.rmtree(tests)


def copy_genaiops(folder: Path) -> None:
    """Our own package, without the rooms that a server never opens."""
    source = Path(genaiops.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")

    def ignore(directory: str, names: list[str]) -> set[str]:
        left_out = set(ignored(directory, names))
        return left_out | {name for name in names if Path(directory) == source and name in _ROOMS_LEFT_OUT}

    shutil.copytree(source, folder / "genaiops", ignore=ignore, dirs_exist_ok=True)
    information = folder / f"genaiops-{genaiops.__version__}.dist-info"
    information.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: genaiops\nVersion: {genaiops.__version__}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")


def compile_folder(folder: Path, place: str, *, python_version: str) -> bool:
    """Compile to bytecode that is trusted without looking at times, so that a read-only image starts fast.

    Args:
        folder: What to compile.
        place: Where it will stand in the image; tracebacks name it.
        python_version: Of the image.

    Returns:
        Whether it was done: only the Python version that runs us can be compiled for.
    """
    if python_version != f"{sys.version_info.major}.{sys.version_info.minor}":
        return False
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=1,
        stripdir=str(folder),
        prependdir=place,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return True
