"""How slow this machine is at this moment, for tests that promise people an answer within seconds."""

from __future__ import annotations

import subprocess
import sys
import time

# What an empty interpreter takes on a machine that does nothing else, generously.
_USUAL_S = 0.1


def seconds_here(promised: float) -> float:
    """The seconds that were promised, or more while everything takes longer here.

    Ask right after what is measured: what else runs then is what ran meanwhile.
    """
    started = time.monotonic()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return promised * max(1.0, (time.monotonic() - started) / _USUAL_S)
