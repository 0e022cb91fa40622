"""A host ends when it is told to, whatever the flow's code has started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest

from genaiops.runs import HostClient

# Reads nothing, starts a process that holds its pipes for a minute, tells its number, and waits.
CLINGING = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes and pipes of POSIX")
@pytest.mark.parametrize("end", [HostClient.kill, HostClient.stop])
def test_a_process_that_holds_the_pipes_does_not_hold_the_end(end: Callable[[HostClient], Awaitable[None]]) -> None:
    numbers: list[bytes] = []

    async def main() -> int | None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CLINGING,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        host = HostClient(process)
        host.on_log = numbers.append
        while not numbers:
            await asyncio.sleep(0.02)
        async with asyncio.timeout(40):  # of the minute that the child holds on
            await end(host)
        return process.returncode

    try:
        code = asyncio.run(main())
    finally:
        for number in numbers:
            os.kill(int(number), signal.SIGKILL)

    assert code == -signal.SIGKILL
