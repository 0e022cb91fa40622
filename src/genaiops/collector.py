"""The garbage collector, told what our processes are like: few cycles, many objects, and what is imported stays."""

from __future__ import annotations

import gc


def relax_collector() -> None:
    """Look for cycles less often: at the usual pace it goes again and again over what rows and imports have made."""
    gc.set_threshold(20_000, 20, 20)


def spare_what_is_here() -> None:
    """Never look at what is here now: modules, a compiled flow, connections."""
    gc.freeze()
