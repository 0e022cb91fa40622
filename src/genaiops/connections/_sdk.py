"""The OpenAI SDK, imported without the thousand classes of requests and replies that our calls never build.

They are more than half of what `import openai` costs. Modules under `openai.types` are found as usual and run when
somebody first asks one for a name: user code that needs them gets them, all of them, a moment later.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LATER = "openai.types"
# One lock for all of them: while they run they import only each other and what is there already, so that nobody who
# holds it waits for somebody who wants it.
_lock = threading.RLock()


def load_sdk() -> ModuleType:
    """The package `openai`; most of a second of processor time when nobody has imported it."""
    if "openai" not in sys.modules and not any(isinstance(finder, _LaterFinder) for finder in sys.meta_path):
        # It stays: a module that is imported in the usual way would be half done while it waits for the lock.
        sys.meta_path.insert(0, _LaterFinder())
    # Asked for even when `sys.modules` has it: another thread may be in the middle of importing it.
    return import_module("openai")


class _LaterFinder:
    """Finds modules under `openai.types` where they are, and lets them run later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _LATER and not fullname.startswith(f"{_LATER}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LaterLoader(spec.loader)
        return spec


class _LaterLoader(Loader):
    """Leaves a module empty; what belongs into it comes with the first question."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        module.__class__ = _LaterModule


class _LaterModule(ModuleType):
    """A module that has not run. Asked only for names that it does not have, so never once it has run."""

    def __getattr__(self, name: str) -> Any:
        self._run()
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        self._run()
        return sorted(vars(self))

    def _run(self) -> None:
        with _lock:
            if type(self) is not _LaterModule or self in _running:
                return
            try:
                self._fill()
            except (ImportError, AttributeError):
                if _running:
                    raise
                # Modules that import each other in a circle may bear only the usual order: the package first.
                _run_all_as_usual()

    def _fill(self) -> None:
        _running.append(self)
        try:
            vars(self)["__loader__"].exec_module(self)
        finally:
            _running.remove(self)
        self.__class__ = ModuleType  # type: ignore[assignment]


_running: list[_LaterModule] = []


def _run_all_as_usual() -> None:
    """Import what has not run yet as if we were not here; who holds one of those modules finds it filled."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _LaterFinder)]
    waiting: dict[str, Any] = {name: each for name, each in sys.modules.items() if type(each) is _LaterModule}
    for name in waiting:
        del sys.modules[name]
    import_module(_LATER)
    for name, module in waiting.items():
        vars(module).update(vars(import_module(name)))
        module.__class__ = ModuleType
    for name, ready in list(sys.modules.items()):
        if name.startswith(f"{_LATER}."):
            parent, _, leaf = name.rpartition(".")
            vars(sys.modules[parent]).setdefault(leaf, ready)
