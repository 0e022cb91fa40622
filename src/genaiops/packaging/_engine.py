"""Start a built image with the container engine of this machine, so that it can be asked something."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from genaiops.errors import GenaiopsError
from genaiops.packaging._build import BuiltImage
from genaiops.packaging._dockerfile import PORT, PORT_VARIABLE
from genaiops.packaging._layout import Layout
from genaiops.records import record

_ANSWERS_S = 20
_LOAD_S = 900
_STARTS_S = 120
_LAST_LINES = 20


@record(frozen=True)
class RunningImage:
    """A container that was started from an image.

    Args:
        address: Where it answers, `http://127.0.0.1:PORT`.
        engine: Who runs it.
        container: Its name.
    """

    address: str
    engine: Engine
    container: str

    def last_words(self) -> str:
        """The end of what it printed."""
        result = self.engine.ask("logs", self.container, check=False)
        return "\n".join(result.splitlines()[-_LAST_LINES:])

    def is_running(self) -> bool:
        """Whether it has not ended."""
        shown = self.engine.ask("inspect", "--format", "{{.State.Running}}", self.container, check=False)
        return shown.strip() == "true"

    def is_healthy(self, health_check: Sequence[str]) -> bool:
        """Whether the image's own health check, run inside of it, passes."""
        return self.engine.returns_zero("exec", self.container, *health_check)


@record(frozen=True)
class Engine:
    """A container engine that answers: its program, and the surroundings it is called with.

    Args:
        program: `docker` or `podman`, with its folder.
        environ: Variables of the program; the values of a container's variables are passed on in them, never on a
            command line, which every user of the machine can read.
    """

    program: str
    environ: Mapping[str, str]

    @property
    def name(self) -> str:
        """`docker` or `podman`."""
        return Path(self.program).name

    @contextlib.contextmanager
    def started(
        self,
        image: str,
        *,
        variables: Sequence[str] = (),
        arguments: Sequence[str] = (),
        mounts: Mapping[Path, str] | None = None,
        network: str | None = None,
    ) -> Iterator[RunningImage]:
        """Run an image as it is meant to run: read-only root, no capabilities. The container is gone afterwards.

        Args:
            image: Its name.
            variables: Names in `environ` that it needs.
            arguments: More words for the server.
            mounts: Files of this machine, and where they stand in the container, to be read only.
            network: The engine's network; `host` for an image whose models answer on this machine's loopback.

        Raises:
            GenaiopsError: It does not start or is not ready in time; its last words are in the message.
        """
        words = ["--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"]
        words += [word for variable in sorted(variables) for word in ("--env", variable)]
        words += [word for file, place in (mounts or {}).items() for word in ("--volume", f"{file}:{place}:ro")]
        words += ["--network", network] if network else []
        # Named by us: one that was made and could not be started has to be found again.
        container = f"genaiops-test-{secrets.token_hex(8)}"
        try:
            address = self._run(container, words, image, list(arguments), on_host=network == "host")
            running = RunningImage(address, self, container)
            _wait_until_ready(running)
            yield running
        finally:
            self.ask("rm", "--force", container, check=False)

    @contextlib.contextmanager
    def loaded(self, built: BuiltImage, name: str) -> Iterator[str]:
        """Load the very image that was built. It keeps `name` when all goes well; otherwise nothing is left of it.

        Args:
            built: The image.
            name: `localhost/NAME:TAG`.

        Returns:
            The name to start it by.
        """
        draft = f"{name.rpartition(':')[0]}:untested-{built.image.partition(':')[2][:12]}"
        with tempfile.TemporaryDirectory(prefix="genaiops-image-") as scratch:
            archive = Path(scratch) / "image.tar"
            with archive.open("wb") as file:
                Layout(built.layout).write_archive(file, digest=built.image, name=draft)
            self.ask("load", "--input", str(archive))
        try:
            yield draft
            self.ask("tag", draft, name)
        finally:
            self.ask("rmi", draft, check=False)

    def ask(self, *words: str, check: bool = True) -> str:
        """What a command of the engine prints.

        Raises:
            GenaiopsError: It failed, and `check` is set.
        """
        result = subprocess.run(
            [self.program, *words], capture_output=True, text=True, errors="replace", check=False, timeout=_LOAD_S,
            env=dict(self.environ),
        )  # fmt: skip
        if check and result.returncode:
            last = "\n".join(result.stderr.strip().splitlines()[-_LAST_LINES:])
            raise GenaiopsError(
                f"{self.name} {words[0]} failed:\n{last}",
                hint=f"When {self.name} itself is at fault, --no-test builds without starting the image.",
            )
        return result.stdout if check else result.stdout + result.stderr

    def returns_zero(self, *words: str) -> bool:
        """Whether a command of the engine says yes."""
        command = [self.program, *words]
        result = subprocess.run(command, capture_output=True, check=False, timeout=_STARTS_S, env=dict(self.environ))
        return result.returncode == 0

    def _run(self, container: str, words: list[str], image: str, arguments: list[str], *, on_host: bool) -> str:
        """Start a container, and find out where it answers."""
        run = ["run", "--detach", "--name", container]
        if not on_host:
            self.ask(*run, "--publish", f"127.0.0.1::{PORT}", *words, image, *arguments)
            where = self.ask("port", container, check=False).strip().splitlines()
            if where and " -> " in where[0]:
                return f"http://{where[0].rpartition(' ')[2]}"
            # An engine that is set to the host's network publishes nothing: there the port has to be a free one.
            self.ask("rm", "--force", container, check=False)
        port = _free_port()
        self.ask(*run, *words, "--env", f"{PORT_VARIABLE}={port}", image, *arguments)
        return f"http://127.0.0.1:{port}"


def find_engine(environ: Mapping[str, str]) -> Engine | None:
    """`docker` or `podman`, whichever is there and has an engine behind it."""
    for name in ("docker", "podman"):
        program = shutil.which(name, path=environ.get("PATH"))
        if program is None:
            continue
        engine = Engine(program, environ)
        try:
            if engine.returns_zero("info"):
                return engine
        except subprocess.TimeoutExpired:
            continue
    return None


def image_name(name: str, tag: str) -> str:
    """The name of an image in the engine's store: `localhost/NAME:TAG`."""
    return "localhost/" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "flow") + f":{tag}"


def _wait_until_ready(running: RunningImage) -> None:
    """Until the server is ready, or the container has ended, which no waiting mends.

    Raises:
        GenaiopsError: It ended, or the time is over.
    """
    deadline = time.monotonic() + _STARTS_S
    while True:
        if not running.is_running():
            raise GenaiopsError(f"The image does not answer: its container ended.\n{running.last_words()}")
        try:
            with urllib.request.urlopen(f"{running.address}/readyz", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise GenaiopsError(
                    f"The image does not answer: not ready within {_STARTS_S} s: {error}.\n{running.last_words()}",
                    hint="An engine that gives containers no network of their own needs --network host.",
                ) from error
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
