"""What every connection is: a name, a type, fields, and among them secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from genaiops.records import record

SCRUBBED = "******"
MODULE = "promptflow.connections"  # where flows import connections from; also the `module` of the execution form


@record(frozen=True, slots=True)
class Field:
    """One field of a connection type.

    Args:
        name: As written in connection files.
        default: None where there is none.
        required: A connection without it cannot be used.
        secret: Never shown, never written.
        variables: Other endings of environment variables that set it: `API_BASE` is also `ENDPOINT`.
    """

    name: str
    default: Any = None
    required: bool = False
    secret: bool = False
    variables: tuple[str, ...] = ()


class Connection:
    """How to reach a model or a service.

    Fields are attributes; the mapping protocol gives `dict(connection)` and `**connection`, secrets included.
    Printing shows secrets as `******`.
    """

    TYPE: ClassVar[str] = ""
    """As prompt flow's `.type` says it: `AzureOpenAI`."""
    SPELLING: ClassVar[str] = ""
    """As connection files say it: `azure_open_ai`."""
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    name: str | None
    configs: dict[str, Any]
    secrets: dict[str, Any]

    def __init__(
        self,
        *,
        name: str | None = None,
        module: str = MODULE,
        configs: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Any] | None = None,
        **_ignored: Any,
    ) -> None:
        own = self.__dict__
        own["name"] = name
        own["module"] = module
        own["configs"] = dict(configs or {})
        own["secrets"] = dict(secrets or {})

    @property
    def type(self) -> str:
        """The type's name: `AzureOpenAI`, `OpenAI`, `Custom`, …."""
        return self.TYPE

    def keys(self) -> list[str]:
        return [*self.configs, *self.secrets]

    def __getitem__(self, key: str) -> Any:
        if key in self.configs:
            return self.configs[key]
        if key in self.secrets:
            return self.secrets[key]
        raise KeyError(f"Key {key!r} not found in connection {self.name!r}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.configs or key in self.secrets

    def get(self, key: str, default: Any = None) -> Any:
        return self.configs.get(key, self.secrets.get(key, default))

    def items(self) -> list[tuple[str, Any]]:
        return [(key, self[key]) for key in self.keys()]

    def values(self) -> list[Any]:
        return [self[key] for key in self.keys()]

    def is_secret(self, key: str) -> bool:
        return key in self.secrets

    def __getattr__(self, key: str) -> Any:
        # Only called for what is not a real attribute. Through __dict__, because unpickling asks before there is one.
        own = self.__dict__
        for part in ("configs", "secrets"):
            if key in own.get(part, ()):
                return own[part][key]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}")

    def __setattr__(self, key: str, value: Any) -> None:
        own = self.__dict__
        for part in ("configs", "secrets"):
            if key in own.get(part, ()):
                own[part][key] = value
                return
        own[key] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Connection):
            return NotImplemented
        return type(self) is type(other) and self.name == other.name and dict(self) == dict(other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """The fields, with secrets scrubbed."""
        shown = {key: value for key, value in self.configs.items() if value is not None}
        shown |= dict.fromkeys((key for key, value in self.secrets.items() if value), SCRUBBED)
        fields = ", ".join(f"{key}={value!r}" for key, value in {"name": self.name, **shown}.items() if value)
        return f"{type(self).__name__}({fields})"

    __str__ = __repr__

    def to_execution_dict(self) -> dict[str, Any]:
        """The form that engines pass around; **holds secrets**."""
        return {
            "type": type(self).__name__,
            "module": MODULE,
            "value": {key: value for key, value in self.items() if value is not None},
            "secret_keys": list(self.secrets),
        }


def split_fields(fields: tuple[Field, ...], values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values as (configs, secrets), each in the order of the type's fields."""
    configs = {field.name: values.get(field.name) for field in fields if not field.secret}
    secrets = {field.name: values.get(field.name) for field in fields if field.secret}
    return configs, secrets
