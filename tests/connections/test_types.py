import pickle
from typing import Any

import pytest

from genaiops.connections import (
    CONNECTION_TYPES,
    AzureOpenAIConnection,
    CustomConnection,
    CustomStrongTypeConnection,
    OpenAIConnection,
    Secret,
    ServerlessConnection,
    SimulatedConnection,
    connection_class,
    connection_from_dict,
)
from genaiops.errors import ConnectionSettingsError, MissingExtraError

_PLANTED = "sk-planted-0123456789"


def test_an_azure_connection_has_the_defaults_that_flow_code_relies_on() -> None:
    """prompt flow 1.18.5: dict(AzureOpenAIConnection(api_key='sek', api_base='https://b'))."""
    connection = AzureOpenAIConnection(api_key="sek", api_base="https://b", name="x")

    assert dict(connection) == {
        "api_base": "https://b",
        "api_type": "azure",
        "api_version": "2024-02-01",
        "auth_mode": "key",
        "resource_id": None,
        "api_key": "sek",
    }
    assert (connection.name, connection.type, connection.module) == ("x", "AzureOpenAI", "promptflow.connections")
    assert {**connection}["api_key"] == connection.api_key == connection["api_key"] == connection.secrets["api_key"]
    assert connection.configs == {key: value for key, value in dict(connection).items() if key != "api_key"}


def test_what_a_connection_does_not_have_is_an_error() -> None:
    connection = OpenAIConnection("key", name="x")

    with pytest.raises(KeyError, match="Key 'nope' not found in connection 'x'"):
        connection["nope"]
    with pytest.raises(AttributeError, match="'OpenAIConnection' object has no attribute 'nope'"):
        _ = connection.nope
    assert connection.get("nope", "else") == "else"
    assert "api_key" in connection
    assert "nope" not in connection


@pytest.mark.parametrize("address", ["", "_", None])
def test_an_openai_address_may_be_left_out(address: str | None) -> None:
    assert OpenAIConnection("key", base_url=address).base_url is None


def test_a_field_can_be_changed_and_a_copy_travels() -> None:
    connection = ServerlessConnection("key", "http://x", name="s")

    connection.api_base = "http://y"

    copy = pickle.loads(pickle.dumps(connection))
    assert copy == connection
    assert copy.configs == {"api_base": "http://y"}
    assert copy.type == "Serverless"


@pytest.mark.parametrize(
    "connection",
    [
        AzureOpenAIConnection(api_base="https://b", api_key=_PLANTED),
        OpenAIConnection(_PLANTED),
        CustomConnection(secrets={"k": _PLANTED}, configs={"u": "v"}),
        *(cls.__new__(cls) for cls in ()),
    ],
)
def test_printing_never_shows_a_secret(connection: Any) -> None:
    shown = f"{connection} {connection!r} {[connection]}"

    assert _PLANTED not in shown
    assert "******" in shown


def test_signing_in_with_entra_needs_no_key_and_names_its_extra() -> None:
    connection = AzureOpenAIConnection(api_base="https://b", auth_mode="meid_token", api_key="ignored")

    assert connection.api_key is None
    with pytest.raises(MissingExtraError, match=r"genaiops\[azure\]', or give .* an api_key"):
        connection.get_token()


def test_an_auth_mode_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConnectionSettingsError, match="'key' or 'meid_token'"):
        AzureOpenAIConnection(api_base="https://b", auth_mode="magic")


def test_connections_can_be_read_from_the_usual_variables() -> None:
    azure = AzureOpenAIConnection.from_env(
        environ={"AZURE_OPENAI_ENDPOINT": "https://b", "AZURE_OPENAI_API_KEY": "k", "OPENAI_API_VERSION": "2024-10-21"}
    )
    plain = OpenAIConnection.from_env("mine", environ={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://x/v1"})

    assert (azure.api_base, azure.api_key, azure.api_version) == ("https://b", "k", "2024-10-21")
    assert (plain.name, plain.base_url, plain.organization) == ("mine", "http://x/v1", None)
    with pytest.raises(ConnectionSettingsError, match=r"\['AZURE_OPENAI_ENDPOINT', 'AZURE_OPENAI_API_KEY'\]"):
        AzureOpenAIConnection.from_env(environ={})


def test_a_custom_connection_gives_each_key_as_an_attribute() -> None:
    connection = CustomConnection(secrets={"k": "v"}, configs={"a": "b"}, name="cc")

    assert dict(connection) == {"a": "b", "k": "v"}
    assert (connection.k, connection.a, connection.is_secret("k"), connection.is_secret("a")) == ("v", "b", True, False)
    assert connection.type == "Custom"


class _Mine(CustomStrongTypeConnection):
    api_key: Secret
    api_base: str = "https://default"
    region: str


def test_a_custom_connection_becomes_the_users_class() -> None:
    custom = CustomConnection(
        secrets={"api_key": "k"},
        configs={"region": "eu", "promptflow.connection.custom_type": "_Mine"},
        name="mine",
    )

    mine = custom.to_strong_type(_Mine)

    assert isinstance(mine, _Mine)
    assert (mine.api_key, mine.api_base, mine.region, mine.name) == ("k", "https://default", "eu", "mine")
    assert mine.secrets == {"api_key": "k"}
    assert dict(mine) == {"api_base": "https://default", "region": "eu", "api_key": "k"}


def test_a_value_wins_over_the_default_of_the_users_class() -> None:
    assert (
        _Mine(secrets={"api_key": "k"}, configs={"region": "eu", "api_base": "https://own"}).api_base == "https://own"
    )


def test_a_users_class_says_which_fields_are_missing() -> None:
    with pytest.raises(ConnectionSettingsError, match="lacks 'api_key', 'region', which _Mine asks for"):
        CustomConnection(secrets={"x": "y"}, name="mine").to_strong_type(_Mine)


def test_the_execution_form_is_prompt_flows() -> None:
    """prompt flow 1.18.5: AzureOpenAIConnection(…)._to_execution_connection_dict() without its name."""
    connection = AzureOpenAIConnection(api_key="sek", api_base="https://b", name="x")

    assert connection.to_execution_dict() == {
        "type": "AzureOpenAIConnection",
        "module": "promptflow.connections",
        "value": {
            "api_base": "https://b",
            "api_type": "azure",
            "api_version": "2024-02-01",
            "auth_mode": "key",
            "api_key": "sek",
        },
        "secret_keys": ["api_key"],
    }
    assert connection_from_dict(connection.to_execution_dict(), name="x") == connection


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("azure_open_ai", "azure_open_ai"),
        ("AzureOpenAI", "azure_open_ai"),
        ("AzureOpenAIConnection", "azure_open_ai"),
        ("azure_openai", "azure_open_ai"),
        ("open_ai", "open_ai"),
        ("OpenAI", "open_ai"),
        ("openai", "open_ai"),
        ("ServerlessConnection", "serverless"),
        ("CognitiveSearch", "cognitive_search"),
        ("azure_ai_search", "cognitive_search"),
        ("AzureAIServices", "azure_ai_services"),
        ("AzureContentSafety", "azure_content_safety"),
        ("FormRecognizer", "form_recognizer"),
        ("Serp", "serp"),
        ("QdrantConnection", "qdrant"),
        ("weaviate", "weaviate"),
        ("CustomConnection", "custom"),
        ("simulated", "simulated"),
    ],
)
def test_a_type_is_known_by_all_its_spellings(spelling: str, expected: str) -> None:
    assert connection_class(spelling) is CONNECTION_TYPES[expected]


def test_an_unknown_type_names_the_nearest_and_lists_all() -> None:
    with pytest.raises(ConnectionSettingsError) as caught:
        connection_class("azure_open_api", connection="aoai", file="experiment.yaml", line=4)

    assert caught.value.exit_code == 2
    assert "experiment.yaml:4" in str(caught.value)
    assert "Did you mean 'azure_open_ai'?" in str(caught.value)
    assert "weaviate" in str(caught.value)


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ConnectionSettingsError, match="pair of a regular expression and a reply"):
        SimulatedConnection(rules=["just text"])
