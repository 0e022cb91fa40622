"""Placeholders, `environment/env.yaml` and `init.json`: what the surroundings decide about a use case.

`${NAME}` reads the variable that is written. When that is not set, the older convention is tried: `<PARENT>_<KEY>` in
upper case. A variable of that convention that *is* set also wins over a literal value, so that a repository which
points at somebody's demo endpoint runs against yours without an edit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genaiops.errors import SettingsError
from genaiops.experiments._documents import Document, read_document
from genaiops.experiments._spec import Place, Setting, SourceKind
from genaiops.settings import Settings

_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Inside a longer text only upper-case names count: a prompt may hold ${question} and mean it.
_INSIDE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_SECRET = re.compile(r"key|secret|token(?!_limit|s)|password|credential|connection_string|\bsas\b", re.IGNORECASE)


@dataclass
class Resolved:
    """Values, where each came from, and every variable that is not set.

    Args:
        missing: Name of the variable -> places that ask for it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    settings: list[Setting] = field(default_factory=list)
    missing: dict[str, list[Place]] = field(default_factory=dict)


def raise_missing(*parts: Resolved) -> None:
    """One error for all variables that are not set.

    Raises:
        SettingsError: With every name and place.
    """
    found = [(name, place) for part in parts for name, places in part.missing.items() for place in places]
    if not found:
        return
    names = list(dict.fromkeys(name for name, _ in found))
    listed = "; ".join(f"{name} ({place})" for name, place in found)
    raise SettingsError(
        f"{len(names)} variable{'s are' if len(names) > 1 else ' is'} not set: {listed}.",
        file=found[0][1].file,
        line=found[0][1].line,
        hint="Set them in the environment or in a .env file.",
        kind="MissingVariables",
    )


def redacted(key: str, value: Any) -> Any:
    """The value as it may be shown: a name that sounds secret hides it."""
    if isinstance(value, Mapping):
        return {name: redacted(str(name), item) for name, item in value.items()}
    return "******" if _SECRET.search(key) and isinstance(value, str) and value else value


def read_env_file(folder: Path, settings: Settings) -> Resolved:
    """The variables of `environment/env.yaml`, names in upper case; one that is already set keeps its value.

    Raises:
        SettingsError: The file is no map, or a value is empty. What is not set is listed in `missing`.
    """
    resolved = Resolved()
    path = next((p for p in (folder / "environment" / f"env.{end}" for end in ("yaml", "yml")) if p.is_file()), None)
    document = read_document(path) if path else None
    if document is None or document.data is None:
        return resolved
    if not isinstance(document.data, dict):
        raise SettingsError("This file must be a map of names and values.", file=document.path, line=1)
    empty = []
    for key, value in document.data.items():
        name, place = str(key).strip().upper(), document.place(key)
        if name in settings.environ:
            _note(resolved, name, settings.environ[name], _origin(settings, name), f"environment_variables.{name}")
        elif value is None or (isinstance(value, str) and not value.strip()):
            empty.append((name, place))
        else:
            text = (
                value
                if isinstance(value, str)
                else str(value)
                if not isinstance(value, (dict, list))
                else json.dumps(value)
            )
            done = _fill(text.strip(), None, place, settings, resolved)
            _note(resolved, name, str(done), ("base", str(place)), f"environment_variables.{name}")
    if empty:
        raise SettingsError(
            f"{', '.join(name for name, _ in empty)} {'have' if len(empty) > 1 else 'has'} no value.",
            file=empty[0][1].file,
            line=empty[0][1].line,
            hint="Write a value, ${NAME} of a variable, or take the line out.",
            kind="EmptyVariable",
        )
    return resolved


def read_init(flow: Path | str, settings: Settings, *, prefix: str = "init") -> Resolved:
    """Parameters of a class flow: `init.json` over the defaults in the flow file; every JSON type survives.

    Args:
        flow: Folder or file of the flow.
        settings: Where variables are looked up.
        prefix: How the settings are named for `--explain`.
    """
    resolved = Resolved()
    if isinstance(flow, str):
        return resolved
    folder = flow if flow.is_dir() else flow.parent
    defaults = _flow_defaults(flow)
    path = folder / "init.json"
    document = read_document(path) if path.is_file() else None
    written = document.data if document and document.data is not None else {}
    if document and not isinstance(written, dict):
        raise SettingsError("init.json must hold one object.", file=document.path, line=1)
    for key, value in written.items():
        assert document is not None
        resolved.values[key] = _parameter(key, value, document, (key,), settings, resolved, prefix)
    for key, (value, flow_document) in defaults.items():
        if key not in written and _depends_on_variables(key, value, settings):
            place = ("init", key, "default")
            resolved.values[key] = _parameter(key, value, flow_document, place, settings, resolved, prefix)
    return resolved


def _flow_defaults(flow: Path) -> dict[str, tuple[Any, Document]]:
    """Defaults of `init` in a flex flow's file."""
    if flow.is_dir():
        found = next(
            (flow / f"flow.flex.{end}" for end in ("yaml", "yml") if (flow / f"flow.flex.{end}").is_file()), None
        )
    else:
        found = flow if flow.suffix in (".yaml", ".yml") else None
    if found is None:
        return {}
    document = read_document(found)
    init = document.data.get("init") if isinstance(document.data, dict) else None
    if not isinstance(init, dict):
        return {}
    return {
        str(key): (body["default"], document)
        for key, body in init.items()
        if isinstance(body, dict) and "default" in body
    }


def _depends_on_variables(key: str, value: Any, settings: Settings) -> bool:
    """A default is taken over only where a variable has a say in it; the flow knows its plain defaults itself."""
    if isinstance(value, dict):
        return any(
            _depends_on_variables(name, item, settings) or _convention(key, str(name)) in settings.environ
            for name, item in value.items()
        )
    return (isinstance(value, str) and bool(_WHOLE.search(value))) or _top_level_variable(key, settings) is not None


def _parameter(
    key: str,
    value: Any,
    document: Document,
    place: tuple[str | int, ...],
    settings: Settings,
    resolved: Resolved,
    prefix: str,
) -> Any:
    """One init parameter: a scalar, or a map whose entries are looked at one by one."""
    if isinstance(value, dict):
        return {
            name: _leaf(
                item,
                f"{key}.{name}",
                _convention(key, str(name)),
                document.place(*place, name),
                settings,
                resolved,
                prefix,
            )
            for name, item in value.items()
        }
    variable = _top_level_variable(key, settings)
    fallback = key.upper() if isinstance(value, str) and _WHOLE.fullmatch(value) else variable
    return _leaf(value, key, fallback, document.place(*place), settings, resolved, prefix)


def _leaf(
    value: Any, key: str, variable: str | None, place: Place, settings: Settings, resolved: Resolved, prefix: str
) -> Any:
    name = f"{prefix}.{key}"
    placeholder = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    if placeholder is None and variable and variable in settings.environ and not isinstance(value, (dict, list)):
        chosen = _as_type_of(value, settings.environ[variable])
        _add_setting(resolved, name, chosen, _origin(settings, variable))
        return chosen
    filled = _fill_deep(value, variable, place, settings, resolved)
    origin: tuple[SourceKind, str] = ("base", str(place))
    if placeholder:
        read = placeholder[1] if placeholder[1] in settings.environ else variable
        origin = _origin(settings, read) if read and read in settings.environ else origin
    _add_setting(resolved, name, filled, origin)
    return filled


def _fill_deep(value: Any, variable: str | None, place: Place, settings: Settings, resolved: Resolved) -> Any:
    if isinstance(value, dict):
        return {k: _fill_deep(v, None, place, settings, resolved) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill_deep(item, None, place, settings, resolved) for item in value]
    return _fill(value, variable, place, settings, resolved) if isinstance(value, str) else value


def _fill(text: str, fallback: str | None, place: Place, settings: Settings, resolved: Resolved) -> str:
    """The text with its placeholders replaced; what is not set is noted and left as it stands."""
    whole = _WHOLE.fullmatch(text)
    if whole:
        for name in (whole[1], fallback):
            if name and name in settings.environ:
                return settings.environ[name]
        wanted = whole[1] if not fallback or fallback == whole[1] else f"{whole[1]} or {fallback}"
        resolved.missing.setdefault(wanted, []).append(place)
        return text
    for name in _names_inside(text):
        if name not in settings.environ:
            resolved.missing.setdefault(name, []).append(place)
    return _INSIDE.sub(lambda match: settings.environ.get(match[1], match[0]), text)


def _names_inside(text: str) -> Iterator[str]:
    return (match[1] for match in _INSIDE.finditer(text))


def _convention(parent: str, key: str) -> str:
    """`model_config`, `api_key` -> `MODEL_CONFIG_API_KEY`."""
    return f"{parent}_{key}".upper()


def _top_level_variable(key: str, settings: Settings) -> str | None:
    """The variable that overrides a top-level parameter. One-word names never do: PATH and HOME are somebody else's."""
    name = key.upper()
    return name if "_" in name and name in settings.environ else None


def _as_type_of(literal: Any, text: str) -> Any:
    """A variable's text as the JSON type that it replaces, where it can be read so."""
    if isinstance(literal, (bool, int, float)):
        try:
            value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
        except json.JSONDecodeError:
            return text
        return value if isinstance(value, (bool, int, float)) else text
    return text


def _origin(settings: Settings, name: str) -> tuple[SourceKind, str]:
    source = settings.sources.get(name, "environment")
    return ("environment", name) if source == "environment" else (".env", source)


def _note(resolved: Resolved, name: str, value: Any, origin: tuple[SourceKind, str], key: str) -> None:
    resolved.values[name] = value
    _add_setting(resolved, key, value, origin)


def _add_setting(resolved: Resolved, key: str, value: Any, origin: tuple[SourceKind, str]) -> None:
    resolved.settings.append(Setting(key=key, value=redacted(key, value), source=origin[0], where=origin[1]))
