"""Changes that a caller makes to a flow while it is loaded: other connections, other values at dotted places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._graph import Report
from genaiops.flows._variants import ChosenBody
from genaiops.flows._yaml import YamlDocument

_MODEL_KEYS = ("connection", "deployment_name", "model")


def apply_connections(
    bodies: Sequence[ChosenBody],
    connections: Mapping[str, Any] | None,
    *,
    document: YamlDocument,
    report: Report,
) -> list[ChosenBody]:
    """Give nodes other connections, deployments or models.

    For an llm node the keys are `connection`, `deployment_name` and `model`; for other nodes any input that takes a
    connection. Reports `InvalidFlowError` for an unknown node or key.
    """
    if not connections:
        return list(bodies)
    changed = {str(body.body.get("name")): body for body in bodies}
    for node, values in _by_node(connections).items():
        chosen = changed.get(node)
        if chosen is None:
            report(_error(document, f"There is no node {node!r} to give a connection to.", suggest(node, changed)))
            continue
        body = dict(chosen.body)
        inputs = dict(body.get("inputs") or {})
        for key, value in values.items():
            if body.get("type") != "llm":
                inputs[key] = value
            elif key == "connection":
                body["connection"] = value
            elif key in _MODEL_KEYS:
                inputs[key] = value
            else:
                report(_error(document, f"An llm node has no {key!r} to override.", suggest(key, _MODEL_KEYS), node))
        body["inputs"] = inputs
        changed[node] = ChosenBody(body, chosen.place, chosen.variant)
    return [changed[str(body.body.get("name"))] for body in bodies]


def _by_node(connections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"ask.connection": "a"}` and `{"ask": {"connection": "a"}}` in the second form."""
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in connections.items():
        if isinstance(value, Mapping):
            nodes.setdefault(str(key), {}).update(value)
        else:
            node, _, name = str(key).partition(".")
            nodes.setdefault(node, {})[name or "connection"] = value
    return nodes


def apply_overrides(
    data: Mapping[str, Any],
    bodies: Sequence[ChosenBody],
    overrides: Mapping[str, Any] | None,
    *,
    document: YamlDocument,
    report: Report,
) -> tuple[dict[str, Any], list[ChosenBody]]:
    """Put values at dotted places such as `inputs.text.default` and `nodes.ask.inputs.temperature`."""
    result: Any = dict(data)
    if not overrides:
        return result, list(bodies)
    by_name = {str(body.body.get("name")): body for body in bodies}
    for place, value in overrides.items():
        head, *rest = str(place).split(".")
        if head == "nodes" and len(rest) > 1:
            chosen = by_name.get(rest[0])
            if chosen is None:
                report(_error(document, f"There is no node {rest[0]!r} at {place!r}.", suggest(rest[0], by_name)))
                continue
            by_name[rest[0]] = ChosenBody(_put(chosen.body, rest[1:], value), chosen.place, chosen.variant)
        else:
            result = _put(result, [head, *rest], value)
    return result, [by_name[str(body.body.get("name"))] for body in bodies]


def _put(tree: Any, place: Sequence[str], value: Any) -> Any:
    """A copy of `tree` with `value` at `place`; entries of lists are found by their `name`."""
    if not place:
        return value
    head, rest = place[0], place[1:]
    if isinstance(tree, list):
        return [
            _put(item, rest, value) if isinstance(item, Mapping) and str(item.get("name")) == head else item
            for item in tree
        ]
    inner = tree if isinstance(tree, Mapping) else {}
    return {**inner, head: _put(inner.get(head), rest, value)}


def _error(document: YamlDocument, message: str, hint: str, node: str | None = None) -> FlowDefinitionError:
    return FlowDefinitionError(message, file=document.path, line=1, hint=hint, node=node, kind="InvalidFlowError")
