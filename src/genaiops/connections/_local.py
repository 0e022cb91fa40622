"""Connections that `connection create` keeps: YAML files in the state folder, secrets in a file of their own."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.connections._base import SCRUBBED
from genaiops.connections._custom import CustomConnection
from genaiops.connections._definition import Definition, is_blank, read_definition
from genaiops.connections._placeholders import has_placeholder
from genaiops.connections._spelling import connection_class
from genaiops.errors import ConnectionSettingsError, suggest

_log = logging.getLogger(__name__)
_KEEP = re.compile(r"^\s*(\*+|<no-change>)\s*$")
_NAME = re.compile(r"^[\w .-]{1,200}$")


class LocalConnections:
    """Connections in `<state>/connections/`: one YAML file each, without secrets.

    Secrets that were given as text stand in `secrets.json` beside them, **as plain text**, readable by the owner
    only (mode 0600) and ignored by git. A placeholder `${env:NAME}` stays a placeholder in the YAML file.

    Args:
        state: The state folder of the settings.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "connections"
        self._secrets_file = self._folder / "secrets.json"

    def definitions(self) -> list[Definition]:
        """What is kept, secrets included."""
        if not self._folder.is_dir():
            return []
        secrets = self._read_secrets()
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if path == self._secrets_file:
                continue
            kept = read_definition(json.loads(path.read_text(encoding="utf-8")), name=path.stem, source=str(path))
            own = secrets.get(kept.name, {})
            found.append(replace(kept, values={**kept.values, **own}, secret_keys=kept.secret_keys | set(own)))
        return found

    def names(self) -> list[str]:
        return [item.name for item in self.definitions()]

    def create(self, written: Mapping[str, Any], *, name: str | None = None) -> list[str]:
        """Keep a connection, or replace one of the same name.

        Args:
            written: As in a connection file.
            name: Instead of the name written there.

        Returns:
            Secret fields without a value: somebody has to be asked, or the environment has to set them.

        Raises:
            ConnectionSettingsError: No name, an unknown type, or "keep the secret" where none is kept.
        """
        given = read_definition({**written, **({"name": name} if name else {})})
        if not given.name or not _NAME.match(given.name):
            raise ConnectionSettingsError(
                f"A connection cannot be called {given.name!r}.", hint="Use letters, digits, blanks, '-', '_' and '.'."
            )
        cls = connection_class(given.spelling or "", connection=given.name)
        secret_keys = given.secret_keys | {field.name for field in cls.FIELDS if field.secret}
        kept = self._read_secrets()
        own = self._secrets_of(given, secret_keys, kept.get(given.name, {}))
        plain = {
            key: value
            for key, value in given.values.items()
            if key not in own and not _is_open(key, value, secret_keys)
        }
        self._write_secrets({**kept, given.name: own})
        self._write_definition(given.name, cls.SPELLING, plain, sorted(secret_keys & {*plain, *own}))
        if cls is not CustomConnection and plain.get("auth_mode") == "meid_token":
            return []
        return sorted(key for key in secret_keys if key not in own and key not in plain)

    def update(self, name: str, changes: Mapping[str, Any]) -> list[str]:
        """Change fields of a kept connection; answers as `create`.

        Raises:
            ConnectionSettingsError: No connection of that name is kept.
        """
        before = next((item for item in self.definitions() if item.name == name), None)
        if before is None:
            raise self._not_found(name)
        form = {"type": before.spelling, "value": {**before.values, **changes}, "secret_keys": list(before.secret_keys)}
        return self.create(form, name=name)

    def create_from_variables(self, variables: Mapping[str, str], *, name: str) -> list[str]:
        """Keep a custom connection with every variable (of a `.env` file) as a secret."""
        return self.create({"type": "custom", "secrets": dict(variables)}, name=name)

    def delete(self, name: str) -> None:
        """Forget a connection and its secrets.

        Raises:
            ConnectionSettingsError: No connection of that name is kept.
        """
        path = self._path(name)
        if not path.is_file():
            raise self._not_found(name)
        path.unlink()
        self._write_secrets({key: value for key, value in self._read_secrets().items() if key != name})

    def _secrets_of(
        self, given: Definition, secret_keys: frozenset[str] | set[str], kept: Mapping[str, Any]
    ) -> dict[str, Any]:
        own: dict[str, Any] = {}
        for key in secret_keys & set(given.values):
            value = given.values[key]
            if isinstance(value, str) and _KEEP.match(value):
                if key not in kept:
                    raise ConnectionSettingsError(
                        f"Connection {given.name!r} keeps no {key!r} yet, so {value!r} cannot stand for it.",
                        hint="Give the value, or a placeholder such as ${env:NAME}.",
                    )
                own[key] = kept[key]
            elif not is_blank(value) and not has_placeholder(value):
                own[key] = value
        return own

    def _path(self, name: str) -> Path:
        return self._folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.json"

    def _read_secrets(self) -> dict[str, dict[str, Any]]:
        try:
            return dict(json.loads(self._secrets_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConnectionSettingsError(
                "The file of connection secrets cannot be read.",
                file=self._secrets_file,
                hint="Delete it and create the connections again.",
            ) from error

    def _write_secrets(self, secrets: Mapping[str, Mapping[str, Any]]) -> None:
        filled = {name: dict(values) for name, values in sorted(secrets.items()) if values}
        if filled or self._secrets_file.exists():
            self._write(self._secrets_file, filled, mode=0o600)

    def _write_definition(self, name: str, spelling: str, values: Mapping[str, Any], secret_keys: list[str]) -> None:
        form = {"name": name, "type": spelling, "value": dict(values), "secret_keys": secret_keys}
        self._write(self._path(name), form, mode=0o644)

    def _write(self, path: Path, value: Any, *, mode: int) -> None:
        """In one step: a reader sees the old file or the new one, and never one that others may read."""
        self._folder.mkdir(parents=True, exist_ok=True)
        ignore = self._folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".writing-")  # mode 0600 from the start
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)

    def _not_found(self, name: str) -> ConnectionSettingsError:
        return ConnectionSettingsError(
            f"Connection {name!r} is not found.",
            hint=suggest(name, self.names()),
            kind="ConnectionNotFoundError",
        )


def _is_open(key: str, value: Any, secret_keys: frozenset[str] | set[str]) -> bool:
    return key in secret_keys and is_blank(value)


def shown_definition(definition: Definition) -> dict[str, Any]:
    """A kept connection for people and `--json`: secrets scrubbed."""
    fields = {
        key: SCRUBBED if key in definition.secret_keys and not has_placeholder(value) else value
        for key, value in definition.values.items()
    }
    return {"name": definition.name, "type": definition.spelling, **fields}
