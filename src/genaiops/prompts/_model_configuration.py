"""Which model: the objects that flow code builds, mappings in front matter, and the connection behind either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from genaiops.errors import ConnectionSettingsError, suggest

if TYPE_CHECKING:
    from genaiops.connections import Connection
    from genaiops.prompts._services import PromptServices

_UNRESOLVED = re.compile(r"\$\{(?:(?:env|ENV):)?(\w+)\}")
_NOT_FIELDS = frozenset({"type", "connection", "model", "azure_deployment"})
_TYPES = {"azureopenai": "azure_openai", "openai": "openai"}


class ModelConfiguration:
    """Base of what says which model a prompty or a flow uses."""

    connection: str | None
    _type: ClassVar[str] = ""
    _exclusive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Refuse a connection beside the fields that it brings."""
        if self.connection and any(getattr(self, name) for name in self._exclusive):
            raise _both()


@dataclass
class AzureOpenAIModelConfiguration(ModelConfiguration):
    """A deployment of Azure OpenAI.

    >>> AzureOpenAIModelConfiguration(azure_deployment="gpt-4o", connection="aoai").connection
    'aoai'

    Args:
        azure_deployment: Name of the deployment.
        azure_endpoint: Address of the resource.
        api_version: Of the service.
        api_key: Without one, Microsoft Entra ID signs in.
        connection: Name of a connection, instead of the three above.
    """

    azure_deployment: str
    azure_endpoint: str | None = None
    api_version: str | None = None
    api_key: str | None = field(default=None, repr=False)
    connection: str | None = None

    _type: ClassVar[str] = "AzureOpenAI"
    _exclusive: ClassVar[tuple[str, ...]] = ("azure_endpoint", "api_version", "api_key")

    @classmethod
    def from_connection(cls, connection: Connection, azure_deployment: str) -> AzureOpenAIModelConfiguration:
        """The same model through the fields of a connection object."""
        return cls(
            azure_deployment=azure_deployment,
            azure_endpoint=connection.api_base,
            api_version=connection.api_version,
            api_key=connection.api_key,
        )


@dataclass
class OpenAIModelConfiguration(ModelConfiguration):
    """A model of OpenAI, or of a server that speaks its protocol.

    Args:
        model: Name of the model.
        base_url: Address of another server.
        api_key: Of the account.
        organization: Of the account.
        connection: Name of a connection, instead of the three above.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    organization: str | None = None
    connection: str | None = None

    _type: ClassVar[str] = "OpenAI"
    _exclusive: ClassVar[tuple[str, ...]] = ("base_url", "api_key", "organization")

    @classmethod
    def from_connection(cls, connection: Connection, model: str) -> OpenAIModelConfiguration:
        """The same model through the fields of a connection object."""
        return cls(
            model=model,
            base_url=connection.base_url,
            api_key=connection.api_key,
            organization=connection.organization,
        )


class ResolvedModel(NamedTuple):
    """A connection, and the deployment or model asked for through it."""

    connection: Connection
    model: str


def configuration_fields(configuration: Any) -> dict[str, Any]:
    """A configuration, object or mapping, as a mapping with its `type`.

    Raises:
        ConnectionSettingsError: It is neither (kind `InvalidModelConfigValueType`).
    """
    if isinstance(configuration, Mapping):
        return dict(configuration)
    if configuration is None:
        return {}
    found = getattr(configuration, "_type", None) or type(configuration).__name__.removesuffix("ModelConfiguration")
    if squeezed_type(found) not in _TYPES:
        raise ConnectionSettingsError(
            f"A model configuration is a mapping or a configuration object, found {type(configuration).__name__}.",
            kind="InvalidModelConfigValueType",
        )
    own = {name: value for name, value in vars(configuration).items() if not name.startswith("_")}
    return {"type": _TYPES[squeezed_type(found)], **own}


def model_name(configuration: Any) -> str:
    """The deployment or model that a configuration names; empty when it names none."""
    fields = configuration_fields(configuration)
    return str(fields.get("azure_deployment") or fields.get("model") or "")


def connection_name(configuration: Any) -> str | None:
    """The connection that a configuration names, when it names one."""
    found = configuration_fields(configuration).get("connection")
    return found if isinstance(found, str) and found else None


def resolve_model(configuration: Any, services: PromptServices, environ: Mapping[str, str]) -> ResolvedModel:
    """The connection and model of a configuration.

    A named connection comes from the store, an object is taken as it is, fields make a connection; a configuration
    that says nothing but the model is completed by `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and
    `OPENAI_API_VERSION`, or `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_ORG_ID`.

    Raises:
        ConnectionSettingsError: An unknown connection or type, a connection beside fields (kind
            `InvalidConnectionError`), no model, or variables that are not set, all of them named.
    """
    fields = configuration_fields(configuration)
    model = str(fields.get("azure_deployment") or fields.get("model") or "")
    connection = fields.get("connection")
    given = {name: value for name, value in fields.items() if name not in _NOT_FIELDS and value not in (None, "")}
    if connection and given:
        raise _both()
    if isinstance(connection, str) and connection:
        connection = services.connections.get(connection)
    elif not connection:
        _require_variables(given)
        connection = _connection_of(fields, given, environ)
    if not model:
        _refuse_without_model(connection)
    return ResolvedModel(connection, model)


def _refuse_without_model(connection: Connection) -> None:
    """These services are asked for a model by name; a serverless or simulated one knows which it is."""
    wanted = {"AzureOpenAI": ("deployment", "azure_deployment"), "OpenAI": ("model", "model")}.get(connection.TYPE)
    if wanted is not None:
        what, field_name = wanted
        raise ConnectionSettingsError(
            f"The model configuration names no {what}.",
            hint=f"Add '{field_name}: NAME' under 'model.configuration'.",
        )


def squeezed_type(spelling: Any) -> str:
    """A type without case, blanks and underscores: `azure_openai` and `AzureOpenAI` are one."""
    return re.sub(r"[\s_-]", "", str(spelling or "")).lower().removesuffix("connection")


def _connection_of(fields: Mapping[str, Any], given: Mapping[str, Any], environ: Mapping[str, str]) -> Connection:
    from genaiops.connections import AzureOpenAIConnection, OpenAIConnection

    spelling = fields.get("type")
    kind = squeezed_type(spelling)
    if not kind:
        kind = "azureopenai" if "azure_deployment" in fields or "azure_endpoint" in fields else "openai"
    if kind == "azureopenai":
        if not given:
            return AzureOpenAIConnection.from_env(environ=environ)
        return AzureOpenAIConnection(**_azure_fields(given, environ))
    if kind == "openai":
        return OpenAIConnection(**_openai_fields(given)) if given else OpenAIConnection.from_env(environ=environ)
    return _other_connection(str(spelling), given)


def _azure_fields(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    # A configuration with a version alone is common; the SDK below prompt flow takes the address from the variable.
    named = given.get("azure_endpoint") or given.get("api_base") or given.get("endpoint")
    fields = {"api_base": named or environ.get("AZURE_OPENAI_ENDPOINT")}
    if not fields["api_base"]:
        raise ConnectionSettingsError(
            "The model configuration has no 'azure_endpoint'.",
            hint="Add it, set AZURE_OPENAI_ENDPOINT, or name a 'connection'.",
        )
    fields |= {name: given[name] for name in ("api_key", "api_version", "auth_mode") if name in given}
    return fields if "api_key" in fields else {"auth_mode": "meid_token", **fields}


def _openai_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    # Servers that speak OpenAI's protocol without keys are asked with any.
    fields = {"api_key": given.get("api_key") or ("none" if given.get("base_url") else None)}
    if not fields["api_key"]:
        raise ConnectionSettingsError(
            "The model configuration has no 'api_key'.", hint="Add it, or name a 'connection'."
        )
    return fields | {name: given[name] for name in ("base_url", "organization") if name in given}


def _other_connection(spelling: str, given: Mapping[str, Any]) -> Connection:
    """Types that prompt flow's prompty does not know and ours reaches: `serverless`, `simulated`."""
    from genaiops.connections import ConnectionStore

    if squeezed_type(spelling) not in ("serverless", "simulated"):
        raise ConnectionSettingsError(
            f"The model configuration has the type {spelling!r}.",
            hint=suggest(spelling, ["azure_openai", "openai", "serverless", "simulated"]),
            kind="UnknownConnectionType",
        )
    return ConnectionStore.of({"prompty": {"type": spelling, **given}}).get("prompty")


def _require_variables(given: Mapping[str, Any]) -> None:
    names = [name for value in given.values() if isinstance(value, str) for name in _UNRESOLVED.findall(value)]
    if names:
        raise ConnectionSettingsError(
            f"The model configuration reads {', '.join(dict.fromkeys(names))}, which {_is_or_are(names)} not set.",
            hint="Set them in the environment or in .env, or name a 'connection'.",
        )


def _is_or_are(names: list[str]) -> str:
    return "is" if len(set(names)) == 1 else "are"


def _both() -> ConnectionSettingsError:
    return ConnectionSettingsError(
        "A model configuration names a connection and has connection fields beside it.",
        hint="Keep one of the two.",
        kind="InvalidConnectionError",
    )
