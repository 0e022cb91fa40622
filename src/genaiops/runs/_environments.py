"""An interpreter for a flow: this one when it has what the flow needs, else an environment made for it, and kept.

The packages of prompt flow are left out, because this package stands in for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genaiops import errors
from genaiops.errors import Interrupted, SettingsError
from genaiops.runs._brought_along import brought_along
from genaiops.runs._lock import FolderLock
from genaiops.runs._spec import FlowRequest
from genaiops.settings import Settings, state_folder

if TYPE_CHECKING:
    from genaiops.runs._setup import FlowSource

_log = logging.getLogger(__name__)
_STANDS_IN_FOR = re.compile(
    r"promptflow([-_.].*)?|promptflow[-_]?(core|devkit|tracing|tools|evals|azure)", re.IGNORECASE
)
_FILE_KEY = re.compile(r"^\s*python_requirements_txt\s*:\s*['\"]?([^'\"#\n]+?)['\"]?\s*(?:#.*)?$", re.MULTILINE)
_NAME_END = re.compile(r"[\s\[<>=!~;@]")
_SHOWN_LINES = 15
_BUILD_S = 1800
_READY = ".ready"
RUNTIME_LIST = Path(__file__).with_name("runtime-requirements.txt")


def host_python(request: FlowRequest, source: FlowSource, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The interpreter of a flow's host, and variables that it needs beside the usual ones.

    Raises:
        SettingsError: The environment that was named is none, or one cannot be built.
    """
    choice = str(request.environment)
    if choice == "current":
        return [sys.executable], {}
    if choice != "auto":
        python = _interpreter_in(Path(choice))
        return [str(python)], _path_for(python)
    file = requirements_file(source)
    wanted = flow_requirements(source)
    missing = unmet(wanted)
    if file is None or not missing:
        return [sys.executable], {}
    _log.info("This Python lacks %s; the flow gets an environment of its own.", ", ".join(missing))
    python = build_environment(wanted, settings, file)
    return [str(python)], {}


def requirements_file(source: FlowSource) -> Path | None:
    """The requirements of a flow: those that its file names, else `requirements.txt` beside it."""
    place = Path(source.source)
    flow_files = [place] if place.is_file() else sorted(place.glob("flow.*.y*ml")) if place.is_dir() else []
    for flow_file in flow_files:
        match = _FILE_KEY.search(flow_file.read_text(encoding="utf-8", errors="replace"))
        if match is not None and (named := flow_file.parent / match[1].strip()).is_file():
            return named
    beside = source.folder / "requirements.txt"
    return beside if beside.is_file() and flow_files else None


def flow_requirements(source: FlowSource) -> list[str]:
    """What a flow asks for, with what it got from prompt flow's packages without asking."""
    file = requirements_file(source)
    if file is None:
        return []
    wanted = read_requirements(file)
    return wanted + [text for text in brought_along(source.folder, file) if _name_of(text) not in map(_name_of, wanted)]


def read_requirements(file: Path, seen: frozenset[Path] = frozenset()) -> list[str]:
    """The requirements in a file and those it includes, without prompt flow's packages and pip's options."""
    found: list[str] = []
    seen |= {file.resolve()}
    text = re.sub(r"\\\r?\n\s*", "", file.read_text(encoding="utf-8-sig"))
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if line.startswith(("-r ", "--requirement ")):
            other = (file.parent / line.split(maxsplit=1)[1]).resolve()
            if other.is_file() and other not in seen:
                found += read_requirements(other, seen)
        elif line and not line.startswith("-") and not _STANDS_IN_FOR.fullmatch(_NAME_END.split(line, maxsplit=1)[0]):
            found.append(line)
    return found


def unmet(requirements: Sequence[str]) -> list[str]:
    """Those that this interpreter does not satisfy."""
    if not requirements:
        return []
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    missing = []
    for text in requirements:
        try:
            wanted = Requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate():
                continue
            if wanted.url is not None or not wanted.specifier.contains(version(wanted.name), prereleases=True):
                missing.append(text)
        except (InvalidRequirement, PackageNotFoundError):
            missing.append(text)
    return missing


def build_environment(
    requirements: Sequence[str],
    settings: Settings,
    file: Path,
    *,
    run: Callable[[list[str]], subprocess.CompletedProcess[str]] | None = None,
) -> Path:
    """The interpreter of a kept environment with these requirements, made when there is none.

    Raises:
        SettingsError: It cannot be built; the message ends with what the installer said.
    """
    run = run or _run
    folder = state_folder(settings, "environments") / environment_key(requirements)
    python = _python_of(folder)
    if _is_current(folder):
        return python
    lock = FolderLock(folder.with_suffix(".lock"), what=f"The environment for {file}")
    with _waiting(lock):
        if not (folder / _READY).is_file():
            _log.warning(
                "building an environment for %s (once, this may take minutes): %s", file, ", ".join(requirements)
            )
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, requirements, file, run)
        elif not _is_current(folder):
            _copy_package(str(python), run, file)
        (folder / _READY).write_text(_package_digest(), encoding="utf-8")
    return python


def _is_current(folder: Path) -> bool:
    """Whether an environment is ready and holds this version of our own files."""
    ready = folder / _READY
    return ready.is_file() and ready.read_text(encoding="utf-8") == _package_digest()


def environment_key(requirements: Sequence[str]) -> str:
    """Equal for equal requirements and interpreters; our own files are copied anew when they change."""
    parts = [
        sys.version,
        sys.prefix,
        RUNTIME_LIST.read_text(encoding="utf-8"),
        *sorted(requirements),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _build(
    folder: Path,
    requirements: Sequence[str],
    file: Path,
    run: Callable[[list[str]], subprocess.CompletedProcess[str]],
) -> None:
    uv = _uv()
    make = [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)] if uv else None
    _must(run(make or [sys.executable, "-m", "venv", str(folder)]), file)
    python = str(_python_of(folder))
    install = [*uv, "pip", "install", "--quiet", "--python", python] if uv else None
    install = install or [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = run([*install, *runtime_requirements(requirements), *requirements])
    if done.returncode != 0:
        # What the flow pins may not go with our pins; then its own choice wins.
        done = run([*install, *runtime_requirements(requirements, pinned=False), *requirements])
    _must(done, file)
    _copy_package(python, run, file)


def runtime_requirements(requirements: Sequence[str], *, pinned: bool = True) -> list[str]:
    """What a host needs, without the packages that the flow asks for itself.

    Args:
        requirements: What the flow asks for.
        pinned: Name versions; what a flow pins may not go with them.
    """
    own = {_name_of(text) for text in requirements}
    lines = [line.strip() for line in RUNTIME_LIST.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#") and _name_of(line) not in own]
    return wanted if pinned else [re.sub(r"==[^;\s]+", "", line) for line in wanted]


def _name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", _NAME_END.split(requirement, maxsplit=1)[0]).lower()


def _copy_package(python: str, run: Callable[[list[str]], subprocess.CompletedProcess[str]], file: Path) -> None:
    """Our own files, without what only the outer command needs."""
    found = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    _must(found, file)
    source = Path(errors.__file__).parent
    target = Path(found.stdout.strip()) / source.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def _package_digest() -> str:
    """Changes with the files of this package."""
    root = Path(errors.__file__).parent
    states = [
        (path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*.py")
    ]
    return hashlib.sha256(repr(sorted(states)).encode()).hexdigest()


def _uv() -> list[str]:
    found = shutil.which("uv")
    if found:
        return [found]
    import importlib.util

    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run an installer; Ctrl-C and SIGTERM end it at once, although the event loop waits for it."""
    with _interruptible():
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_BUILD_S, check=False
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """While in here, a signal to stop raises `Interrupted`. Only the main thread hears signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise Interrupted("Stopped while an environment was built; nothing of the run has been started.")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _must(done: subprocess.CompletedProcess[str], file: Path) -> None:
    if done.returncode == 0:
        return
    last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:])
    raise SettingsError(
        f"The environment that the flow's requirements need cannot be built. The installer said:\n{last}\n",
        file=file,
        hint="Correct the requirements, or run in this Python with --environment current.",
        kind="EnvironmentBuildError",
    )


def _interpreter_in(place: Path) -> Path:
    """The interpreter that a path names: itself, or that of the environment."""
    for candidate in (place, _python_of(place)):
        if candidate.is_file():
            return candidate.absolute()
    raise SettingsError(
        f"{str(place)!r} is no Python interpreter and no environment.",
        hint="Give `auto`, `current`, or the folder of a virtual environment.",
    )


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _path_for(python: Path) -> dict[str, str]:
    """Where a foreign interpreter finds this package, when it does not have it."""
    found = subprocess.run(
        [str(python), "-c", "import genaiops"], capture_output=True, text=True, timeout=60, check=False
    )
    return {} if found.returncode == 0 else {"PYTHONPATH": str(Path(errors.__file__).parents[1])}


class _waiting:  # noqa: N801 - reads as a word in `with _waiting(lock)`
    """Wait for a lock that another process holds while it builds the same environment."""

    def __init__(self, lock: FolderLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        from time import monotonic, sleep

        end = monotonic() + _BUILD_S
        while True:
            try:
                self._lock.__enter__()
            except SettingsError:
                if monotonic() > end:
                    raise
                sleep(0.2)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__(None, None, None)
