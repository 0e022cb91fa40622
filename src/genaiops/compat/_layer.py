"""The import layer: `import promptflow…` finds our code, in this process only.

A finder on `sys.meta_path` answers for every module of the table. A served module is empty until a name is asked
for; only then the module of ours behind it is imported, so `from promptflow.core import tool` costs next to nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Literal

from genaiops.compat._openai_spans import record_openai_calls, stop_recording_openai_calls
from genaiops.compat._table import DEPRECATED, RETIRED, SERVED
from genaiops.errors import InputError, suggest

Mode = Literal["auto", "own", "installed"]

logger = logging.getLogger(__name__)

_MARK = "__genaiops_served__"
_FRONT = ("promptflow",)
# Served only when nothing of the name is installed: other people's packages, and parts of a shared namespace.
_BEHIND = ("promptflow_vectordb", "azure", "dotenv", "promptflow.evals")
_warned: set[str] = set()


class ServedModuleError(ModuleNotFoundError):
    """A module or a name of `promptflow` that is not served here."""


class _ServedLoader:
    """Fills a module with names that are looked up when they are asked for."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        served = SERVED[module.__name__]
        name = module.__name__

        def look_up(attribute: str) -> Any:
            value = _look_up(name, attribute)
            module.__dict__[attribute] = value
            return value

        module.__doc__ = f"Served by genaiops for code written for `{name}`."
        module.__path__ = []
        module.__dict__.update(
            {
                _MARK: True,
                "__all__": sorted(key for key in served if not key.startswith("_")),
                "__getattr__": look_up,
                "__dir__": lambda: sorted({*module.__dict__, *served}),
            }
        )


class _ServedFinder:
    """Answers for modules below its roots."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = tuple(roots)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname == root or fullname.startswith(f"{root}.") for root in self.roots):
            return None
        if fullname in SERVED:
            return ModuleSpec(fullname, _ServedLoader(), is_package=True)  # type: ignore[arg-type]
        if fullname.partition(".")[0] in ("azure", "dotenv"):
            return None  # Somebody else's package: let Python say that it is missing.
        raise ServedModuleError(explain_import(fullname) or f"No module named {fullname!r}", name=None, path=None)


def _look_up(module: str, attribute: str) -> Any:
    target = SERVED[module].get(attribute)
    if target is None:
        if f"{module}.{attribute}" in SERVED:
            return import_module(f"{module}.{attribute}")
        raise AttributeError(explain_import(module, attribute) or f"module {module!r} has no attribute {attribute!r}")
    _warn_deprecated(module, attribute)
    home, _, name = target.partition(":")
    try:
        return getattr(import_module(home), name)
    except AttributeError as error:
        # An AttributeError would make Python look for a submodule and blame that.
        raise ImportError(f"genaiops cannot serve {attribute!r} of {module!r}: {error}") from error


def _warn_deprecated(module: str, attribute: str) -> None:
    key = f"{module}:{attribute}"
    if key in DEPRECATED and key not in _warned:
        _warned.add(key)
        logger.warning("'from %s import %s' is deprecated. Write: %s", module, attribute, DEPRECATED[key])


def explain_import(module: str, name: str | None = None) -> str | None:
    """Why an import of `promptflow…` cannot be served and what to write instead; None when it is served.

    Args:
        module: The module: `promptflow.core`.
        name: The name imported from it, or None for the module itself.

    >>> explain_import("promptflow.core", "tool") is None
    True
    >>> explain_import("promptflow.cor")
    "genaiops does not serve 'promptflow.cor'. Did you mean 'promptflow.core'?"
    """
    parent, _, last = module.rpartition(".")
    if name is None and module not in SERVED and parent in SERVED:
        # Python asks for `promptflow.core.tol` as a module when `from promptflow.core import tol` finds no such name.
        return explain_import(parent, last)
    full = f"{module}.{name}" if name else module
    for retired, instead in RETIRED.items():
        if _covers(retired, module, name):
            return f"genaiops does not serve {full!r}. {instead}"
    if module not in SERVED:
        return f"genaiops does not serve {full!r}. {suggest(module, _public(SERVED))}"
    if name is None or name in SERVED[module] or full in SERVED:
        return None
    elsewhere = [other for other, names in SERVED.items() if name in names and "._" not in other]
    known = [*(f"{module}.{other}" for other in _public(SERVED[module])), *_public(SERVED)]
    hint = f"It is in {elsewhere[0]!r}." if elsewhere else suggest(full, known)
    return f"genaiops does not serve {full!r}. {hint}"


def _covers(retired: str, module: str, name: str | None) -> bool:
    place, _, attribute = retired.partition(":")
    if attribute:
        return (module, name) == (place, attribute)
    full = f"{module}.{name}" if name else module
    if full in SERVED or name in SERVED.get(module, ()):
        return False  # `promptflow.executor` is retired, `promptflow.executor._assistant_tool_invoker` is served.
    return full == place or full.startswith(f"{place}.")


def _public(names: Any) -> list[str]:
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def installed_version() -> str | None:
    """The release of promptflow in this environment, or None when there is none."""
    from importlib import metadata

    for distribution in ("promptflow-core", "promptflow"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def chosen_mode(mode: Mode = "auto") -> Literal["own", "installed"]:
    """Which imports a flow host uses.

    `auto` is our own layer, also when promptflow is installed: a connection that this engine hands to a tool must be
    an instance of the class the tool imported.

    Raises:
        InputError: `installed` is asked for and promptflow is not installed, or the mode is unknown.
    """
    if mode not in ("auto", "own", "installed"):
        hint = suggest(mode, ("auto", "own", "installed"))
        raise InputError(f"Engine imports {mode!r} are not known.", hint=hint)
    if mode != "installed":
        return "own"
    if installed_version() is None:
        raise InputError(
            "The installed promptflow is asked for, and it is not installed in this environment.",
            hint="Install promptflow, or leave --engine-imports out to use our own layer.",
        )
    return "installed"


def engine_imports(mode: Mode = "auto") -> dict[str, Any]:
    """Which imports of promptflow a flow gets: `{"mode", "promptflow_installed", "version", "served"}`."""
    version = installed_version()
    return {
        "mode": chosen_mode(mode),
        "promptflow_installed": version is not None,
        "version": version,
        "served": sorted(SERVED),
    }


def install_import_layer(mode: Mode = "auto") -> Literal["own", "installed"]:
    """Make imports of `promptflow…` find our code, in this process only; called before any user code.

    Model calls that user code makes with the OpenAI SDK are recorded from then on (`record_openai_calls`).

    Args:
        mode: `auto` and `own` serve our code. `installed` leaves promptflow itself in place and only makes the names
            that must be ours (tool, connections, log_metric, …) ours.

    Returns:
        The mode in force.

    Raises:
        InputError: `installed` without promptflow, or promptflow is already imported and `own` is asked for.
    """
    chosen = chosen_mode(mode)
    record_openai_calls()
    if chosen == "installed":
        from genaiops.compat._bridge import bridge_installed_promptflow

        bridge_installed_promptflow()
        return chosen
    if any(isinstance(finder, _ServedFinder) for finder in sys.meta_path):
        return chosen
    if "promptflow" in sys.modules and not hasattr(sys.modules["promptflow"], _MARK):
        raise InputError(
            "promptflow itself is already imported in this process, so our import layer cannot take its place.",
            hint="Run the flow with `genaiops flow run`, which uses a process of its own.",
        )
    sys.meta_path.insert(0, _ServedFinder(_FRONT))
    sys.meta_path.append(_ServedFinder(_BEHIND))
    return chosen


def uninstall_import_layer() -> None:
    """Undo `install_import_layer`, and forget the modules that were served: for notebooks and tests."""
    stop_recording_openai_calls()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _ServedFinder)]
    for name in [name for name, module in sys.modules.items() if hasattr(module, _MARK)]:
        del sys.modules[name]


def served_imports() -> dict[str, frozenset[str]]:
    """Every module of the layer and the names in it, submodules too, for tools that read code without running it."""
    below: dict[str, set[str]] = {module: set() for module in SERVED}
    for module in SERVED:
        parent, _, last = module.rpartition(".")
        if parent in below:
            below[parent].add(last)
    return {module: frozenset({*names, *below[module]}) for module, names in SERVED.items()}
