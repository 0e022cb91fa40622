"""Which variants somebody asked for, and which values of parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from genaiops.errors import SettingsError, suggest
from genaiops.experiments._spec import Place
from genaiops.flows import Flow
from genaiops.records import record

_ALL = ("*", "all")
_DEFAULTS = ("defaults", "default")
# Inputs of a model node that may be set although the flow does not write them down.
_MODEL_INPUTS = (
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "deployment_name",
    "model",
    "response_format",
)


@record(frozen=True, kw_only=True)
class Selection:
    """What `--variants` asks for.

    Args:
        single: (node, variant) pairs; each is run with the defaults of the other nodes.
        combined: Explicit combinations, written with `+`; nodes that are left out keep their default.
        with_defaults: The combination of all defaults runs too.
    """

    single: tuple[tuple[str, str], ...] = ()
    combined: tuple[Mapping[str, str], ...] = ()
    with_defaults: bool = False


def select_variants(words: str | Sequence[str] | None, flow: Flow, *, place: Place | None = None) -> Selection:
    """Read `--variants`: `node.variant`, a bare variant, a comma list of these, `a.v1+b.v2`, `defaults`, `all` or `*`.

    Args:
        words: As written; `None` stands for `all`.
        flow: The flow that has the variants.
        place: Where the words stand; by default they came from the command line, and where the flow lists its
            variants is what helps.

    Raises:
        SettingsError: A node or variant that the flow does not have; the valid ones are listed.
    """
    texts = _words(words)
    place = place or Place(file=flow.path, line=flow.lines.get("node_variants") or flow.lines.get("nodes") or 1)
    if not texts or any(text.lower() in _ALL for text in texts):
        pairs = tuple((node, variant) for node, found in flow.variants.items() for variant in found.ids)
        return Selection(single=pairs, with_defaults=True)
    single: dict[tuple[str, str], None] = {}
    combined = []
    with_defaults = False
    for text in texts:
        if text.lower() in _DEFAULTS:
            with_defaults = True
        elif "+" in text:
            combined.append(dict(_one(part.strip(), flow, place) for part in text.split("+")))
        else:
            single.update(dict.fromkeys(_matches(text, flow, place)))
    return Selection(single=tuple(single), combined=tuple(combined), with_defaults=with_defaults)


def default_variants(flow: Flow) -> dict[str, str]:
    """The variant of each node that has some, as the flow ships it."""
    return {node: found.default or found.ids[0] for node, found in flow.variants.items() if found.ids}


def _words(words: str | Sequence[str] | None) -> list[str]:
    parts = [words] if isinstance(words, str) else list(words or ())
    found = [piece.strip().strip("'\"") for part in parts for piece in part.split(",")]
    # prompt flow writes ${node.variant}
    return [word[2:-1] if word.startswith("${") and word.endswith("}") else word for word in found if word]


def _one(text: str, flow: Flow, place: Place) -> tuple[str, str]:
    matches = _matches(text, flow, place)
    if len(matches) > 1:
        listed = ", ".join(f"{node}.{variant}" for node, variant in matches)
        message = f"The variant {text!r} is one of several nodes: {listed}."
        raise SettingsError(message, file=place.file, line=place.line, hint="Write node.variant.")
    return matches[0]


def _matches(text: str, flow: Flow, place: Place) -> list[tuple[str, str]]:
    """All (node, variant) pairs that a word names; the same spelling first, then without regard to case."""
    pairs = [(node, variant) for node, found in flow.variants.items() for variant in found.ids]
    for fold in (str, str.lower):
        matches = [(n, v) for n, v in pairs if fold(text) in (fold(v), fold(f"{n}.{v}"))]
        if matches:
            return matches
    valid = [f"{node}.{variant}" for node, variant in pairs]
    if not valid:
        raise SettingsError(
            f"There is no variant {text!r}: the flow {flow.name!r} has no variants.",
            file=place.file,
            line=place.line,
            hint="Use --variants defaults, or leave it out.",
            kind="UnknownVariant",
        )
    near = suggest(text, valid)
    hint = near if near.startswith("Valid") else f"{near} Valid: {', '.join(valid)}."
    message = f"There is no variant {text!r}."
    raise SettingsError(message, file=place.file, line=place.line, hint=hint, kind="UnknownVariant")


@record(frozen=True, kw_only=True)
class Parameter:
    """One thing that is varied beside variants.

    Args:
        name: `node.input` or `init.name`, also `init.name.key` for a map.
        values: What it takes, in the order given.
        span: `min`, `max`, `step`, `log` of a range, for a search.
    """

    name: str
    values: tuple[Any, ...] = ()
    span: Mapping[str, Any] = field(default_factory=dict)


def read_parameters(
    search_space: Mapping[str, Any], sets: Iterable[str], flow: Flow, init: Mapping[str, Any]
) -> list[Parameter]:
    """What `search_space` and `--set node.input=a,b,c` vary; an option on the command line replaces its block.

    Raises:
        SettingsError: There is no such node, input or init parameter, or no value.
    """
    wanted: dict[str, Any] = dict(search_space)
    for text in sets:
        name, equals, values = text.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"--set expects NODE.INPUT=A,B,C, found {text!r}.", kind="BadOption")
        wanted[name.strip()] = [_scalar(value) for value in _split(values)]
    return [_parameter(name, values, flow, init) for name, values in wanted.items()]


def current_value(name: str, flow: Flow, init: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether a parameter has a value in the flow as it stands, and which."""
    head, _, rest = name.partition(".")
    if head == "init":
        key, _, inner = rest.partition(".")
        if inner:
            value = init.get(key)
            return isinstance(value, Mapping) and inner in value, value.get(inner) if isinstance(
                value, Mapping
            ) else None
        if key in init:
            return True, init[key]
        definition = flow.init.get(key)
        return (definition is not None and definition.has_default), definition.default if definition else None
    node = next((node for node in flow.nodes if node.name == head), None)
    return node is not None and rest in node.inputs, node.inputs.get(rest) if node else None


def _parameter(name: str, values: Any, flow: Flow, init: Mapping[str, Any]) -> Parameter:
    _check_name(name, flow, init)
    if isinstance(values, Mapping):
        low, high, step = values.get("min"), values.get("max"), values.get("step")
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)) or low >= high:
            raise SettingsError(
                f"The range of {name!r} needs min below max.", hint="Write {min: 0, max: 1, step: 0.5}."
            )
        steps = int((high - low) / step + 1e-9) + 1 if step else 0
        points = tuple(_rounded(low + i * step, low, step) for i in range(steps)) if step else ()
        return Parameter(name=name, values=points, span=values)
    listed = tuple(values) if isinstance(values, (list, tuple)) else (values,)
    if not listed:
        raise SettingsError(f"The parameter {name!r} has no values.", hint=f"Write {name}: [a, b].")
    return Parameter(name=name, values=listed)


def _check_name(name: str, flow: Flow, init: Mapping[str, Any]) -> None:
    head, dot, rest = name.partition(".")
    if not dot or not rest:
        raise SettingsError(f"A parameter is node.input or init.name, found {name!r}.", kind="UnknownParameter")
    if head == "init":
        known = [*flow.init, *init]
        key = rest.partition(".")[0]
        if key not in known and not flow.loose_signature:
            raise SettingsError(
                f"The flow {flow.name!r} has no init parameter {key!r}.",
                hint=suggest(key, known),
                kind="UnknownParameter",
            )
        return
    node = next((node for node in flow.nodes if node.name == head), None)
    if node is None:
        names = [node.name for node in flow.nodes]
        raise SettingsError(f"The flow has no node {head!r}.", hint=suggest(head, names), kind="UnknownParameter")
    if rest not in node.inputs and not (node.type == "llm" and rest in _MODEL_INPUTS):
        hint = suggest(rest, [*node.inputs, *(_MODEL_INPUTS if node.type == "llm" else ())])
        raise SettingsError(f"The node {head!r} has no input {rest!r}.", hint=hint, kind="UnknownParameter")


def _rounded(value: float, low: float, step: float) -> float | int:
    whole = isinstance(low, int) and isinstance(step, int)
    return int(value) if whole else round(value, 10)


def _split(text: str) -> list[str]:
    """At commas, except inside quotes or brackets."""
    pieces, depth, quote, start = [], 0, "", 0
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            pieces.append(text[start:position])
            start = position + 1
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]


def _scalar(text: str) -> Any:
    """JSON where it is JSON, text otherwise."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
