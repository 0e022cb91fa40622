"""Variants replace whole nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.flows import load_flow

FLOW = """\
inputs: {text: {type: string}}
nodes:
- name: ask
  use_variants: true
  aggregation: true
  activate: {when: "${inputs.text}", is: x}
- name: plain
  type: python
  source: {type: code, path: tool.py}
node_variants:
  ask:
    default_variant_id: v0
    variants:
      v0:
        node:
          type: python
          source: {type: code, path: tool.py}
          inputs: {text: zero}
      v1:
        node:
          type: python
          source: {type: code, path: tool.py}
          inputs: {text: one}
"""
TOOL = "from promptflow.core import tool\n@tool\ndef run(text: str = ''): ...\n"


@pytest.fixture
def folder(write_flow: Callable[..., Path]) -> Path:
    return write_flow({"flow.dag.yaml": FLOW, "tool.py": TOOL})


def test_the_default_variant_replaces_the_whole_node(folder: Path) -> None:
    flow = load_flow(folder)

    node = flow.node("ask")
    assert node.inputs == {"text": "zero"}
    # What stands beside use_variants is lost, as flows in the field expect.
    assert node.activate is None
    assert not node.aggregation
    assert flow.chosen == {"ask": "v0"}
    assert flow.variants["ask"].ids == ("v0", "v1")


@pytest.mark.parametrize("choice", ["${ask.v1}", "'${ask.v1}'", '"${ask.v1}"', "ask.v1", "v1", {"ask": "v1"}])
def test_a_variant_is_chosen_in_any_spelling(folder: Path, choice: str | dict[str, str]) -> None:
    flow = load_flow(folder, variant=choice)

    assert flow.node("ask").inputs == {"text": "one"}
    assert flow.node("ask").lines["inputs"] == 23


@pytest.mark.parametrize(
    ("choice", "text", "hint"),
    [
        ("ask.v2", "no variant 'v2'", "Did you mean 'v1'?"),
        ("aks.v1", "no node 'aks'", "Did you mean 'ask'?"),
        ("plain.v1", "does not use variants", "Set use_variants: true."),
        ("nothing", "'nothing' is not a variant", None),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(folder: Path, choice: str, text: str, hint: str | None) -> None:
    with pytest.raises(FlowDefinitionError, match=text) as caught:
        load_flow(folder, variant=choice)

    assert caught.value.kind == "InvalidFlowError"
    assert caught.value.file == str(folder / "flow.dag.yaml")
    if hint == "Set use_variants: true.":
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("default_variant_id: v0", "other: v0", "no default_variant_id"),
        ("default_variant_id: v0", "default_variant_id: v9", "no variant 'v9'"),
        ("node_variants:\n  ask", "node_variants:\n  other", "has none in node_variants"),
    ],
)
def test_variants_that_are_not_there_are_refused(
    write_flow: Callable[..., Path], old: str, new: str, text: str
) -> None:
    with pytest.raises(FlowDefinitionError, match=text) as caught:
        load_flow(write_flow({"flow.dag.yaml": FLOW.replace(old, new), "tool.py": TOOL}))

    assert caught.value.kind == "InvalidFlowError"


def test_overrides_reach_inputs_and_nodes_by_name(folder: Path) -> None:
    flow = load_flow(folder, overrides={"inputs.text.default": "hi", "nodes.ask.inputs.text": "two"}, variant="ask.v1")

    assert flow.inputs["text"].default == "hi"
    assert flow.node("ask").inputs == {"text": "two"}


def test_connections_of_other_nodes_are_inputs(folder: Path) -> None:
    flow = load_flow(folder, connections={"plain": {"text": "other"}})

    assert flow.node("plain").inputs == {"text": "other"}
    with pytest.raises(FlowDefinitionError, match="no node 'nobody'"):
        load_flow(folder, connections={"nobody.connection": "c"})
