"""The reference grammar: `${inputs.NAME}`, `${NODE.output.PROPERTY}`, and how a property is read.

A reference is a whole string; there is no interpolation, and nothing inside the braces is trimmed. The grammar is
prompt flow's to the letter, surprises included, because flows in the field depend on them.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from genaiops.errors import RowError
from genaiops.records import record

# What a property is made of; all that lies between the tokens is skipped.
_TOKEN = re.compile(r"(?P<word>\w+)|\['(?P<key>.*?)'\]|\[(?P<index>\d+)\]")


class Step(NamedTuple):
    """One step into a value: a word (item of a dict, else attribute) or a bracket (always item)."""

    is_bracket: bool
    key: str | int


@record(frozen=True, slots=True)
class Reference:
    """A value that comes from a flow input or from a node.

    Args:
        kind: `input` or `node`.
        name: The input, or the node.
        section: For a node, what stands after the first dot; only `output` can be read.
        path: The property: what stands after the second dot.
    """

    kind: Literal["input", "node"]
    name: str
    section: str = "output"
    path: str = ""

    def __str__(self) -> str:
        """The canonical text, which older files and all messages use."""
        if self.kind == "input":
            return f"${{flow.{self.name}}}"
        return f"${{{self.name}.{self.section}{'.' + self.path if self.path else ''}}}"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The property, taken apart."""
        return parse_property(self.path)


def parse_reference(value: object) -> Reference | None:
    """The reference that `value` is, or None when it is a literal.

    >>> parse_reference("${inputs.a.b}")
    Reference(kind='input', name='a.b', section='output', path='')
    >>> parse_reference("${ask.output.choices[0]}")
    Reference(kind='node', name='ask', section='output', path='choices[0]')
    >>> parse_reference("a ${ask.output}") is None
    True
    """
    if not isinstance(value, str) or len(value) <= 2 or not value.startswith("${") or not value.endswith("}"):
        return None
    inside = value[2:-1]
    for prefix in ("inputs.", "flow."):
        if inside.startswith(prefix):
            return Reference("input", inside[len(prefix) :])
    node, dot, rest = inside.partition(".")
    section, _, path = rest.partition(".")
    return Reference("node", node, section if dot else "output", path)


def parse_property(path: str) -> tuple[Step, ...]:
    """Take a property apart, left to right; what is neither word nor bracket is skipped.

    >>> [step.key for step in parse_property("a.b[0]['c d']")]
    ['a', 'b', 0, 'c d']
    """
    steps: list[Step] = []
    for match in _TOKEN.finditer(path):
        if match["word"] is not None:
            steps.append(Step(False, match["word"]))
        elif match["index"] is not None:
            steps.append(Step(True, int(match["index"])))
        else:
            steps.append(Step(True, match["key"]))
    return tuple(steps)


def read_property(value: Any, steps: tuple[Step, ...], reference: Reference) -> Any:
    """Walk into `value`.

    Raises:
        RowError: Of kind `InvalidReferenceProperty` when a step leads nowhere; of kind `TypeError` when a bracket was
            applied to something that cannot be indexed, where prompt flow lets Python's own error through.
    """
    try:
        for is_bracket, key in steps:
            if is_bracket or isinstance(value, dict):
                value = value[key]
            else:
                value = getattr(value, str(key))
    except (KeyError, IndexError, AttributeError) as error:
        raise RowError(
            f"The output of node {reference.name!r} has no {reference.path!r} (wanted by {reference}).",
            kind="InvalidReferenceProperty",
            node=reference.name,
        ) from error
    except TypeError as error:
        raise RowError(
            f"The output of node {reference.name!r} cannot be read by {reference}: {error}.",
            kind="TypeError",
            node=reference.name,
        ) from error
    return value
