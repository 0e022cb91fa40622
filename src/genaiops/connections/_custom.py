"""Connections whose fields the user chooses: free ones, and ones with a class of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from genaiops.connections._base import Connection
from genaiops.errors import ConnectionSettingsError

CUSTOM_TYPE_KEY = "promptflow.connection.custom_type"
MODULE_KEY = "promptflow.connection.module"
PACKAGE_KEY = "promptflow.connection.package"
PACKAGE_VERSION_KEY = "promptflow.connection.package_version"
MARKERS = (CUSTOM_TYPE_KEY, MODULE_KEY, PACKAGE_KEY, PACKAGE_VERSION_KEY)


class Secret(str):
    """Marks a field of a connection as secret; a text otherwise."""

    def __repr__(self) -> str:
        return "'******'"


class CustomConnection(Connection):
    """Fields of your own: `configs` may be shown, `secrets` may not.

    >>> connection = CustomConnection(secrets={"token": "secret"}, configs={"url": "https://x"})
    >>> connection.url, connection.get("nothing", "else")
    ('https://x', 'else')
    """

    TYPE, SPELLING = "Custom", "custom"

    def __init__(
        self, secrets: Mapping[str, Any] | None = None, configs: Mapping[str, Any] | None = None, **extra: Any
    ) -> None:
        known = {key: extra[key] for key in ("name", "module") if key in extra}
        super().__init__(secrets=secrets, configs=configs, **known)

    @property
    def custom_type(self) -> str | None:
        """The name of the user's class that this is stored for."""
        return self.configs.get(CUSTOM_TYPE_KEY)

    def to_strong_type(self, cls: type[CustomStrongTypeConnection]) -> CustomStrongTypeConnection:
        """As the user's class.

        Raises:
            ConnectionSettingsError: Fields that the class asks for are missing.
        """
        given = {key: value for key, value in self.items() if key not in MARKERS}
        fields = cls.annotated_fields()
        missing = [name for name in fields if name not in given and not hasattr(cls, name)]
        if missing:
            raise ConnectionSettingsError(
                f"Connection {self.name!r} lacks {', '.join(map(repr, missing))}, which {cls.__name__} asks for.",
                hint="Add them to the connection's configs or secrets.",
            )
        secrets = {key: value for key, value in given.items() if fields.get(key, key in self.secrets) is True}
        configs = {key: value for key, value in given.items() if key not in secrets}
        return cls(secrets=secrets, configs=configs, name=self.name)


class CustomStrongTypeConnection(Connection):
    """Base of connections that users describe as a class with annotated fields.

    >>> class MyConnection(CustomStrongTypeConnection):
    ...     api_key: Secret
    ...     api_base: str = "https://x"
    >>> MyConnection(secrets={"api_key": "k"}).api_base
    'https://x'
    """

    TYPE, SPELLING = "Custom", "custom"

    def __init__(
        self, secrets: Mapping[str, Any] | None = None, configs: Mapping[str, Any] | None = None, **extra: Any
    ) -> None:
        known = {key: extra[key] for key in ("name",) if key in extra}
        given = {**(configs or {}), **(secrets or {})}
        defaults = {key: value for key, value in self._defaults().items() if key not in given}
        fields = self.annotated_fields()
        super().__init__(
            secrets={**{key: value for key, value in defaults.items() if fields[key]}, **(secrets or {})},
            configs={**{key: value for key, value in defaults.items() if not fields[key]}, **(configs or {})},
            module=type(self).__module__,
            **known,
        )

    @property
    def custom_type(self) -> str:
        return type(self).__name__

    @property
    def package(self) -> str | None:
        return getattr(type(self), "package_name", None)

    def __getattribute__(self, key: str) -> Any:
        # A value that was given wins over the class's default, which is an ordinary class attribute.
        if not key.startswith("_") and key not in _OWN:
            own = object.__getattribute__(self, "__dict__")
            for part in ("configs", "secrets"):
                if key in own.get(part, ()):
                    return own[part][key]
        return object.__getattribute__(self, key)

    @classmethod
    def annotated_fields(cls) -> dict[str, bool]:
        """Field names in the order of the class, and whether each is a secret."""
        fields: dict[str, bool] = {}
        base_names = set(Connection.__annotations__)
        for owner in reversed(cls.__mro__):
            if not issubclass(owner, CustomStrongTypeConnection) or owner is CustomStrongTypeConnection:
                continue
            for name, annotation in inspect.get_annotations(owner).items():
                if name not in base_names and not name.startswith("_"):
                    fields[name] = _is_secret(annotation)
        return fields

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {name: getattr(cls, name) for name in cls.annotated_fields() if hasattr(cls, name)}

    def to_execution_dict(self) -> dict[str, Any]:
        """As a custom connection with the markers of its class; **holds secrets**."""
        markers = {CUSTOM_TYPE_KEY: self.custom_type, MODULE_KEY: self.module}
        value = {key: value for key, value in self.items() if value is not None}
        return {
            "type": "CustomConnection",
            "module": "promptflow.connections",
            "value": {**value, **markers},
            "secret_keys": list(self.secrets),
        }


_OWN = frozenset(dir(CustomStrongTypeConnection)) | {"name", "module", "configs", "secrets"}


def _is_secret(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.rsplit(".", 1)[-1].strip("'\"") == "Secret"
    return getattr(annotation, "__name__", "") == "Secret"
