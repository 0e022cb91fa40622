"""From what was asked to how a host is set up and what it is told to open."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import SettingsError, suggest
from genaiops.records import record
from genaiops.runs._environments import host_python
from genaiops.runs._host_client import HostSetup
from genaiops.runs._spec import MODEL_ROWS_IN_FLIGHT, PYTHON_ROWS_IN_FLIGHT, FlowRequest
from genaiops.settings import Settings, state_folder

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

_IMPORT_MODES = ("auto", "own", "installed")
_MODEL_CALLS = ("live", "record", "replay")
_GRAPH_FILES = ("flow.dag.yaml", "flow.dag.yml")
_MODEL_NODE = re.compile(rb"\btype[\"']?\s*:\s*[\"']?(custom_)?llm\b")


@record(frozen=True)
class FlowSource:
    """A flow as another process can find it.

    Args:
        source: An absolute path, or `module:name`.
        folder: Where the host starts; a module is looked for there.
        name: A short name, for ids.
    """

    source: str
    folder: Path
    name: str


def flow_source(flow: object) -> FlowSource:
    """Where a flow is.

    Raises:
        SettingsError: A callable that another process cannot import.
    """
    if callable(flow):
        return _source_of_callable(flow)
    path = Path(str(flow))
    if path.is_dir():
        place = path.resolve()
        return FlowSource(str(place), place, place.name)
    if path.exists() or ":" not in str(flow):
        place = path.absolute()
        name = place.stem if place.suffix == ".prompty" else place.parent.name
        return FlowSource(str(place), place.parent if place.parent.is_dir() else Path.cwd(), name)
    return FlowSource(str(flow), Path.cwd(), str(flow).rpartition(":")[2])


def _source_of_callable(flow: Any) -> FlowSource:
    name, module = getattr(flow, "__qualname__", ""), getattr(flow, "__module__", "")
    file = getattr(sys.modules.get(module), "__file__", None)
    if not name or "<" in name or "." in name or file is None:
        raise SettingsError(
            f"The flow {flow!r} lives only in this process; its host could not import it.",
            hint="Define it at the top of a module and give it by name: module:function.",
        )
    path = Path(file).resolve()
    if module == "__main__":
        return FlowSource(f"{path.stem}:{name}", path.parent, name)
    depth = module.count(".") + (path.name == "__init__.py")
    return FlowSource(f"{module}:{name}", path.parents[depth], name)


def host_setup(request: FlowRequest, settings: Settings, store: ConnectionStore, *, hosts: int = 1) -> HostSetup:
    """How the host of a flow is started.

    Args:
        request: The flow, and how it is run.
        settings: What the surroundings say.
        store: Where connections come from.
        hosts: So many hosts of this kind share what may be used in a minute.

    Raises:
        SettingsError: An option that means nothing, or an environment that cannot be built.
    """
    _one_of(request.imports, _IMPORT_MODES, "imports")
    _one_of(request.model_calls, _MODEL_CALLS, "model calls")
    source = flow_source(request.flow)
    if request.model_calls == "replay":
        store = store.for_replay(request.recording)
    python, extra = host_python(request, source, settings)
    hello = {
        "connections": store.to_message(),
        "model_calls": request.model_calls,
        "recording": str(request.recording.resolve()) if request.recording else None,
        "kept": str(state_folder(settings, "cache")) if request.keep else None,
        "prices": str(state_folder(settings, "cache")),
        "merged": str(state_folder(settings, "merged")),
        "imports": request.imports,
        "budgets": _budgets(request, settings, hosts),
        "debug": settings.debug,
        # Not read by the host: runs share one only when these are the same.
        "flow": source.source,
        "environment_variables": _texts(request.environment_variables),
    }
    return HostSetup(
        python=python,
        folder=source.folder,
        environ={**settings.environ, **extra},
        hello=hello,
        asks_models=_asks_models(Path(source.source)),
    )


def _asks_models(flow: Path) -> bool:
    """Whether a flow looks as if it had model nodes, without reading it as the host will."""
    file = flow if flow.is_file() else next((flow / name for name in _GRAPH_FILES if (flow / name).is_file()), None)
    if file is None:
        return False
    with contextlib.suppress(OSError):
        return file.suffix == ".prompty" or bool(_MODEL_NODE.search(file.read_bytes()))
    return False


def _budgets(request: FlowRequest, settings: Settings, hosts: int) -> dict[str, float]:
    """Requests and tokens a minute that one host may use, so that all of them together keep to the budget."""
    given = {"rpm": request.budget_rpm, "tpm": request.budget_tpm}
    found: dict[str, float] = {}
    for name, budget in given.items():
        whole = budget if budget is not None else whole_number_from(settings, f"GENAIOPS_{name.upper()}")
        if whole is not None:
            found[name] = whole / hosts
    return found


def open_request(request: FlowRequest, settings: Settings, **more: Any) -> dict[str, Any]:
    """The message that opens the flow in its host."""
    return {
        "flow": flow_source(request.flow).source,
        "variant": request.variant,
        "overrides": dict(request.overrides),
        "connections": dict(request.connections),
        "environment_variables": _texts(request.environment_variables),
        "init": dict(request.init) if request.init is not None else None,
        "repeat": request.repeat,
        "limits": [MODEL_ROWS_IN_FLIGHT, PYTHON_ROWS_IN_FLIGHT],
        "trace_share": request.trace_share if request.trace and not is_tracing_off(settings) else 0.0,
        **more,
    }


def is_tracing_off(settings: Settings) -> bool:
    """Whether prompt flow's own switch turns tracing off."""
    return settings.environ.get("PF_DISABLE_TRACING", "").lower() in ("true", "1")


def seconds_from(settings: Settings, variable: str) -> float | None:
    """The seconds that a variable of prompt flow names.

    Raises:
        SettingsError: It holds no positive number.
    """
    text = settings.environ.get(variable)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds <= 0:
        raise SettingsError(f"The variable {variable} holds {text!r}; expected seconds, more than 0.")
    return seconds


def whole_number_from(settings: Settings, variable: str) -> int | None:
    """The number that a variable holds; None without one.

    Raises:
        SettingsError: It holds no whole number of 1 or more.
    """
    text = settings.environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"The variable {variable} holds {text!r}; expected a whole number, at least 1.")
    return int(text)


def _texts(variables: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(name): json.dumps(value) if isinstance(value, dict | list) else str(value)
        for name, value in variables.items()
    }


def _one_of(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        raise SettingsError(f"{what} is {value!r}; expected one of {', '.join(known)}.", hint=suggest(value, known))
