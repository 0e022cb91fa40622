"""All connections that one run can name."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.connections._base import Connection
from genaiops.connections._custom import MARKERS
from genaiops.connections._definition import Definition, read_definition
from genaiops.connections._files import find_connection_files, read_connection_file, read_execution_json
from genaiops.connections._local import LocalConnections
from genaiops.connections._placeholders import variable_prefix
from genaiops.connections._redaction import Redactor, is_secret_variable, is_worth_hiding, passwords_in
from genaiops.connections._resolve import MissingValue, Resolved, Resolver
from genaiops.connections._spelling import CONNECTION_TYPES, connection_class
from genaiops.errors import ConnectionSettingsError, suggest

if TYPE_CHECKING:
    from genaiops.settings import Settings

_log = logging.getLogger(__name__)
_HOOK = "PROMPTFLOW_CONNECTIONS"
_NAME_IN_VARIABLE = re.compile(r"^(\w+?)_(?:API_KEY|API_BASE|BASE_URL|CONNECTION_TYPE)$")


class ConnectionStore:
    """Connections by name, resolved on demand; the only keeper of their secrets.

    >>> store = ConnectionStore.of({"chat": {"type": "simulated", "reply": "Paris"}})
    >>> store.get("chat").reply
    'Paris'
    """

    def __init__(self, definitions: Mapping[str, Sequence[Definition]], resolver: Resolver) -> None:
        self._definitions = {name: list(items) for name, items in definitions.items()}
        self._resolver = resolver
        self._resolved: dict[str, Resolved] = {}
        self._objects: dict[str, Connection] = {}  # that were put in
        self._built: dict[str, Connection] = {}
        self._names_in_variables: tuple[str, ...] = ()
        self._more_secrets: tuple[str, ...] = ()
        self._recorded_types: dict[str, str] = {}
        self._errors: dict[str, ConnectionSettingsError] = {}
        self._is_replay = False

    @classmethod
    def load(
        cls, settings: Settings, *, declared: Sequence[Mapping[str, Any]] = (), folders: Sequence[Path] = ()
    ) -> ConnectionStore:
        """Read what is declared, the connection files in `folders`, and the environment.

        For each field the first of these wins: environment, `.env`, declared (`connections:` of `experiment.yaml`),
        connections that `connection create` keeps, connection files, a connection that lives in variables alone.

        Raises:
            ConnectionSettingsError: A file that cannot be read as what it seems to be.
        """
        definitions: dict[str, list[Definition]] = {}
        for item in _all_definitions(settings, declared, folders):
            definitions.setdefault(item.name, []).append(item)
        store = cls(definitions, Resolver(settings.environ, settings.sources))
        store._names_in_variables = tuple(_names_in_variables(settings.environ, definitions))
        store._more_secrets = tuple(
            secret
            for name, value in settings.environ.items()
            for secret in ([value] if is_secret_variable(name) else passwords_in(value))
            if secret
        )
        return store

    @classmethod
    def of(
        cls, connections: Mapping[str, Connection | Mapping[str, Any]], *, environ: Mapping[str, str] | None = None
    ) -> ConnectionStore:
        """Connections that are at hand: objects, or mappings as in a connection file. For notebooks and tests."""
        written = {name: item for name, item in connections.items() if not isinstance(item, Connection)}
        definitions = {name: [read_definition({**item, "name": name})] for name, item in written.items()}
        store = cls(definitions, Resolver(environ or {}, {}))
        for name, item in connections.items():
            if isinstance(item, Connection):
                if item.name is None:
                    item.__dict__["name"] = name
                store._objects[name] = item
        return store

    def add(self, name: str, connection: Connection) -> None:
        """Put a ready connection in; it wins over all that is written elsewhere."""
        self._objects[name] = connection

    def get(self, name: str) -> Connection:
        """The connection, ready for use.

        Raises:
            ConnectionSettingsError: No such connection (kind `ConnectionNotFoundError`), or values are missing:
                then all of them are named.
        """
        ready = self._objects.get(name) or self._built.get(name)
        if ready is not None:
            return ready
        resolved = self._resolve(name)
        if resolved is None:
            raise self._not_found(name)
        if resolved.missing and not self._is_replay:
            raise missing_values_error(resolved.missing)
        connection = resolved.build()
        self._built[name] = connection
        return connection

    def names(self) -> list[str]:
        """Every connection that can be named, those in variables alone included."""
        return sorted({*self._definitions, *self._objects, *self._names_in_variables})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._objects or self._resolve(name) is not None)

    def missing(self, names: Iterable[str]) -> list[MissingValue]:
        """What these connections need and nobody set; a connection that nobody knows is one entry without a field."""
        found: list[MissingValue] = []
        for name in names:
            if name in self._objects or self._is_replay:
                continue
            resolved = self._resolve(name)
            if resolved is None:
                prefix = variable_prefix(name)
                found.append(MissingValue(name, "", (f"{prefix}_API_KEY", f"{prefix}_CONNECTION_TYPE")))
            else:
                found += resolved.missing
        return found

    def require(self, names: Iterable[str]) -> None:
        """Make sure that all of these can be used.

        Raises:
            ConnectionSettingsError: One is unknown, or values are missing: all of them in one error.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in self and not self._is_replay:
                raise self._not_found(name)
        if missing := self.missing(wanted):
            raise missing_values_error(missing)

    def describe(self, name: str) -> dict[str, Any]:
        """Name, type, and each field with its value and where it came from; secrets scrubbed.

        Raises:
            ConnectionSettingsError: No such connection.
        """
        resolved = self._resolve(name)
        if name in self._objects and resolved is None:
            return _describe_object(name, self._objects[name])
        if resolved is None:
            raise self._not_found(name)
        return Redactor(self.secrets()).json(resolved.shown())  # type: ignore[no-any-return]

    def check(self, name: str) -> list[str]:
        """What is wrong with a connection, as far as can be told without calling it; empty when nothing is.

        Raises:
            ConnectionSettingsError: No such connection, or a type that nobody knows.
        """
        resolved = self._resolve(name)
        if resolved is None:
            if name in self._objects:
                return []
            raise self._not_found(name)
        problems = [f"{item.field} is not set: set {' or '.join(item.variables)}." for item in resolved.missing]
        for key in ("api_base", "base_url", "endpoint"):
            value = resolved.values.get(key)
            if value and not re.match(r"https?://[^/\s]+", str(value)):
                problems.append(f"{key} is {value!r}, which is not an address; it begins with https:// or http://.")
        fields = [field.name for field in resolved.cls.FIELDS]
        problems += [f"{key} ({where}) is not a field. {suggest(key, fields)}" for key, where in resolved.unknown]
        return [Redactor(self.secrets())(problem) for problem in problems]

    def as_variables(self, name: str) -> dict[str, str]:
        """The variables that make the same connection where no file declares it. **Holds secrets**: never to disk.

        A value that is missing here is empty. Of an unknown connection there is nothing.
        """
        resolved = self._resolve(name)
        if resolved is None:
            return {}
        prefix = variable_prefix(name)
        lacking = {item.field for item in resolved.missing}
        found = {f"{prefix}_CONNECTION_TYPE": resolved.cls.SPELLING}
        for key, value in resolved.values.items():
            if key in lacking or (value is not None and key not in MARKERS and not self._is_default(resolved, key)):
                text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
                found[f"{prefix}_{variable_prefix(key)}"] = text
        return found

    @staticmethod
    def _is_default(resolved: Resolved, key: str) -> bool:
        return resolved.sources.get(key, "default") == "default"

    def secrets(self) -> list[str]:
        """Every secret that must not be written anywhere, those of unused connections and variables included."""
        found: dict[str, None] = {}
        for connection in self._known_connections():
            found.update(dict.fromkeys(str(value) for value in connection.secrets.values() if value))
            texts = (value for value in connection.configs.values() if isinstance(value, str))
            found.update(dict.fromkeys(secret for text in texts for secret in passwords_in(text)))
        found.update(dict.fromkeys(self._more_secrets))
        return [secret for secret in found if is_worth_hiding(secret)]

    def redactor(self) -> Redactor:
        """Takes all of these secrets out of whatever is written."""
        return Redactor(self.secrets())

    def for_replay(self, recording: Path | None = None) -> ConnectionStore:
        """The same connections for replayed model calls: no value has to be set.

        A connection that is described nowhere takes its type from the recording.
        """
        from genaiops.connections._recording import recorded_connection_types

        store = ConnectionStore(self._definitions, self._resolver)
        store._objects = dict(self._objects)
        store._names_in_variables = self._names_in_variables
        store._more_secrets = self._more_secrets
        store._is_replay = True
        store._recorded_types = recorded_connection_types(recording) if recording and recording.is_file() else {}
        return store

    def to_message(self) -> dict[str, Any]:
        """What travels to a flow host through its pipe. **Holds secrets**: never to disk."""
        ready: dict[str, Any] = {}
        for name in {*self.names(), *self._recorded_types}:
            if name in self._objects:
                ready[name] = _object_message(self._objects[name])
                continue
            try:
                resolved = self._resolve(name)
            except ConnectionSettingsError as error:
                ready[name] = {"error": [error.message, error.hint, error.kind, error.file, error.line]}
                continue
            if resolved is not None:
                ready[name] = _resolved_message(resolved)
        return {
            "connections": ready,
            "alone": list(self._names_in_variables),
            "secrets": list(self._more_secrets),
            "replay": self._is_replay,
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> ConnectionStore:
        """The store at the other end of the pipe."""
        store = cls({}, Resolver({}, {}))
        store._more_secrets = tuple(message.get("secrets", ()))
        store._is_replay = bool(message.get("replay"))
        store._names_in_variables = tuple(message.get("alone", ()))
        for name, item in message["connections"].items():
            if "object" in item:
                store._objects[name] = _object_from_message(name, item["object"])
            elif "error" in item:
                message_, hint, kind, file, line = item["error"]
                error = ConnectionSettingsError(message_, hint=hint, kind=kind, file=file, line=line)
                store._errors[name], store._definitions[name] = error, []
            else:
                store._resolved[name] = _resolved_from_message(name, item)
                store._definitions[name] = []
        return store

    def __repr__(self) -> str:
        return f"ConnectionStore({', '.join(self.names())})"

    def _resolve(self, name: str) -> Resolved | None:
        if name in self._errors:
            raise self._errors[name]
        if name in self._resolved:
            return self._resolved[name]
        definitions = self._definitions.get(name, [])
        if not definitions and (same := self._same_in_variables(name)) is not None:
            self._resolved[name] = replace(self._resolved[same], name=name)
            return self._resolved[name]
        if not definitions and not self._resolver.lives_in_variables(name):
            if name not in self._recorded_types:
                return None
            definitions = [Definition(name, self._recorded_types[name], {}, source="the recording")]
        resolved = self._resolver.resolve(name, definitions)
        self._resolved[name] = resolved
        return resolved

    def _same_in_variables(self, name: str) -> str | None:
        """A connection that came through the pipe and lives in the variables that this name stands for too."""
        prefix = variable_prefix(name)
        alone = (other for other in self._names_in_variables if variable_prefix(other) == prefix)
        return next((other for other in alone if other in self._resolved), None)

    def _known_connections(self) -> list[Connection]:
        found = list(self._objects.values())
        for name in self.names():
            if name in self._objects:
                continue
            try:
                resolved = self._resolve(name)
            except ConnectionSettingsError:
                continue
            if resolved is not None:
                found.append(resolved.build())
        return found

    def _not_found(self, name: str) -> ConnectionSettingsError:
        prefix = variable_prefix(name)
        return ConnectionSettingsError(
            f"Connection {name!r} is not found.",
            hint=f"{suggest(name, self.names())} A connection may also live in variables alone: set {prefix}_API_KEY.",
            kind="ConnectionNotFoundError",
        )


def missing_values_error(missing: Sequence[MissingValue]) -> ConnectionSettingsError:
    """One error that names every missing value."""
    count = len(missing)
    lines = "".join(f"\n  {item}" for item in missing)
    return ConnectionSettingsError(
        f"{count} connection {'value is' if count == 1 else 'values are'} not set:{lines}\n",
        hint="Set the variables in the environment or in .env.",
        kind="MissingConnectionValues",
    )


def _all_definitions(
    settings: Settings, declared: Sequence[Mapping[str, Any]], folders: Sequence[Path]
) -> Iterable[Definition]:
    if hook := settings.environ.get(_HOOK):
        yield from read_execution_json(Path(hook))
    for item in declared:
        definition = read_definition(item, source=str(item.get("$source", "")) or "experiment.yaml")
        if definition.name:
            yield definition
        else:
            _log.warning("A connection without a name is left out (%s).", definition.where())
    yield from LocalConnections(settings.state).definitions()
    for path in find_connection_files([*folders, settings.project]):
        yield read_connection_file(path)


def _names_in_variables(environ: Mapping[str, str], known: Iterable[str]) -> list[str]:
    taken = {variable_prefix(name) for name in known}
    found = {match[1] for name, value in environ.items() if value and (match := _NAME_IN_VARIABLE.match(name))}
    return sorted(prefix.lower() for prefix in found if prefix.upper() == prefix and prefix not in taken)


def _describe_object(name: str, connection: Connection) -> dict[str, Any]:
    fields = {
        key: {"value": "******" if connection.is_secret(key) else value, "source": "given as an object"}
        for key, value in connection.items()
        if value is not None
    }
    return {"name": name, "type": connection.SPELLING, "fields": fields, "missing": []}


def _resolved_message(resolved: Resolved) -> dict[str, Any]:
    return {
        "type": resolved.cls.SPELLING,
        "values": dict(resolved.values),
        "secret_keys": sorted(resolved.secret_keys),
        "sources": dict(resolved.sources),
        "missing": [[item.connection, item.field, list(item.variables), item.where] for item in resolved.missing],
    }


def _resolved_from_message(name: str, message: Mapping[str, Any]) -> Resolved:
    missing = tuple(MissingValue(a, b, tuple(variables), d) for a, b, variables, d in message["missing"])
    return Resolved(
        name=name,
        cls=CONNECTION_TYPES[message["type"]],
        values=message["values"],
        secret_keys=frozenset(message["secret_keys"]),
        sources=message["sources"],
        missing=missing,
    )


def _object_message(connection: Connection) -> dict[str, Any]:
    form = connection.to_execution_dict()
    json.dumps(form)  # an object that cannot travel should fail here, not in the other process
    return {"object": {**form, "name": connection.name}}


def _object_from_message(name: str, form: Mapping[str, Any]) -> Connection:
    definition = read_definition({**form, "name": name})
    connection = Resolver({}, {}).resolve(name, [definition]).build()
    connection.__dict__["name"] = form.get("name") or name
    return connection


def connection_from_dict(form: Mapping[str, Any], *, name: str | None = None) -> Connection:
    """A connection from its execution form (`type`, `value`, `secret_keys`) or a flat mapping; no variables are read.

    Raises:
        ConnectionSettingsError: The type is unknown, or values are missing.
    """
    definition = read_definition(form, name=name)
    connection_class(definition.spelling or "", connection=definition.name)
    resolved = Resolver({}, {}).resolve(definition.name, [definition])
    if resolved.missing:
        raise missing_values_error(resolved.missing)
    return resolved.build()
