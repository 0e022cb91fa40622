"""genaiops: the GenAIOps life cycle for prompt-flow applications.

Importing this package is cheap: each public name loads its room when it is first used.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

# Public name -> the room that owns it.
_ROOMS: dict[str, str] = {
    "run_experiment": "genaiops.experiments",
}

__all__ = ["__version__", *sorted(_ROOMS)]


def __getattr__(name: str) -> object:
    """Load a public name from its room on first use."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    """Names for completion, loaded or not."""
    return sorted(__all__)
