"""The garbage collector, told what our processes are like: few cycles, many objects, and what is imported stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def relax_collector() -> None:
    """Look for cycles less often: at the usual pace it goes again and again over what rows and imports have made."""
    gc.set_threshold(20_000, 20, 20)


def spare_what_is_here() -> None:
    """Never look at what is here now: modules, a compiled flow, connections."""
    gc.freeze()


@contextmanager
def spare_what_comes() -> Iterator[None]:
    """Never look at what is made inside: imports, and what was read to begin with."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
