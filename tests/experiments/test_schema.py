"""The published JSON Schema says what the reader reads."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from genaiops.experiments import experiment_schema
from genaiops.experiments._keys import CONFIRM_KEYS, DATASET_KEYS, EVALUATOR_KEYS, EXPERIMENT_KEYS, METRIC_KEYS
from tests.experiments.usecase import BASE


def parse(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_valid_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(experiment_schema())


def test_the_schema_knows_the_keys_that_the_reader_knows() -> None:
    schema = experiment_schema()

    assert set(schema["properties"]) == set(EXPERIMENT_KEYS)
    assert set(schema["$defs"]["dataset"]["properties"]) == set(DATASET_KEYS)
    assert set(schema["$defs"]["evaluator"]["properties"]) == set(EVALUATOR_KEYS)
    assert set(schema["properties"]["confirm"]["properties"]) == set(CONFIRM_KEYS)
    assert set(schema["properties"]["metrics"]["additionalProperties"]["properties"]) == set(METRIC_KEYS)


@pytest.mark.parametrize("text", [BASE, "", "evaluators:\nruntime:\n", BASE + "plan: sample:12\nrepeats: 3\n"])
def test_good_files_pass(text: str) -> None:
    jsonschema.validate(parse(text), experiment_schema())


@pytest.mark.parametrize(
    "text", ["evaluatrs: []\n", "plan: everything\n", "datasets:\n- {source: x}\n", "repeats: 0\n"]
)
def test_bad_files_do_not(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse(text), experiment_schema())


def test_the_file_is_part_of_the_package() -> None:
    import genaiops

    path = Path(genaiops.__file__).parent / "experiments/experiment.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == experiment_schema()
