"""The connection types, with the constructors that flow code knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from genaiops.connections._base import Connection, Field, split_fields
from genaiops.connections._entra import ENTRA_SCOPE, get_entra_token
from genaiops.errors import ConnectionSettingsError

AUTH_KEY = "key"
AUTH_ENTRA = "meid_token"
_ENTRA_SPELLINGS = frozenset({"meid_token", "aad", "entra", "entra_id", "microsoft_entra_id", "managed_identity"})

_API_KEY = Field("api_key", secret=True, required=True)
_KEY_OR_ENTRA = Field("api_key", secret=True)
_AUTH_MODE = Field("auth_mode", AUTH_KEY)
_BASE_VARIABLES = ("BASE_URL", "ENDPOINT", "AZURE_ENDPOINT")
_API_BASE = Field("api_base", required=True, variables=_BASE_VARIABLES)
_ENDPOINT = Field("endpoint", required=True, variables=("API_BASE", "BASE_URL"))


def normal_auth_mode(value: Any) -> str:
    """`key` or `meid_token`; the spellings of newer tools mean the latter.

    Raises:
        ConnectionSettingsError: It is neither.
    """
    text = str(value or AUTH_KEY).strip().lower()
    if text in (AUTH_KEY, "api_key"):
        return AUTH_KEY
    if text in _ENTRA_SPELLINGS:
        return AUTH_ENTRA
    raise ConnectionSettingsError(
        f"auth_mode is {value!r}; a connection signs in with 'key' or 'meid_token'.", hint="Write one of the two."
    )


class _FieldConnection(Connection):
    """A connection whose fields are fixed by its type."""

    def __init__(self, values: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        configs, secrets = split_fields(self.FIELDS, values)
        known = {key: extra[key] for key in ("name", "module") if key in extra}
        super().__init__(configs=configs, secrets=secrets, **known)


class _EntraMixin:
    """Types that also sign in with Microsoft Entra ID."""

    configs: dict[str, Any]

    def get_token(self) -> str:
        """A bearer token of Microsoft Entra ID (extra `azure`), fresh for at least five minutes."""
        return get_entra_token(ENTRA_SCOPE)


class AzureOpenAIConnection(_EntraMixin, _FieldConnection):
    """Azure OpenAI, with a key or with Entra ID.

    >>> AzureOpenAIConnection(api_base="https://x.openai.azure.com", api_key="secret", name="aoai")
    AzureOpenAIConnection(name='aoai', api_base='https://x.openai.azure.com', api_type='azure', \
api_version='2024-02-01', auth_mode='key', api_key='******')
    """

    TYPE, SPELLING = "AzureOpenAI", "azure_open_ai"
    FIELDS = (
        _API_BASE,
        Field("api_type", "azure"),
        Field("api_version", "2024-02-01"),
        _AUTH_MODE,
        Field("resource_id"),
        _KEY_OR_ENTRA,
    )

    def __init__(
        self,
        api_base: str,
        api_key: str | None = None,
        api_type: str = "azure",
        api_version: str = "2024-02-01",
        auth_mode: str = AUTH_KEY,
        resource_id: str | None = None,
        **extra: Any,
    ) -> None:
        mode = normal_auth_mode(auth_mode)
        values = {
            "api_base": api_base,
            "api_type": api_type,
            "api_version": api_version,
            "auth_mode": mode,
            "resource_id": resource_id,
            "api_key": None if mode == AUTH_ENTRA else api_key,
        }
        super().__init__(values, extra)

    @classmethod
    def from_env(cls, name: str | None = None, *, environ: Mapping[str, str] | None = None) -> AzureOpenAIConnection:
        """From `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and, if set, `OPENAI_API_VERSION`.

        Raises:
            ConnectionSettingsError: A variable is not set; all that miss are named.
        """
        found = _variables(environ, cls.__name__, ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"))
        version = _environ(environ).get("OPENAI_API_VERSION")
        versions = {"api_version": version} if version else {}
        return cls(api_base=found[0], api_key=found[1], name=name, **versions)


class OpenAIConnection(_FieldConnection):
    """OpenAI, or any server that speaks its protocol when `base_url` is set."""

    TYPE, SPELLING = "OpenAI", "open_ai"
    FIELDS = (
        Field("organization", variables=("ORG_ID",)),
        Field("base_url", variables=("API_BASE", "ENDPOINT")),
        _API_KEY,
    )

    def __init__(
        self, api_key: str, organization: str | None = None, base_url: str | None = None, **extra: Any
    ) -> None:
        # Forms without a way to leave a field out write "_".
        address = None if base_url in ("", "_") else base_url
        super().__init__({"organization": organization, "base_url": address, "api_key": api_key}, extra)

    @classmethod
    def from_env(cls, name: str | None = None, *, environ: Mapping[str, str] | None = None) -> OpenAIConnection:
        """From `OPENAI_API_KEY` and, if set, `OPENAI_BASE_URL` and `OPENAI_ORG_ID`.

        Raises:
            ConnectionSettingsError: The key is not set.
        """
        (key,) = _variables(environ, cls.__name__, ("OPENAI_API_KEY",))
        found = _environ(environ)
        return cls(
            api_key=key, organization=found.get("OPENAI_ORG_ID"), base_url=found.get("OPENAI_BASE_URL"), name=name
        )


class ServerlessConnection(_FieldConnection):
    """A serverless endpoint: OpenAI-compatible under `api_base` + `/v1`."""

    TYPE, SPELLING = "Serverless", "serverless"
    FIELDS = (_API_BASE, _API_KEY)

    def __init__(self, api_key: str, api_base: str, **extra: Any) -> None:
        super().__init__({"api_base": api_base, "api_key": api_key}, extra)


class CognitiveSearchConnection(_EntraMixin, _FieldConnection):
    """Azure AI Search."""

    TYPE, SPELLING = "CognitiveSearch", "cognitive_search"
    FIELDS = (_API_BASE, Field("api_version", "2023-11-01"), _AUTH_MODE, _KEY_OR_ENTRA)

    def __init__(
        self,
        api_base: str,
        api_key: str | None = None,
        api_version: str = "2023-11-01",
        auth_mode: str = AUTH_KEY,
        **extra: Any,
    ) -> None:
        mode = normal_auth_mode(auth_mode)
        values = {"api_base": api_base, "api_version": api_version, "auth_mode": mode, "api_key": api_key}
        super().__init__(values, extra)


class AzureAIServicesConnection(_EntraMixin, _FieldConnection):
    """Azure AI services."""

    TYPE, SPELLING = "AzureAIServices", "azure_ai_services"
    FIELDS = (_ENDPOINT, _AUTH_MODE, _KEY_OR_ENTRA)

    def __init__(self, endpoint: str, api_key: str | None = None, auth_mode: str = AUTH_KEY, **extra: Any) -> None:
        mode = normal_auth_mode(auth_mode)
        super().__init__({"endpoint": endpoint, "auth_mode": mode, "api_key": api_key}, extra)


class AzureContentSafetyConnection(_FieldConnection):
    """Azure AI Content Safety."""

    TYPE, SPELLING = "AzureContentSafety", "azure_content_safety"
    FIELDS = (_ENDPOINT, Field("api_version", "2023-10-01"), Field("api_type", "Content Safety"), _API_KEY)

    def __init__(
        self,
        api_key: str,
        endpoint: str,
        api_version: str = "2023-10-01",
        api_type: str = "Content Safety",
        **extra: Any,
    ) -> None:
        values = {"endpoint": endpoint, "api_version": api_version, "api_type": api_type, "api_key": api_key}
        super().__init__(values, extra)


class FormRecognizerConnection(_FieldConnection):
    """Azure Document Intelligence, once Form Recognizer."""

    TYPE, SPELLING = "FormRecognizer", "form_recognizer"
    FIELDS = (_ENDPOINT, Field("api_version", "2023-07-31"), Field("api_type", "Form Recognizer"), _API_KEY)

    def __init__(
        self,
        api_key: str,
        endpoint: str,
        api_version: str = "2023-07-31",
        api_type: str = "Form Recognizer",
        **extra: Any,
    ) -> None:
        values = {"endpoint": endpoint, "api_version": api_version, "api_type": api_type, "api_key": api_key}
        super().__init__(values, extra)


class SerpConnection(_FieldConnection):
    """SerpApi."""

    TYPE, SPELLING = "Serp", "serp"
    FIELDS = (_API_KEY,)

    def __init__(self, api_key: str, **extra: Any) -> None:
        super().__init__({"api_key": api_key}, extra)


class QdrantConnection(_FieldConnection):
    """Qdrant."""

    TYPE, SPELLING = "Qdrant", "qdrant"
    FIELDS = (_API_BASE, _API_KEY)

    def __init__(self, api_key: str, api_base: str, **extra: Any) -> None:
        super().__init__({"api_base": api_base, "api_key": api_key}, extra)


class WeaviateConnection(_FieldConnection):
    """Weaviate."""

    TYPE, SPELLING = "Weaviate", "weaviate"
    FIELDS = (_API_BASE, _API_KEY)

    def __init__(self, api_key: str, api_base: str, **extra: Any) -> None:
        super().__init__({"api_base": api_base, "api_key": api_key}, extra)


class SimulatedConnection(_FieldConnection):
    """A model that is not there: replies by rule, with latency and faults on demand. All it touches is marked.

    Args:
        rules: Pairs (regular expression on the last message, reply) or mappings with `pattern` and `reply`;
            `\\1` in a reply is the first group. The first that matches answers; without one the message comes back.
        reply: Answers everything instead.
        latency_ms: Milliseconds until a reply; lognormal around it when `latency_sigma` is above 0.
        share_429: Share of tries that are refused for the rate; likewise `share_500`, `share_cut`, `share_drop`.
        seed: Decides latencies, faults and embeddings.

    >>> SimulatedConnection(rules=[("capital of France", "Paris")]).rules
    [('capital of France', 'Paris')]
    """

    TYPE, SPELLING = "Simulated", "simulated"
    _SHARES: ClassVar[tuple[str, ...]] = ("share_429", "share_500", "share_cut", "share_drop")
    FIELDS = (
        Field("rules"),
        Field("reply"),
        Field("latency_ms", 0.0),
        Field("latency_sigma", 0.0),
        *(Field(share, 0.0) for share in _SHARES),
        Field("seed", 1),
    )

    def __init__(
        self,
        rules: Sequence[Sequence[str] | Mapping[str, str]] = (),
        *,
        reply: str | None = None,
        latency_ms: float = 0.0,
        latency_sigma: float = 0.0,
        share_429: float = 0.0,
        share_500: float = 0.0,
        share_cut: float = 0.0,
        share_drop: float = 0.0,
        seed: int = 1,
        **extra: Any,
    ) -> None:
        shares = {"share_429": share_429, "share_500": share_500, "share_cut": share_cut, "share_drop": share_drop}
        values: dict[str, Any] = {
            "rules": [_rule(rule) for rule in rules or ()],
            "reply": reply,
            "latency_ms": float(latency_ms or 0),
            "latency_sigma": float(latency_sigma or 0),
            **{name: float(share or 0) for name, share in shares.items()},
            "seed": int(seed or 1),
        }
        super().__init__(values, extra)


def _rule(rule: Sequence[str] | Mapping[str, str]) -> tuple[str, str]:
    pair = (rule.get("pattern"), rule.get("reply")) if isinstance(rule, Mapping) else tuple(rule)
    if isinstance(rule, str) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise ConnectionSettingsError(
            "A rule of a simulated connection is a pair of a regular expression and a reply.",
            hint="Write: rules: [{pattern: 'capital of (\\w+)', reply: 'I do not know \\1.'}]",
        )
    return (str(pair[0]), str(pair[1]))


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    if environ is not None:
        return environ
    from genaiops.settings import load_settings

    return load_settings().environ


def _variables(environ: Mapping[str, str] | None, what: str, names: Sequence[str]) -> list[str]:
    found = _environ(environ)
    if missing := [name for name in names if not found.get(name)]:
        raise ConnectionSettingsError(
            f"Required environment variables {missing} to build {what} not set.",
            kind="RequiredEnvironmentVariablesNotSetError",
            hint="Set them in the environment or in .env.",
        )
    return [found[name] for name in names]
