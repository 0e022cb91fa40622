"""A loader that lets another one load a module and then does something to it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


class AfterLoading:
    """Loads a module as its own loader does, then hands it to `then`.

    Args:
        inner: The module's own loader.
        then: Called with the module once its code has run.
    """

    def __init__(self, inner: Any, then: Callable[[ModuleType], None]) -> None:
        self._inner = inner
        self._then = then

    def create_module(self, spec: Any) -> ModuleType | None:
        """What the inner loader makes."""
        created: ModuleType | None = self._inner.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, then `then`."""
        self._inner.exec_module(module)
        self._then(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
