"""The installed promptflow, with the names that must be the engine's own.

Everything is imported from promptflow itself; only what the engine has to recognise (tools, connections, metrics,
images, traced functions) is put in place of promptflow's own, in the modules from which flow code takes it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from genaiops.compat._after_loading import AfterLoading
from genaiops.compat._table import SERVED

_MODULES = (
    "promptflow",
    "promptflow._core.metric_logger",
    "promptflow._core.tool",
    "promptflow.connections",
    "promptflow.contracts.multimedia",
    "promptflow.contracts.types",
    "promptflow.core",
    "promptflow.entities",
    "promptflow.tracing",
)
_ROOMS = ("genaiops.connections:", "genaiops.flows:", "genaiops.prompts:Image", "genaiops.tracing:")
_NOT_OURS = frozenset({"_Connection", "Flow", "AsyncFlow"})


def bridge_installed_promptflow() -> None:
    """From now on imports of promptflow's modules give the engine's own tools, connections, metrics and images."""
    if not any(isinstance(finder, _BridgeFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BridgeFinder())
    for name in _MODULES:
        if name in sys.modules:
            _put_ours(sys.modules[name])


class _BridgeFinder:
    """Sees promptflow's modules when they are imported; finds them where Python finds them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = AfterLoading(spec.loader, _put_ours)  # type: ignore[assignment]
        return spec


def _put_ours(module: ModuleType) -> None:
    from importlib import import_module

    for name, target in SERVED.get(module.__name__, {}).items():
        if name not in _NOT_OURS and target.startswith(_ROOMS):
            room, _, attribute = target.partition(":")
            setattr(module, name, getattr(import_module(room), attribute))
