"""Placeholders in `environment/env.yaml` and `init.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from genaiops.errors import SettingsError
from genaiops.experiments import load_experiment
from tests.experiments.usecase import make_use_case, settings_of, write

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc {}", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def load(folder: Path, **environ: str):
    return load_experiment(folder, settings_of(folder, environ))


@hypothesis_settings(deadline=None, max_examples=25)
@given(values=st.dictionaries(st.sampled_from(["a", "b", "model_config", "stop"]), ANY_JSON, max_size=4))
def test_every_json_type_of_init_survives(tmp_path_factory: pytest.TempPathFactory, values: dict) -> None:
    folder = make_use_case(tmp_path_factory.mktemp("case"))
    write(folder / "flows/main/init.json", json.dumps(values))

    assert load(folder).init == values


def test_a_placeholder_reads_the_name_that_is_written_first(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "flows/main/init.json", '{"model_config": {"api_key": "${MY_KEY}"}}')

    assert load(tmp_path, MY_KEY="mine", MODEL_CONFIG_API_KEY="other").init["model_config"] == {"api_key": "mine"}
    assert load(tmp_path, MODEL_CONFIG_API_KEY="other").init["model_config"] == {"api_key": "other"}


def test_the_convention_wins_over_a_literal_and_keeps_its_type(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    text = '{"model_config": {"azure_endpoint": "https://demo", "timeout": 3}, "max_total_token": 2048, "path": "x"}'
    write(tmp_path / "flows/main/init.json", text)

    init = load(
        tmp_path,
        MODEL_CONFIG_AZURE_ENDPOINT="https://mine",
        MODEL_CONFIG_TIMEOUT="5",
        MAX_TOTAL_TOKEN="99",
        PATH="/bin",
    ).init

    assert init == {
        "model_config": {"azure_endpoint": "https://mine", "timeout": 5},
        "max_total_token": 99,
        "path": "x",
    }


def test_all_missing_variables_are_told_at_once(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "flows/main/init.json", '{\n"a": {"key": "${FIRST}"},\n"b": "${SECOND}"}')
    write(tmp_path / "environment/env.yaml", "third: ${THIRD}\n")

    with pytest.raises(SettingsError) as caught:
        load(tmp_path)

    for name in ("FIRST or A_KEY", "SECOND or B", "THIRD"):
        assert name in caught.value.message
    assert caught.value.exit_code == 2


def test_env_yaml_names_become_upper_case_and_values_text(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "environment/env.yaml", "token_length: 3000\nVERBOSE: false\nname: ${OTHER}\n")

    assert load(tmp_path, OTHER="x").environment_variables == {"TOKEN_LENGTH": "3000", "VERBOSE": "False", "NAME": "x"}


def test_a_variable_that_is_set_wins_over_env_yaml(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "environment/env.yaml", "CHUNK: 10\n")

    assert load(tmp_path, CHUNK="20").environment_variables == {"CHUNK": "20"}


def test_an_empty_value_in_env_yaml_is_an_error(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "environment/env.yaml", "A: 1\nB:\n")

    with pytest.raises(SettingsError, match="B has no value") as caught:
        load(tmp_path)

    assert caught.value.line == 2


def test_a_default_in_the_flow_file_that_asks_for_a_variable_is_resolved(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    (tmp_path / "flows/main/flow.dag.yaml").unlink()
    flex = "entry: app:App\ninit:\n  model_config:\n    default: {api_key: '${api_key}', v: 1}\n  top: {default: 3}\n"
    write(tmp_path / "flows/main/flow.flex.yaml", flex)

    assert load(tmp_path, MODEL_CONFIG_API_KEY="k").init == {"model_config": {"api_key": "k", "v": 1}}


def test_secrets_are_not_explained(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    write(tmp_path / "flows/main/init.json", '{"model_config": {"api_key": "${K}"}}')

    spec = load(tmp_path, K="topsecret")

    (setting,) = [setting for setting in spec.settings if setting.key == "init.model_config.api_key"]
    assert (setting.value, setting.source, setting.where) == ("******", "environment", "K")
    assert "topsecret" not in repr(spec)
