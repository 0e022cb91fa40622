"""What a flow is: frozen records that the loader fills and everybody else reads.

Nothing here opens a file or imports user code. Foreign words (`is_chat_input`, `node_variants`) are kept where the
file form is meant and translated where ours differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from genaiops.flows._references import Reference
from genaiops.records import record

FlowKind = Literal["graph", "function", "class", "prompty"]
Severity = Literal["error", "warning"]


@record(frozen=True, kw_only=True)
class Finding:
    """Something to say about a flow, with its place.

    Args:
        severity: `error` when the flow cannot run, `warning` when it can.
        code: A stable short name (`unknown-key`, `NodeReferenceNotFound`).
        message: What was found and what was expected.
        file: The file that holds it.
        line: Its line, counted from 1.
        hint: What to do, often the nearest valid name.
        node: The node concerned.
    """

    severity: Severity
    code: str
    message: str
    file: str | None = None
    line: int | None = None
    hint: str | None = None
    node: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published JSON form of a finding."""
        return {
            "severity": self.severity,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "hint": self.hint,
            "node": self.node,
        }


@record(frozen=True, kw_only=True)
class InputDef:
    """One declared input: of a flow, of a flex flow's `init`, or of a tool.

    `has_default` tells a default of null apart from no default; `is_optional` says that null is a value of it;
    `types` are the connection classes that a parameter takes.
    """

    type: str = "object"
    default: Any = None
    has_default: bool = False
    description: str | None = None
    enum: tuple[Any, ...] = ()
    is_chat_input: bool = False
    is_chat_history: bool | None = None
    types: tuple[str, ...] = ()
    is_optional: bool = False
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The form a flow file holds."""
        form: dict[str, Any] = {"type": self.type}
        if self.has_default:
            form["default"] = self.default
        if self.description:
            form["description"] = self.description
        if self.is_chat_input:
            form["is_chat_input"] = True
        if self.is_chat_history is not None:
            form["is_chat_history"] = self.is_chat_history
        return form


@record(frozen=True, kw_only=True)
class OutputDef:
    """One declared output; `reference` is a `Reference`, or the literal that the output always has."""

    type: str = "object"
    reference: Any = None
    description: str | None = None
    evaluation_only: bool = False
    is_chat_output: bool = False
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The form a flow file holds."""
        form: dict[str, Any] = {"type": self.type}
        if self.reference is not None:
            form["reference"] = str(self.reference) if isinstance(self.reference, Reference) else self.reference
        if self.is_chat_output:
            form["is_chat_output"] = True
        if self.evaluation_only:
            form["evaluation_only"] = True
        return form


@record(frozen=True, kw_only=True)
class NodeSource:
    """Where the code or the template of a node is: a file, a tool of a package, or both."""

    type: Literal["code", "package", "package_with_prompt"] = "code"
    path: str | None = None
    tool: str | None = None


@record(frozen=True, kw_only=True)
class Condition:
    """`when` (a `Reference` or a literal) has the value `expected`.

    For a `skip:` block `value` is what the node then gives; `has_value` tells null from nothing said.
    """

    when: Any
    expected: Any
    value: Any = None
    has_value: bool = False
    line: int | None = None


@record(frozen=True, kw_only=True)
class Node:
    """One node of a graph, its variant already chosen.

    `inputs` hold a `Reference` or a literal each, literals as the YAML file types them. `lines` gives the line of each
    key and of each input (`inputs.NAME`).
    """

    name: str
    type: str | None = None
    source: NodeSource | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    api: str | None = None
    connection: str | None = None
    provider: str | None = None
    module: str | None = None
    aggregation: bool = False
    activate: Condition | None = None
    skip: Condition | None = None
    use_variants: bool = False
    variant: str | None = None
    cache: bool | None = None
    line: int | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def references(self) -> list[Reference]:
        """Every reference of the node: inputs, then conditions, in the order written."""
        values = [*self.inputs.values()]
        for condition in (self.activate, self.skip):
            if condition is not None:
                values += [condition.when, condition.value]
        return [value for value in values if isinstance(value, Reference)]


@record(frozen=True, kw_only=True)
class VariantSet:
    """The variants of one node: the default and every id, in the order written."""

    default: str | None
    ids: tuple[str, ...]
    line: int | None = None


@record(frozen=True, kw_only=True)
class ChatShape:
    """Which input is the person's message, which is the history, which output is the answer."""

    input: str
    history: str | None
    output: str | None


@record(frozen=True, kw_only=True)
class Flow:
    """What a flow is, as far as its files tell. No user code has been imported.

    Args:
        kind: `graph` (DAG), `function` or `class` (flex, or any callable), `prompty`.
        path: The flow's file; for a callable, the file it is written in.
        folder: The working directory in which it runs. With `additional_includes` this is the merged copy.
        home: The folder of the flow's file, where a user edits it.
        inputs: Declared inputs. For flex flows those of the YAML file, else those read from the source text.
        outputs: Declared outputs; those that would come from an aggregation node are left out.
        nodes: In an order in which they could run, stable with respect to the file.
        variants: The variants that may be chosen, by node.
        chosen: The variant in force, by node that has one.
        init: Constructor inputs of a class flow.
        environment_variables: As text, before `${connection.key}` is resolved.
        entry: `module:name` of a flex flow.
        target: The callable itself when the flow was given as one.
        prompty: Front matter of a prompty as written, empty for other kinds.
        overrides: What a caller laid over the front matter of a prompty.
        includes: Files and folders merged from outside, absolute.
        findings: Warnings met while loading.
        loose_signature: True when `inputs` could not be known without importing the code.
    """

    kind: FlowKind
    path: Path
    folder: Path
    home: Path
    name: str
    inputs: Mapping[str, InputDef] = field(default_factory=dict)
    outputs: Mapping[str, OutputDef] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    variants: Mapping[str, VariantSet] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, InputDef] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    requirements: Path | None = None
    chat: ChatShape | None = None
    message_format: str = "basic"
    type: str = "standard"
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    entry: str | None = None
    target: Callable[..., Any] | None = None
    sample: Mapping[str, Any] = field(default_factory=dict)
    prompty: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    includes: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    loose_signature: bool = False
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    def node(self, name: str) -> Node:
        """The node called `name`.

        Raises:
            KeyError: There is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def aggregation_nodes(self) -> tuple[Node, ...]:
        """Nodes that run once, after all rows."""
        return tuple(node for node in self.nodes if node.aggregation)

    @property
    def row_nodes(self) -> tuple[Node, ...]:
        """Nodes that run for every row."""
        return tuple(node for node in self.nodes if not node.aggregation)
