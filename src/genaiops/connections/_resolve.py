"""One connection out of all that is said about it: for each field the first source that has a value wins.

environment > `.env` > `experiment.yaml` > connection files > a connection that lives in variables alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from genaiops.connections._base import SCRUBBED, Connection, Field
from genaiops.connections._custom import MARKERS, CustomConnection
from genaiops.connections._definition import Definition, is_blank
from genaiops.connections._placeholders import (
    Filled,
    field_variables,
    fill_placeholders,
    has_placeholder,
    variable_prefix,
)
from genaiops.connections._redaction import is_secret_variable
from genaiops.connections._spelling import connection_class
from genaiops.connections._types import (
    AUTH_ENTRA,
    AzureOpenAIConnection,
    OpenAIConnection,
    SimulatedConnection,
    normal_auth_mode,
)
from genaiops.errors import ConnectionSettingsError
from genaiops.records import record

_ALONE = ("API_KEY", "API_BASE", "BASE_URL", "ENDPOINT", "CONNECTION_TYPE")


@record(frozen=True, slots=True)
class MissingValue:
    """A value that a connection needs and nobody set.

    Args:
        connection: Its connection.
        field: The field; empty when nothing at all is known about the connection.
        variables: The variables that would set it, the usual one first.
        where: The file and line that ask for it, when one does.
    """

    connection: str
    field: str
    variables: tuple[str, ...]
    where: str = ""

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.connection}.{self.field or '*'}: set {' or '.join(self.variables)}{where}"


@record(frozen=True, slots=True)
class Resolved:
    """What is known about one connection.

    Args:
        cls: Its type.
        values: Field values in force; missing ones are None.
        secret_keys: Which of them are secret.
        sources: Where each value comes from: a variable, a file and line, `default`.
        missing: What is needed and not set.
        unknown: Fields written somewhere that the type does not have, with where.
    """

    name: str
    cls: type[Connection]
    values: Mapping[str, Any] = field(repr=False)
    secret_keys: frozenset[str]
    sources: Mapping[str, str]
    missing: tuple[MissingValue, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()

    def build(self) -> Connection:
        """The connection; values that are missing are None."""
        if self.cls is CustomConnection:
            secrets = {key: value for key, value in self.values.items() if key in self.secret_keys}
            configs = {key: value for key, value in self.values.items() if key not in self.secret_keys}
            return CustomConnection(secrets=secrets, configs=configs, name=self.name)
        given = {key: value for key, value in self.values.items() if value is not None}
        blanks = {item.name: "" for item in self.cls.FIELDS if item.required and item.name not in given}
        return self.cls(**{**blanks, **given, "name": self.name})

    def shown(self) -> dict[str, Any]:
        """Name, type and each field with its source; secrets scrubbed."""
        fields = {
            key: {
                "value": SCRUBBED if key in self.secret_keys and value else value,
                "source": self.sources.get(key, "default"),
            }
            for key, value in self.values.items()
            if value is not None and key not in MARKERS
        }
        missing = [
            {"field": item.field, "variables": list(item.variables), "where": item.where} for item in self.missing
        ]
        return {"name": self.name, "type": self.cls.SPELLING, "fields": fields, "missing": missing}


class Resolver:
    """Resolves connections against one environment.

    Args:
        environ: Variables of the process and of `.env` files.
        variable_sources: Where each variable comes from.
    """

    def __init__(self, environ: Mapping[str, str], variable_sources: Mapping[str, str]) -> None:
        self._environ = environ
        self._variable_sources = variable_sources

    def lives_in_variables(self, name: str) -> bool:
        """Whether variables alone say enough to know that there is such a connection."""
        prefix = variable_prefix(name)
        return any(self._environ.get(f"{prefix}_{ending}") for ending in _ALONE)

    def resolve(self, name: str, definitions: Sequence[Definition]) -> Resolved:
        """What is in force.

        Raises:
            ConnectionSettingsError: A type that nobody knows, or an `auth_mode` that means nothing.
        """
        cls, type_source = self._class_of(name, definitions)
        fitting = [item for item in definitions if item.spelling is None or self._same_type(item, cls, name)]
        if cls is CustomConnection:
            return self._resolve_custom(name, fitting)
        values: dict[str, Any] = {}
        sources: dict[str, str] = {"type": type_source}
        missing: list[MissingValue] = []
        for item in cls.FIELDS:
            value, source, lacking = self._field(name, item, fitting)
            values[item.name], sources[item.name] = value, source
            if lacking is not None:
                missing.append(lacking)
        values, missing = _settle_key(name, cls, values, missing, fitting)
        return Resolved(
            name=name,
            cls=cls,
            values=values,
            secret_keys=frozenset(item.name for item in cls.FIELDS if item.secret),
            sources=sources,
            missing=tuple(missing),
            unknown=tuple(_unknown_fields(cls, fitting)),
        )

    def _class_of(self, name: str, definitions: Sequence[Definition]) -> tuple[type[Connection], str]:
        variable = f"{variable_prefix(name)}_CONNECTION_TYPE"
        if written := self._environ.get(variable):
            return connection_class(written, connection=name, file=None), self._variable(variable)
        for item in definitions:
            if item.spelling is not None:
                filled = fill_placeholders(item.spelling, self._environ).value or item.spelling
                line = item.lines.get("connection_type") or item.lines.get("type") or item.lines.get("")
                cls = connection_class(filled, connection=name, file=item.source or None, line=line)
                return cls, item.where("type")
        version = f"{variable_prefix(name)}_API_VERSION"
        if self._environ.get(version):
            return AzureOpenAIConnection, f"{version} is set"
        return OpenAIConnection, "default"

    def _same_type(self, item: Definition, cls: type[Connection], name: str) -> bool:
        filled = fill_placeholders(item.spelling, self._environ).value or item.spelling
        return connection_class(filled, connection=name) is cls

    def _field(self, name: str, item: Field, definitions: Sequence[Definition]) -> tuple[Any, str, MissingValue | None]:
        """Value, source, and what is missing when a needed value has none."""
        written = next((found for found in definitions if not is_blank(found.values.get(item.name))), None)
        variables = field_variables(name, item)
        lacking: tuple[str, ...] = ()
        if written is not None and has_placeholder(written.values[item.name]):
            # What is written wins over the convention: it was chosen for this very field.
            filled = fill_placeholders(written.values[item.name], self._environ)
            if not filled.missing:
                return self._typed(item, filled.value), f"{self._variables(filled)}, {written.where(item.name)}", None
            lacking = filled.missing
        for variable in variables:
            if found := self._environ.get(variable):
                return self._typed(item, found), self._variable(variable), None
        if written is not None and not lacking:
            return written.values[item.name], written.where(item.name), None
        if item.required or lacking:
            where = written.where(item.name) if written else next((d.where() for d in definitions), "")
            asked = tuple(dict.fromkeys((*lacking, *variables[:1])))
            return item.default, "default", MissingValue(name, item.name, asked, where)
        return item.default, "default", None

    def _typed(self, item: Field, text: Any) -> Any:
        """A variable is text; a field with a number or a list as its default wants that."""
        if isinstance(text, str) and item.name == "rules":
            return json.loads(text)
        return text

    def _resolve_custom(self, name: str, definitions: Sequence[Definition]) -> Resolved:
        keys = dict.fromkeys(key for item in definitions for key in item.values)
        prefix = f"{variable_prefix(name)}_"
        from_variables: dict[str, str] = {}
        if not definitions:
            own = (variable for variable in self._environ if variable.startswith(prefix))
            from_variables = {v.removeprefix(prefix).lower(): v for v in own if v != f"{prefix}CONNECTION_TYPE"}
        secret_keys = {key for item in definitions for key in item.secret_keys}
        secret_keys |= {key for key, variable in from_variables.items() if is_secret_variable(variable)}
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        missing: list[MissingValue] = []
        for key in [*keys, *from_variables]:
            # A blank among the configs is a value; a blank secret is one that is still to come.
            asked = Field(key, required=key in secret_keys)
            values[key], sources[key], lacking = self._field(name, asked, definitions)
            if values[key] is None and not asked.required and lacking is None:
                values[key] = next((d.values[key] for d in definitions if key in d.values), None)
            if lacking is not None:
                missing.append(lacking)
        return Resolved(
            name=name,
            cls=CustomConnection,
            values=values,
            secret_keys=frozenset(secret_keys),
            sources=sources,
            missing=tuple(missing),
        )

    def _variable(self, name: str) -> str:
        source = self._variable_sources.get(name, "environment")
        return f"{name} ({source})"

    def _variables(self, filled: Filled) -> str:
        return ", ".join(map(self._variable, filled.variables))


def _settle_key(
    name: str,
    cls: type[Connection],
    values: dict[str, Any],
    missing: list[MissingValue],
    definitions: Sequence[Definition],
) -> tuple[dict[str, Any], list[MissingValue]]:
    """A key is needed unless the connection signs in with Entra ID."""
    if "auth_mode" not in values:
        return values, missing
    try:
        mode = normal_auth_mode(values["auth_mode"])
    except ConnectionSettingsError as error:
        place = next((d for d in definitions if "auth_mode" in d.values), None)
        raise ConnectionSettingsError(
            f"Connection {name!r}: {error.message}",
            file=place.source if place else None,
            line=place.lines.get("auth_mode") if place else None,
            hint=error.hint,
        ) from None
    values = {**values, "auth_mode": mode}
    if mode == AUTH_ENTRA:
        return {**values, "api_key": None}, [item for item in missing if item.field != "api_key"]
    if not values.get("api_key") and all(item.field != "api_key" for item in missing):
        variable = f"{variable_prefix(name)}_API_KEY"
        where = next((item.where("api_key") for item in definitions), "")
        missing = [*missing, MissingValue(name, "api_key", (variable,), where)]
    return values, missing


def _unknown_fields(cls: type[Connection], definitions: Sequence[Definition]) -> list[tuple[str, str]]:
    known = {item.name for item in cls.FIELDS} | {"share_hang"}
    if cls is SimulatedConnection:
        known |= {"api_key", "api_base", "api_version", "api_type", "base_url"}
    return [
        (key, item.where(key))
        for item in definitions
        for key in item.values
        if key not in known and not key.startswith("promptflow.connection.")
    ]
