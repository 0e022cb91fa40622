"""Start a built image with the container engine of this machine and prove that it answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from genaiops.errors import GenaiopsError
from genaiops.packaging._build import BuiltImage
from genaiops.packaging._layout import Layout

_ANSWERS_S = 10
_TIMEOUT_S = 120
_LAST_LINES = 20


def find_engine() -> str | None:
    """`docker` or `podman`, whichever is there and has an engine behind it."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            answer = subprocess.run([path, "info"], capture_output=True, check=False, timeout=_ANSWERS_S)
        except subprocess.TimeoutExpired:
            continue
        if answer.returncode == 0:
            return path
    return None


def run_and_test(
    engine: str, built: BuiltImage, tag: str, *, environ: Mapping[str, str], variables: Sequence[str] = ()
) -> str:
    """Load the very image that was built, start it with a read-only root, send the sample request.

    Args:
        engine: The program.
        built: The image.
        tag: Its reference name.
        environ: The surroundings of the engine.
        variables: Names in `environ` that the image needs; values never stand on a command line.

    Returns:
        What was proved.

    Raises:
        GenaiopsError: It does not start, or the answer is not 200; its last words are in the message.
    """
    name = "localhost/" + re.sub(r"[^a-z0-9._-]+", "-", built.package.name.lower()).strip("-._") + f":{tag}"
    with tempfile.TemporaryDirectory(prefix="genaiops-image-") as scratch:
        archive = Path(scratch) / "image.tar"
        with archive.open("wb") as file:
            Layout(built.layout).write_archive(file, name=name)
        _engine(engine, "load", "--input", str(archive))
    given = [word for variable in sorted(variables) for word in ("--env", variable)]
    container = _engine(
        engine, "run", "--detach", "--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges",
        "--tmpfs", "/tmp", "--publish", "127.0.0.1::8080", *given, name, environ=environ,
    ).strip()  # fmt: skip
    try:
        # An engine set to the host's network publishes nothing.
        published = _engine(engine, "port", container).strip().splitlines()
        address = published[0].rpartition(" ")[2] if published else "127.0.0.1:8080"
        answer = _ask(f"http://{address}", (built.layout / "docker" / "app" / "sample-request.json").read_bytes())
        if _engine(engine, "inspect", "--format", "{{.State.Running}}", container).strip() != "true":
            raise GenaiopsError("something else answered; the container has ended")
    except GenaiopsError as error:
        logs = subprocess.run([engine, "logs", container], capture_output=True, text=True, check=False)
        last = "\n".join((logs.stdout + logs.stderr).splitlines()[-_LAST_LINES:])
        raise GenaiopsError(f"The image does not answer: {error.message}\n{last}") from error
    finally:
        subprocess.run([engine, "rm", "--force", container], capture_output=True, check=False)
    return f"answered the sample request with {answer}"


def _engine(engine: str, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    environment = dict(environ) if environ is not None else None
    result = subprocess.run(
        [engine, *arguments], capture_output=True, text=True, check=False, timeout=900, env=environment
    )
    if result.returncode:
        last = "\n".join(result.stderr.strip().splitlines()[-_LAST_LINES:])
        raise GenaiopsError(f"{engine} {arguments[0]} failed:\n{last}")
    return result.stdout


def _ask(address: str, body: bytes) -> str:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                break
        except OSError as error:
            if time.monotonic() > deadline:
                raise GenaiopsError(f"not ready within {_TIMEOUT_S} s: {error}") from error
            time.sleep(0.5)
    request = urllib.request.Request(f"{address}/score", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            return f"{reply.status} {json.dumps(json.loads(reply.read()), ensure_ascii=False)[:200]}"
    except urllib.error.HTTPError as error:
        raise GenaiopsError(f"status {error.code}: {error.read(500).decode('utf-8', 'replace')}") from error
