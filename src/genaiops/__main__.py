"""`python -m genaiops` is the command `genaiops`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def main() -> int:
    """Run one command line and return its exit code."""
    if next((word for word in sys.argv[1:] if not word.startswith("-")), None) == "serve":
        return _serve()
    from genaiops.cli import main as run

    return run()


def _serve() -> int:
    """A server listens for its end before it imports anything else: whoever starts it may end it at once."""
    import signal

    _on_signals(lambda *_: os._exit(0))  # until it has something to let go of
    try:
        from genaiops.cli import main as run

        return run()
    finally:
        # The interpreter takes a moment to end, in which a signal would change the exit code.
        _on_signals(signal.SIG_IGN)


def _on_signals(handler: Callable[..., None] | int) -> None:
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
