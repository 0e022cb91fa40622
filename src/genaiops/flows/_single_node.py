"""Inputs for one node that is run alone."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from genaiops.errors import InputError
from genaiops.flows._conversion import convert_value
from genaiops.flows._model import InputDef, Node
from genaiops.flows._references import Reference, read_property


def inputs_of_single_node(node: Node, given: Mapping[str, Any], flow_inputs: Mapping[str, InputDef]) -> dict[str, Any]:
    """The value of each referring input of `node`.

    A value is looked for by the reference as written (`${ask.output}`, with or without the braces), by the node it
    comes from (`ask.output`, `ask`), by the flow input, and last by the name of the node's own input. Values for an
    aggregation node are wrapped into a list of one, as if there had been one row.

    Raises:
        InputError: `InputNotFound` when a value is missing, `InputTypeError` when it cannot be converted.
    """
    values: dict[str, Any] = {}
    for name, reference in node.inputs.items():
        if not isinstance(reference, Reference):
            if name in given:
                values[name] = given[name]
            continue
        found, value = _lookup(name, reference, given, flow_inputs)
        if not found:
            raise InputError(
                f"The input {name!r} of node {node.name!r} has no value; it refers to {reference}.",
                kind="InputNotFound",
                node=node.name,
                hint=_how_to_give(name, given),
            )
        values[name] = [value] if node.aggregation else value
    return values


def _lookup(
    name: str, reference: Reference, given: Mapping[str, Any], flow_inputs: Mapping[str, InputDef]
) -> tuple[bool, Any]:
    text = str(reference)
    exact = [text, text[2:-1]]
    if reference.kind == "input":
        exact += [f"${{inputs.{reference.name}}}", f"inputs.{reference.name}", reference.name]
    for key in exact:
        if key in given:
            return True, _converted(reference, given[key], flow_inputs)
    if reference.kind == "node":
        for key in (f"{reference.name}.output", f"${{{reference.name}.output}}", reference.name):
            if key in given:
                return True, read_property(given[key], reference.steps, reference)
    if name in given:
        return True, given[name]
    declared = flow_inputs.get(reference.name) if reference.kind == "input" else None
    if declared is not None and declared.default is not None:
        return True, convert_value(declared.default, declared.type)
    return False, None


def _converted(reference: Reference, value: Any, flow_inputs: Mapping[str, InputDef]) -> Any:
    declared = flow_inputs.get(reference.name) if reference.kind == "input" else None
    if declared is None:
        return value
    try:
        return convert_value(value, declared.type)
    except Exception as error:
        raise InputError(
            f"The input {reference.name!r} should be of type {declared.type} and is {value!r}.",
            kind="InputTypeError",
            type=type(error).__name__,
        ) from error


def _how_to_give(name: str, given: Mapping[str, Any]) -> str:
    near = get_close_matches(name, given, n=1)
    return f"Give it as {name}=VALUE{f', not {near[0]}' if near else ''}."
