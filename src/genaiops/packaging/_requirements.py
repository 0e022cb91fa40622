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
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

import genaiops
from genaiops.errors import GenaiopsError

_TIMEOUT_S = 900
_SHOWN_LINES = 12
# Packages of prompt flow itself: our own layer stands in for them.
_PROMPT_FLOW = re.compile(r"^promptflow([-_.].*)?$", re.IGNORECASE)
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
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


@dataclass(frozen=True)
class Installed:
    """What was installed.

    Args:
        folder: The packages, as on an import path.
        lock: `name==version` of each, sorted.
    """

    folder: Path
    lock: tuple[str, ...]


def runtime_requirements() -> list[str]:
    """What the runtime rooms of this package need."""
    text = (Path(genaiops.__file__).parent / "runs" / "runtime-requirements.txt").read_text(encoding="utf-8")
    return _lines(text)


def flow_requirements(file: Path | None) -> list[str]:
    """A flow's own requirements, prompt flow's packages left out."""
    if file is None or not file.is_file():
        return []
    return [line for line in _lines(file.read_text(encoding="utf-8")) if not _is_prompt_flow(line)]


def _lines(text: str) -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _is_prompt_flow(line: str) -> bool:
    match = _NAME.match(line)
    return bool(match and _PROMPT_FLOW.match(match[1]))


def install(requirements: list[str], folder: Path, *, python_version: str, architecture: str) -> Installed:
    """Install packages for a Python version into a folder.

    Raises:
        GenaiopsError: They cannot be resolved or fetched; the installer's last lines are in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder.parent / "requirements.in"
    listed.write_text("\n".join(sorted(requirements)) + "\n", encoding="utf-8")
    command = _install_command(listed, folder, python_version, architecture)
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-_SHOWN_LINES:])
        raise GenaiopsError(
            f"The packages for the image could not be installed:\n{tail}",
            hint="Check requirements.txt and the package index that pip or uv uses.",
        )
    _clean(folder)
    lock = tuple(sorted(f"{_canonical(item)}=={item.version}" for item in distributions(path=[str(folder)])))
    return Installed(folder, lock)


def _install_command(listed: Path, folder: Path, python_version: str, architecture: str) -> list[str]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    uv = shutil.which("uv") or (f"{sys.executable} -m uv" if importlib.util.find_spec("uv") else None)
    if uv is not None:
        target = ["--python-version", python_version, "--python-platform", f"{machine}-manylinux_2_28"]
        install = (
            [*uv.split(" -m "), "pip", "install"]
            if " -m " not in uv
            else [sys.executable, "-m", "uv", "pip", "install"]
        )
        return [*install, "--quiet", "--target", str(folder), "--only-binary", ":all:", "--no-compile", *target,
                "-r", str(listed)]  # fmt: skip
    if importlib.util.find_spec("pip") is None:
        raise GenaiopsError("Neither uv nor pip is there to install packages.", hint="Install one: pip install uv")
    platforms = [f"manylinux_2_28_{machine}", f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]
    chosen = [option for name in platforms for option in ("--platform", name)]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
            "--target", str(folder), "--only-binary", ":all:", "--python-version", python_version, *chosen,
            "-r", str(listed)]  # fmt: skip


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
