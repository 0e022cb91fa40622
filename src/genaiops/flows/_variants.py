"""Which body a node has: the one written in `nodes`, or a variant of it.

A variant replaces the whole body of a node that says `use_variants: true`; only the name is kept. Flow files rely on
it: an `activate` that stands beside `use_variants` does not hold for the variant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._graph import Report
from genaiops.flows._model import VariantSet
from genaiops.flows._yaml import Place, YamlDocument

_CHOICE = re.compile(r"""^\s*["']?\$?\{?\s*([^${}."']+)\.([^${}"']+?)\s*\}?["']?\s*$""")


def read_variants(document: YamlDocument, data: Mapping[str, Any]) -> dict[str, VariantSet]:
    """The variants of every node that has some, chosen or not."""
    sets: dict[str, VariantSet] = {}
    for node, block in _mapping(data.get("node_variants")).items():
        block = _mapping(block)
        default = block.get("default_variant_id")
        sets[str(node)] = VariantSet(
            default=None if default is None else str(default),
            ids=tuple(str(variant) for variant in _mapping(block.get("variants"))),
            line=document.line("node_variants", node),
        )
    return sets


def parse_choice(choice: str | Mapping[str, str] | None, variants: Mapping[str, VariantSet]) -> dict[str, str]:
    """What a user asked for, as node → variant.

    Args:
        choice: `${node.variant}`, `node.variant`, a bare variant that only one node has, or a mapping.
        variants: What may be chosen.

    Raises:
        FlowDefinitionError: `InvalidFlowError` when the text is no choice or no node has the variant.
    """
    if choice is None:
        return {}
    if not isinstance(choice, str):
        return {str(node): str(variant) for node, variant in choice.items()}
    match = _CHOICE.match(choice)
    if match:
        return {match[1].strip(): match[2].strip()}
    bare = choice.strip().strip("\"'")
    owners = [node for node, found in variants.items() if bare in found.ids]
    if len(owners) == 1:
        return {owners[0]: bare}
    # Compared without the nodes' names, which the user left out.
    near = get_close_matches(bare, [variant for found in variants.values() for variant in found.ids], n=1)
    known = [f"{node}.{variant}" for node, found in variants.items() for variant in found.ids]
    likely = next((name for name in known if near and name.endswith(f".{near[0]}")), bare)
    problem = (
        f"The variant {choice!r} belongs to several nodes: {', '.join(owners)}."
        if owners
        else f"{choice!r} is not a variant of this flow."
    )
    raise FlowDefinitionError(
        problem, hint=suggest(likely, known) if not owners else "Write node.variant.", kind="InvalidFlowError"
    )


class ChosenBody:
    """The body of a node after its variant was put in, and where that body stands in the file."""

    def __init__(self, body: Mapping[str, Any], place: Place, variant: str | None) -> None:
        self.body = body
        self.place = place
        self.variant = variant


def choose_body(
    node: Mapping[str, Any],
    place: Place,
    data: Mapping[str, Any],
    choice: Mapping[str, str],
    *,
    document: YamlDocument,
    report: Report,
) -> ChosenBody:
    """The body that is in force for one entry of `nodes`.

    Reports `InvalidFlowError` when the node has no variants, no default, or not the variant asked for.
    """
    name = str(node.get("name"))
    if not _is_true(node.get("use_variants")):
        if name in choice:
            report(_error(f"Node {name!r} does not use variants.", document, place, name, "Set use_variants: true."))
        return ChosenBody(node, place, None)
    sets = _mapping(data.get("node_variants"))
    if name not in sets:
        report(_error(f"Node {name!r} uses variants and has none in node_variants.", document, place, name))
        return ChosenBody(node, place, None)
    block = _mapping(sets[name])
    wanted = choice.get(name, block.get("default_variant_id"))
    variants = {str(key): value for key, value in _mapping(block.get("variants")).items()}
    if wanted is None:
        report(
            _error(
                f"Node {name!r} has no default_variant_id.",
                document,
                ("node_variants", name),
                name,
                suggest("", variants),
            )
        )
        return ChosenBody(node, place, None)
    wanted = str(wanted)
    if wanted not in variants:
        report(
            _error(
                f"Node {name!r} has no variant {wanted!r}.",
                document,
                ("node_variants", name),
                name,
                suggest(wanted, variants),
            )
        )
        return ChosenBody(node, place, None)
    raw_key = next(key for key in _mapping(block.get("variants")) if str(key) == wanted)
    inner: Place = ("node_variants", name, "variants", raw_key, "node")
    body = _mapping(variants[wanted]).get("node")
    if not isinstance(body, Mapping):
        report(_error(f"The variant {wanted!r} of node {name!r} holds no node.", document, inner, name))
        return ChosenBody(node, place, None)
    return ChosenBody({**body, "name": name}, inner, wanted)


def _error(
    message: str, document: YamlDocument, place: Place, node: str, hint: str | None = None
) -> FlowDefinitionError:
    return FlowDefinitionError(
        message, file=document.path, line=document.line(*place), node=node, hint=hint, kind="InvalidFlowError"
    )


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
