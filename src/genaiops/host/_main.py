"""A host from its first to its last moment."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

from genaiops.collector import relax_collector
from genaiops.host._pipe import take_pipes
from genaiops.host._prints import mark_prints


def main() -> NoReturn:
    """Serve the parent until it says `stop` or is gone."""
    # The parent decides what Ctrl-C means; it would reach both of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = take_pipes()
    mark_prints()
    relax_collector()
    # A deep flow in a worker thread may need more than the little that some systems give.
    threading.stack_size(16 * 1024 * 1024)
    from genaiops.host._session import run_session

    code = run_session(pipe)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of flow code that never end must not keep the process.
    os._exit(code)
