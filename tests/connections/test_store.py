import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from genaiops.connections import AzureOpenAIConnection, ConnectionStore, OpenAIConnection, SimulatedConnection
from genaiops.errors import ConnectionSettingsError
from genaiops.settings import Settings, load_settings

_PLANTED = "planted/secret+value=1234"


def _settings(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    return load_settings(cwd=folder, environ=dict(environ or {}))


def _store(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    declared: list[dict[str, Any]] | None = None,
    files: Mapping[str, str] | None = None,
) -> ConnectionStore:
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return ConnectionStore.load(_settings(folder, environ), declared=declared or [], folders=[folder])


_DECLARED = {
    "name": "aoai",
    "connection_type": "AzureOpenAIConnection",
    "api_base": "https://demo.openai.azure.com/",
    "api_version": "2023-07-01-preview",
    "api_key": "${api_key}",
    "api_type": "azure",
}


def test_set_variables_win_over_literals_in_files(tmp_path: Path) -> None:
    environ = {"AOAI_API_KEY": "k", "AOAI_API_BASE": "http://127.0.0.1:1"}

    connection = _store(tmp_path, environ, declared=[_DECLARED]).get("aoai")

    assert isinstance(connection, AzureOpenAIConnection)
    assert (connection.api_base, connection.api_key) == ("http://127.0.0.1:1", "k")
    assert connection.api_version == "2023-07-01-preview"


def test_a_placeholder_reads_the_variable_that_is_written_before_the_convention(tmp_path: Path) -> None:
    declared = [{**_DECLARED, "api_key": "${env:MY_KEY}"}]

    store = _store(tmp_path, {"MY_KEY": "written", "AOAI_API_KEY": "convention"}, declared=declared)

    assert store.get("aoai").api_key == "written"
    assert store.describe("aoai")["fields"]["api_key"]["source"] == "MY_KEY (environment), experiment.yaml"


def test_the_process_wins_over_dotenv_and_dotenv_over_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AOAI_API_KEY=from-dotenv\nAOAI_API_BASE=https://dotenv\n", encoding="utf-8")

    store = _store(tmp_path, {"AOAI_API_KEY": "from-process"}, declared=[_DECLARED])

    assert store.get("aoai").api_key == "from-process"
    assert store.get("aoai").api_base == "https://dotenv"
    assert store.describe("aoai")["fields"]["api_base"]["source"].endswith(".env:2)")


def test_an_experiment_wins_over_a_connection_file_field_by_field(tmp_path: Path) -> None:
    file = "name: aoai\ntype: azure_open_ai\napi_base: https://file\napi_key: file-key\napi_version: 2024-06-01\n"
    declared = [{"name": "aoai", "connection_type": "AzureOpenAI", "api_base": "https://declared"}]

    connection = _store(tmp_path, declared=declared, files={"connections/aoai.yaml": file}).get("aoai")

    assert (connection.api_base, connection.api_key) == ("https://declared", "file-key")


def test_a_date_as_version_stays_text(tmp_path: Path) -> None:
    file = "name: c\ntype: azure_open_ai\napi_base: https://x\napi_key: k\napi_version: 2024-06-01\n"

    assert _store(tmp_path, files={"c.yml": file}).get("c").api_version == "2024-06-01"


def test_a_date_that_another_reader_made_of_a_version_becomes_text_again(tmp_path: Path) -> None:
    import datetime

    declared = [{**_DECLARED, "api_key": "k", "api_version": datetime.date(2024, 6, 1)}]

    assert _store(tmp_path, declared=declared).get("aoai").api_version == "2024-06-01"


def test_all_missing_values_are_named_at_once(tmp_path: Path) -> None:
    file = (
        "$schema: https://x/OpenAIConnection.schema.json\n"
        'name: other\ntype: open_ai\napi_key: "<user-input>"\nbase_url: ${HOST}\n'
    )
    store = _store(tmp_path, declared=[_DECLARED], files={"other.yaml": file})

    with pytest.raises(ConnectionSettingsError) as caught:
        store.require(["aoai", "other"])

    text = str(caught.value)
    assert "3 connection values are not set" in text
    assert "aoai.api_key: set api_key or AOAI_API_KEY (experiment.yaml)" in text
    assert "other.api_key: set OTHER_API_KEY" in text
    assert "other.base_url: set HOST or OTHER_BASE_URL" in text
    assert "other.yaml:5" in text
    assert [item.field for item in store.missing(["aoai"])] == ["api_key"]


def test_blank_variables_count_as_not_set(tmp_path: Path) -> None:
    assert [m.field for m in _store(tmp_path, {"AOAI_API_KEY": ""}, declared=[_DECLARED]).missing(["aoai"])] == [
        "api_key"
    ]


def test_an_unknown_connection_names_the_nearest(tmp_path: Path) -> None:
    store = _store(tmp_path, {"AOAI_API_KEY": "k"}, declared=[_DECLARED])

    with pytest.raises(ConnectionSettingsError) as caught:
        store.get("aoia")

    assert caught.value.kind == "ConnectionNotFoundError"
    assert caught.value.exit_code == 2
    assert "Did you mean 'aoai'?" in str(caught.value)
    assert "AOIA_API_KEY" in str(caught.value)


def test_an_unknown_type_says_where(tmp_path: Path) -> None:
    store = _store(tmp_path, declared=[{"name": "x", "connection_type": "AzureOpenAy"}])

    with pytest.raises(ConnectionSettingsError, match=r"experiment\.yaml: The type 'AzureOpenAy'.*azure_open_ai"):
        store.get("x")


@pytest.mark.parametrize(
    ("environ", "expected", "fields"),
    [
        ({"LLM_API_KEY": "k"}, "OpenAI", {"base_url": None}),
        ({"LLM_API_KEY": "k", "LLM_BASE_URL": "http://x/v1"}, "OpenAI", {"base_url": "http://x/v1"}),
        ({"LLM_API_KEY": "k", "LLM_ENDPOINT": "http://x/v1"}, "OpenAI", {"base_url": "http://x/v1"}),
        (
            {"LLM_API_KEY": "k", "LLM_API_BASE": "https://x", "LLM_API_VERSION": "2024-06-01"},
            "AzureOpenAI",
            {"api_base": "https://x", "api_version": "2024-06-01"},
        ),
        (
            {"LLM_API_KEY": "k", "LLM_API_BASE": "https://x", "LLM_CONNECTION_TYPE": "serverless"},
            "Serverless",
            {"api_base": "https://x"},
        ),
        ({"LLM_CONNECTION_TYPE": "simulated", "LLM_REPLY": "yes"}, "Simulated", {"reply": "yes"}),
        ({"LLM_CONNECTION_TYPE": "custom", "LLM_TOKEN": "t", "LLM_HOST": "h"}, "Custom", {"token": "t", "host": "h"}),
    ],
)
def test_a_connection_may_live_in_variables_alone(
    tmp_path: Path, environ: dict[str, str], expected: str, fields: dict[str, Any]
) -> None:
    store = _store(tmp_path, environ)

    connection = store.get("llm")

    assert connection.type == expected
    assert {name: connection[name] for name in fields} == fields
    assert "llm" in store
    assert "llm" in store.names()


def test_names_with_other_characters_have_variables_too(tmp_path: Path) -> None:
    assert _store(tmp_path, {"MY_CONN_1_API_KEY": "k"}).get("my-conn.1").api_key == "k"


def test_a_variable_may_change_the_type(tmp_path: Path) -> None:
    """The same repository runs against a simulated model without an edit."""
    connection = _store(tmp_path, {"AOAI_CONNECTION_TYPE": "simulated"}, declared=[_DECLARED]).get("aoai")

    assert isinstance(connection, SimulatedConnection)


def test_entra_needs_no_key(tmp_path: Path) -> None:
    declared = [{**_DECLARED, "auth_mode": "meid_token"}]

    assert _store(tmp_path, declared=declared).get("aoai").api_key is None


def test_the_test_hook_of_prompt_flow_is_read(tmp_path: Path) -> None:
    hook = tmp_path / "connections.json"
    form = {"type": "AzureOpenAIConnection", "module": "promptflow.connections"}
    value = {"api_key": "hook-key", "api_base": "https://hook", "api_version": "2023-07-01-preview"}
    custom = {"type": "CustomConnection", "value": {"url": "u", "token": "t"}, "secret_keys": ["token"]}
    hook.write_text(json.dumps({"aoai": {**form, "value": value}, "c": custom}), encoding="utf-8")

    store = _store(tmp_path, {"PROMPTFLOW_CONNECTIONS": str(hook)})

    assert store.get("aoai").api_base == "https://hook"
    assert store.get("c").secrets == {"token": "t"}
    assert store.get("c").configs == {"url": "u"}


def test_files_that_are_no_connections_are_left_alone(tmp_path: Path) -> None:
    files = {
        "flow.dag.yaml": "inputs:\n  q:\n    type: string\nnodes:\n- name: a\n  type: llm\n",
        "other.yaml": "type: custom_llm\nname: tool\n",
        "broken.yaml": "a: [1\n",
    }

    assert _store(tmp_path, files=files).names() == []


def test_a_custom_connection_file_keeps_secrets_apart(tmp_path: Path) -> None:
    file = (
        "name: c\ntype: custom\nconfigs:\n  url: https://x\n  n: 3\n"
        "secrets:\n  token: ${env:TOKEN}\n  other: <user-input>\n"
    )
    store = _store(tmp_path, {"TOKEN": "t-123456"}, files={"c.yaml": file})

    assert [item.field for item in store.missing(["c"])] == ["other"]
    store = _store(tmp_path, {"TOKEN": "t-123456", "C_OTHER": "o", "C_URL": "https://y"})
    assert store.get("c").configs == {"url": "https://y", "n": 3}
    assert store.get("c").secrets == {"token": "t-123456", "other": "o"}


def test_a_broken_connection_file_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"c\.yaml:3"):
        _store(tmp_path, files={"c.yaml": "name: c\ntype: open_ai\napi_key: a: b\n"})


def test_description_and_check_show_sources_and_no_secret(tmp_path: Path) -> None:
    declared = [{**_DECLARED, "api_base": "demo.openai.azure.com", "api_kee": "x"}]
    store = _store(tmp_path, {"AOAI_API_KEY": _PLANTED}, declared=declared)

    described = store.describe("aoai")

    assert _PLANTED not in json.dumps(described)
    assert described["fields"]["api_key"] == {"value": "******", "source": "AOAI_API_KEY (environment)"}
    assert described["fields"]["api_version"] == {"value": "2023-07-01-preview", "source": "experiment.yaml"}
    problems = store.check("aoai")
    assert any("not an address" in problem for problem in problems)
    assert any("api_kee" in problem and "'api_key'" in problem for problem in problems)


def test_secrets_of_unused_connections_and_variables_are_known_too(tmp_path: Path) -> None:
    file = "name: c\ntype: custom\nsecrets:\n  token: file-secret-1\n"
    environ = {"DB_PASSWORD": "variable-secret-1", "AOAI_API_KEY": _PLANTED, "HARMLESS": "not-hidden-1"}
    store = _store(tmp_path, environ, declared=[_DECLARED], files={"c.yaml": file})

    assert {"file-secret-1", "variable-secret-1", _PLANTED} <= set(store.secrets())
    assert "not-hidden-1" not in store.secrets()


def test_a_store_travels_as_a_message(tmp_path: Path) -> None:
    file = "name: c\ntype: custom\nconfigs:\n  url: u\nsecrets:\n  token: t-123456\n"
    declared = [_DECLARED, {"name": "lacking", "connection_type": "open_ai"}, {"name": "odd", "connection_type": "odd"}]
    store = _store(
        tmp_path, {"AOAI_API_KEY": "k-123456", "ALONE_API_KEY": "a-1"}, declared=declared, files={"c.yaml": file}
    )
    store.add("own", OpenAIConnection("own-key", base_url="http://x", name="own"))

    other = ConnectionStore.from_message(json.loads(json.dumps(store.to_message())))

    for name in ("aoai", "c", "alone", "own"):
        assert other.get(name) == store.get(name)
    assert other.get("Alone").api_key == "a-1"
    assert set(other.names()) == set(store.names())
    assert set(other.secrets()) == set(store.secrets())
    assert [str(item) for item in other.missing(["lacking"])] == [str(item) for item in store.missing(["lacking"])]
    with pytest.raises(ConnectionSettingsError, match="The type 'odd'"):
        other.get("odd")
    with pytest.raises(ConnectionSettingsError, match="is not found"):
        other.get("nope")


def test_for_replay_nothing_has_to_be_set(tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    line = {"request": {"api": "chat"}, "reply": {}, "connection": {"name": "alone", "type": "azure_open_ai"}}
    recording.write_text(json.dumps(line) + "\n", encoding="utf-8")
    store = _store(tmp_path, declared=[_DECLARED]).for_replay(recording)

    assert store.missing(["aoai", "alone"]) == []
    assert store.get("aoai").type == "AzureOpenAI"
    assert store.get("alone").type == "AzureOpenAI"
    assert ConnectionStore.from_message(store.to_message()).get("alone").type == "AzureOpenAI"


def test_connections_at_hand_make_a_store() -> None:
    store = ConnectionStore.of({"a": OpenAIConnection("k"), "b": {"type": "simulated"}})

    assert store.names() == ["a", "b"]
    assert store.get("a").name == "a"
    assert store.describe("a")["fields"]["api_key"]["value"] == "******"
