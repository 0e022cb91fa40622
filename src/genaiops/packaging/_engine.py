"""Start a built image with the container engine of this machine and prove that it answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from genaiops.errors import GenaiopsError
from genaiops.packaging._build import BuiltImage

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


def run_and_test(engine: str, built: BuiltImage, tag: str) -> str:
    """Build the Dockerfile, start it with a read-only root, send the sample request.

    Returns:
        What was proved.

    Raises:
        GenaiopsError: It does not start, or the answer is not 200; its last words are in the message.
    """
    name = f"{built.package.name}:{tag}".lower().replace(" ", "-")
    _engine(engine, "build", "--tag", name, str(built.layout / "docker"))
    container = _engine(
        engine, "run", "--detach", "--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges",
        "--tmpfs", "/tmp", "--publish", "127.0.0.1::8080", name,
    ).strip()  # fmt: skip
    try:
        address = _engine(engine, "port", container, "8080").splitlines()[0].strip()
        answer = _ask(f"http://{address}", (built.layout / "docker" / "app" / "sample-request.json").read_bytes())
    except GenaiopsError as error:
        logs = subprocess.run([engine, "logs", container], capture_output=True, text=True, check=False)
        last = "\n".join((logs.stdout + logs.stderr).splitlines()[-_LAST_LINES:])
        raise GenaiopsError(f"The image does not answer: {error.message}\n{last}") from error
    finally:
        subprocess.run([engine, "rm", "--force", container], capture_output=True, check=False)
    return f"answered the sample request with {answer}"


def _engine(engine: str, *arguments: str) -> str:
    result = subprocess.run([engine, *arguments], capture_output=True, text=True, check=False, timeout=900)
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
