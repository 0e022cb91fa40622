"""The garbage collector, told what a host is like: few cycles, many objects, and what is imported stays."""

from __future__ import annotations

import gc


def relax_collector() -> None:
    """Look for cycles a thirtieth as often as usual: at the usual pace it takes a fifth of a served request's time."""
    gc.set_threshold(20_000, 20, 20)


def spare_what_is_here() -> None:
    """Never look at what is here now: modules, the compiled flow, connections."""
    gc.freeze()
