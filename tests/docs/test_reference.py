"""The reference pages leave nothing out: every command and option, every key of experiment.yaml, every variable."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from genaiops.cli._app import app
from genaiops.experiments._data_checks import KEYS as DATA_CHECK_KEYS
from genaiops.experiments._keys import (
    CONFIRM_KEYS,
    DATASET_KEYS,
    EVALUATOR_KEYS,
    EXPERIMENT_KEYS,
    METRIC_KEYS,
    MODEL_CALLS_KEYS,
)
from genaiops.gates._policy import MetricPolicy, Policy, SegmentPolicy

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
OF_OURS = re.compile(r"[\"'](GENAIOPS_[A-Z_]+|PF_[A-Z_]+|PROMPTFLOW_[A-Z_]+|OTEL_EXPORTER_[A-Z_]+)[\"']")


def all_commands(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    found = [(" ".join(words), command)] if words else []
    if isinstance(command, click.Group) and words != ("pf",):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += all_commands(inner, (*words, name))
    return found


def test_every_command_and_option_stands_on_the_page_of_commands() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^#+ `genaiops ([^`]+)`\n(.*?)(?=^#+ `|\Z)", text, re.MULTILINE | re.DOTALL))

    missing = [
        f"genaiops {words} {option.opts[0]}"
        for words, command in all_commands(app)
        if not isinstance(command, click.Group)
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and option.opts[0] not in sections.get(words, "")
    ]

    assert set(sections) == {words for words, _ in all_commands(app)}, "run: python docs/write_commands.py"
    assert missing == [], "run: python docs/write_commands.py"


@pytest.mark.parametrize(
    "keys",
    [
        EXPERIMENT_KEYS,
        DATASET_KEYS,
        EVALUATOR_KEYS,
        METRIC_KEYS,
        MODEL_CALLS_KEYS,
        CONFIRM_KEYS,
        DATA_CHECK_KEYS,
        *[tuple(f.name for f in fields(part)) for part in (Policy, MetricPolicy, SegmentPolicy)],
    ],
)
def test_every_key_of_experiment_yaml_is_described(keys: tuple[str, ...]) -> None:
    text = (REFERENCE / "experiment-yaml.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[$\w]+", text))

    assert [key for key in keys if key not in words and key != "file"] == []


def test_every_variable_that_is_read_is_described() -> None:
    text = (REFERENCE / "environment-variables.md").read_text(encoding="utf-8")
    read = {
        name
        for file in (ROOT / "src" / "genaiops").rglob("*.py")
        if "compat" not in file.parts
        for name in OF_OURS.findall(file.read_text(encoding="utf-8"))
    }

    assert sorted(name for name in read if name not in text) == []
