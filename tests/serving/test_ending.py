"""A server that is told to end before it is ready: in order, at any moment, with nothing left of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import write_flow
from .processes import environment, is_alive, wait_until

# Beyond the slowest start on a busy machine, so that every part of it is met.
LATEST_S = 1.6
SLOW_START = "import time\n\ntime.sleep(60)\n\ndef shout(text: str) -> str:\n    return text\n"


class Started:
    """A server that has just been started, and whatever it starts, found by a variable that all of them inherit."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "genaiops", *words]
        around = environment(MARK_OF_THIS_TEST=self.mark)
        self.process = subprocess.Popen(
            command, cwd=folder, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def listens(self) -> bool:
        """Whether it has a handler for SIGTERM. Source: proc(5), the mask `SigCgt`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

    def family(self) -> list[int]:
        """It and all that it has started, wherever they have gone."""
        mark = f"MARK_OF_THIS_TEST={self.mark}".encode()
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in numbers if mark in _variables(pid)]

    def told(self, number: int) -> tuple[int, str, float]:
        """Exit code, what it said, and how long its end took."""
        started = time.monotonic()
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1].decode()
        return self.process.returncode, said, time.monotonic() - started


def _variables(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() if is_alive(pid) else b""
    except OSError:
        return b""


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[list[Started]]:
    found: list[Started] = []
    yield found
    for one in found:
        for pid in one.family():
            os.kill(pid, signal.SIGKILL)
        one.process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seed", range(6))
def test_a_server_that_is_told_to_end_at_any_moment_of_its_start_ends_well(
    echo_flow: Path, started: list[Started], number: signal.Signals, seed: int
) -> None:
    moment = random.Random(f"{seed} {number}").uniform(0, LATEST_S)
    server = Started(echo_flow, "serve", ".", "--port", "0", "--workers", "2", "--drain-delay", "0.1")
    started.append(server)
    wait_until(server.listens, pause_s=0.001)
    time.sleep(moment)

    code, said, took_s = server.told(number)

    assert (code, said.count("Traceback")) == (0, 0), said
    assert took_s < 3
    assert server.family() == [], "left behind"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("words", [(), ("--reload",)])
def test_a_server_whose_flow_takes_long_to_load_ends_at_once(
    tmp_path: Path, started: list[Started], words: tuple[str, ...]
) -> None:
    folder = write_flow(tmp_path / "slow", flow__flex__yaml="entry: slow:shout\n", slow__py=SLOW_START)
    server = Started(folder, "serve", ".", "--port", "0", *words)
    started.append(server)
    wait_until(lambda: len(server.family()) == 2, pause_s=0.01)
    time.sleep(1.5)

    code, _, took_s = server.told(signal.SIGTERM)

    assert (code, took_s < 3, server.family()) == (0, True, [])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_endpoint_test_that_is_ended_takes_its_server_along(tmp_path: Path, started: list[Started]) -> None:
    folder = write_flow(
        tmp_path / "slow",
        flow__flex__yaml="entry: slow:shout\n",
        slow__py=SLOW_START,
        **{"sample-request__json": '{"text": "x"}'},
    )
    testing = Started(folder, "endpoint", "test", "--local", ".")
    started.append(testing)
    wait_until(lambda: len(testing.family()) == 3, pause_s=0.01)

    code, _, took_s = testing.told(signal.SIGTERM)

    assert (code, took_s < 5, testing.family()) == (130, True, [])
