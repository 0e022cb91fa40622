"""What a package holds of init values and variables, and what they become where it runs."""

from __future__ import annotations

from genaiops.packaging._surroundings import (
    connections_in,
    fill_init,
    fill_variables,
    names_left_open,
    open_init,
    open_variables,
)


def test_every_json_type_survives() -> None:
    """Prompt flow's template split such values on blanks and on `=`, and dropped floats."""
    values = {
        "text": "two words = a=b==",
        "share": 0.25,
        "count": 3,
        "on": True,
        "none": None,
        "list": ["a b", 1.5, None],
        "model_config": {"azure_deployment": "gpt 4", "temperature": 0.0, "stop": ["\n", "="]},
    }

    assert open_init(values) == values
    assert fill_init(open_init(values), {}) == (values, [])


def test_a_secret_comes_along_as_the_name_of_the_variable_that_sets_it() -> None:
    values = {
        "model_config": {"api_key": "abc==", "max_tokens": "20", "keywords": "cats"},
        "searchKey": "k",
        "store": "postgres://me:pa55word-x@host/db",
        "hosts": [{"token": "t0"}],
    }

    opened = open_init(values)

    assert opened == {
        "model_config": {"api_key": "${MODEL_CONFIG_API_KEY}", "max_tokens": "20", "keywords": "cats"},
        "searchKey": "${SEARCHKEY}",
        "store": "${STORE}",
        "hosts": [{"token": "${HOSTS_TOKEN}"}],
    }
    assert names_left_open(opened, {}) == ["HOSTS_TOKEN", "MODEL_CONFIG_API_KEY", "SEARCHKEY", "STORE"]


def test_a_placeholder_is_read_where_the_package_runs() -> None:
    values = {"model_config": {"api_key": "${AOAI_KEY}", "azure_endpoint": "https://${HOST}/"}}

    assert fill_init(values, {"AOAI_KEY": "one", "HOST": "here"}).values == {
        "model_config": {"api_key": "one", "azure_endpoint": "https://here/"}
    }
    assert fill_init(values, {"MODEL_CONFIG_API_KEY": "two", "HOST": "x"}).values["model_config"]["api_key"] == "two"
    assert fill_init(values, {}).missing == ["AOAI_KEY or MODEL_CONFIG_API_KEY", "HOST"]


def test_a_variable_of_the_convention_wins_over_a_literal_and_keeps_its_type() -> None:
    values = {"model_config": {"azure_endpoint": "https://demo/", "temperature": 0.5}, "top_k": 3, "path": "p"}
    environ = {
        "MODEL_CONFIG_AZURE_ENDPOINT": "https://mine/",
        "MODEL_CONFIG_TEMPERATURE": "1",
        "TOP_K": "9",
        "PATH": "/",
    }

    assert fill_init(values, environ).values == {
        "model_config": {"azure_endpoint": "https://mine/", "temperature": 1},
        "top_k": 9,
        "path": "p",
    }


def test_declared_variables_keep_plain_values_and_lose_secret_ones() -> None:
    opened = open_variables({"TIMEOUT_S": 20, "SEARCH_KEY": "abcdef", "URL": "${HOST}/x", "REGION": "eu"})

    assert opened == {"TIMEOUT_S": "20", "SEARCH_KEY": "", "URL": "${HOST}/x", "REGION": "eu"}
    assert names_left_open({}, opened) == ["HOST", "SEARCH_KEY"]
    assert fill_variables({"URL": "${HOST}/x", "REGION": "eu"}, {"HOST": "h", "REGION": "us"}) == ({"URL": "h/x"}, [])


def test_init_values_name_connections() -> None:
    values = {"model_config": {"connection": "aoai"}, "search_connection": "find", "other": "x", "c": {"connection": 1}}

    assert connections_in(values) == ["aoai", "find"]
