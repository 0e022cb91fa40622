"""Column mappings are judged before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.flows import InputDef, check_mapping

INPUTS = {"question": InputDef(type="string"), "lang": InputDef(type="string", default="en", has_default=True)}
FILE = Path("experiment.yaml")


def test_a_mapping_that_fits_has_no_findings() -> None:
    mapping = {"question": "${data.q}", "lang": "fr"}

    assert check_mapping(mapping, INPUTS, file=FILE, columns=["q"]) == []


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("${data.questin}", "'question'"),
        ("$data.question", "${data.question}"),
        ("${data.question}}", "${data.question}"),
        ("{{data.question}}", "${data.question}"),
        ("${target.output}", "${data.COLUMN}"),
        ("${run.outputs.anwser}", "'answer'"),
    ],
)
def test_a_lookup_that_leads_nowhere_is_a_mistake_with_a_way_out(value: str, hint: str) -> None:
    found = check_mapping({"question": value}, INPUTS, file=FILE, columns=["question"], run_outputs=["answer"])

    assert [f.severity for f in found] == ["error"]
    assert hint in (found[0].hint or "")


def test_an_input_without_default_column_or_mapping_is_a_mistake() -> None:
    (found,) = check_mapping({}, INPUTS, file=FILE, columns=["qestion"])

    assert "'question'" in found.message
    assert "'qestion'" in (found.hint or "")


def test_a_mapping_to_an_input_that_is_not_there_is_a_doubt() -> None:
    found = check_mapping({"question": "${data.q}", "lnag": "fr"}, INPUTS, file=FILE, columns=["q"])

    assert [(f.severity, f.code) for f in found] == [("warning", "mapping-to-unknown-input")]
