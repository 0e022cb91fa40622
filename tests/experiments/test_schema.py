"""The published JSON Schema says what the reader reads."""

from __future__ import annotations

import jsonschema
import pytest

from genaiops.experiments._keys import CONFIRM_KEYS, DATASET_KEYS, EVALUATOR_KEYS, EXPERIMENT_KEYS, METRIC_KEYS
from genaiops.gates import ALERT_KEYS
from genaiops.gates._reading import _DEFAULTS, _METRIC_KEYS, _POLICY_KEYS, _SEGMENT_KEYS
from genaiops.schemas import load_schema
from tests.experiments.usecase import BASE

GATE = """
gate:
  metrics: {a: 0.8, b: ">= 5%", e.c: {margin: 2%, require: not worse, segments: [lang]}}
  max_failed_rows: 5%
alert:
  webhook: ${HOOK}
"""


def parse(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_valid_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema("experiment-yaml"))


def test_the_schema_knows_the_keys_that_the_reader_knows() -> None:
    schema = load_schema("experiment-yaml")

    assert set(schema["properties"]) == set(EXPERIMENT_KEYS)
    assert set(schema["$defs"]["dataset"]["properties"]) == set(DATASET_KEYS)
    assert set(schema["$defs"]["evaluator"]["properties"]) == set(EVALUATOR_KEYS)
    assert set(schema["properties"]["confirm"]["properties"]) == set(CONFIRM_KEYS)
    assert set(schema["properties"]["gate"]["properties"]) == {*_POLICY_KEYS, *_DEFAULTS, "max_failed", "max_p95_s"}
    assert set(schema["properties"]["alert"]["properties"]) == {*ALERT_KEYS, "max_failed", "max_p95_s"}
    assert set(schema["$defs"]["demands"]["additionalProperties"]["properties"]) == {*_METRIC_KEYS, "margin"}
    assert set(schema["$defs"]["segments"]["properties"]) == {*_SEGMENT_KEYS, "column"}
    assert set(schema["properties"]["metrics"]["additionalProperties"]["properties"]) == set(METRIC_KEYS)


@pytest.mark.parametrize("text", [BASE, "", "evaluators:\nruntime:\n", BASE + "plan: sample:12\nrepeats: 3\n", GATE])
def test_good_files_pass(text: str) -> None:
    jsonschema.validate(parse(text), load_schema("experiment-yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "evaluatrs: []\n",
        "plan: everything\n",
        "datasets:\n- {source: x}\n",
        "repeats: 0\n",
        "gate: {metrik: 1}\n",
        "alert: {notify: never}\n",
    ],
)
def test_bad_files_do_not(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse(text), load_schema("experiment-yaml"))
