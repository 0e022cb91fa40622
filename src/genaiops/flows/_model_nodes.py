"""Nodes with templates and models: the one place where flows meet `prompts` and `Models`."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from genaiops.connections import Connection
from genaiops.errors import FlowDefinitionError, RowError
from genaiops.flows._compile import CompiledNode, Compiler
from genaiops.flows._literals import LiteralPreparer
from genaiops.flows._model import Flow, InputDef, Node
from genaiops.flows._model_run import READY_PROMPT, ModelNode
from genaiops.flows._outcome import Services
from genaiops.flows._package_tools import load_builtin_tool, owns_tool
from genaiops.flows._references import Reference
from genaiops.flows._sources import source_path, tool_error
from genaiops.flows._threads import WorkerThreads
from genaiops.flows._tools import load_package_tool

if TYPE_CHECKING:
    from genaiops.prompts import ModelCall

# The modules that llm nodes of prompt flow name; what they hold is served here.
_SERVED_MODULES = frozenset({"promptflow.tools", "promptflow.tools.aoai", "promptflow.tools.openai"})
# The key of a node that an error is about, by its kind.
_SAID_AT = {"APINotFound": "api", "InvalidConnectionType": "connection"}
# Tools of prompt flow's own package that are model nodes with a template: their flavour and provider.
TEMPLATE_TOOLS = {
    "promptflow.tools.llm.llm": ("llm", None),
    "promptflow.tools.llm_vision.llm_vision": ("vision", None),
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat": ("vision", "AzureOpenAI"),
    "promptflow.tools.openai_gpt4v.OpenAI.chat": ("vision", "OpenAI"),
}


class ModelNodes:
    """Loads the nodes of a flow that have a template: prompt, llm, custom_llm, and prompt flow's own package tools."""

    def __init__(self, flow: Flow, services: Services, threads: WorkerThreads) -> None:
        self._flow = flow
        self._services = services
        self._threads = threads

    @staticmethod
    def owns_tool(node: Node) -> bool:
        """True for a package tool that is part of this package."""
        return node.source is not None and owns_tool(node.source.tool)

    def load(
        self, node: Node, compiler: Compiler, literals: LiteralPreparer, *, is_streamed: bool = False
    ) -> CompiledNode:
        """One node.

        Raises:
            FlowDefinitionError: `ResolveToolError` around what is wrong with it.
        """
        try:
            if node.source is not None and node.source.type == "package":
                return load_builtin_tool(node, compiler, literals, self._services, self._threads, file=self._flow.path)
            if node.type == "prompt":
                return self._prompt(node, compiler)
            if node.type == "llm":
                return self._llm(node, compiler, literals, is_streamed)
            return self._custom_llm(node, compiler, literals, is_streamed)
        except FlowDefinitionError as error:
            if error.kind in ("ResolveToolError", "FailedToImportModule"):
                raise
            raise tool_error(
                node,
                error.kind,
                error.message,
                file=error.file or self._flow.path,
                line=error.line if error.file else node.lines.get(_SAID_AT.get(error.kind, ""), node.line),
                hint=error.hint,
            ) from error

    def _template(self, node: Node) -> tuple[str, str]:
        path = source_path(node, self._flow.folder, file=self._flow.path)
        return path.read_text(encoding="utf-8-sig"), str(path)

    def _prompt(self, node: Node, compiler: Compiler) -> CompiledNode:
        from genaiops.prompts import render_prompt, template_variables

        template, file = self._template(node)
        if "template" in template_variables(template, file=file):
            raise tool_error(
                node,
                "NodeInputValidationError",
                "The template reads 'template', which is reserved.",
                file=file,
                line=None,
                hint="Rename the variable in the template and the input.",
            )
        untrusted = untrusted_inputs(node)

        def render(**values: Any) -> str:
            return render_prompt(template, values, untrusted=untrusted, file=file)

        # Literals of prompt nodes are passed as written: null prints as `None`.
        constants = {name: value for name, value in node.inputs.items() if not isinstance(value, Reference)}
        return compiler.compile(node, constants=constants, mode="inline", function=render)

    def _llm(self, node: Node, compiler: Compiler, literals: LiteralPreparer, is_streamed: bool) -> CompiledNode:
        self._import_module(node)
        template, file = self._template(node)
        constants = literals.prepare(node, {})
        written = constants.pop("prompt", None)
        if isinstance(node.inputs.get("prompt"), Reference):
            # An input `prompt` takes the place of the template: text that is ready, often that of a prompt node. It is
            # not a template again, as it is for prompt flow: what a person typed must never be one.
            template = f"{{{{{READY_PROMPT}}}}}"
        elif isinstance(written, str):
            template = written
        connection = self._connection(node, literals, constants)
        call = self._plan(node, template, file, connection, provider=node.provider, api=node.api or "chat")
        return self._compiled(node, compiler, constants, call, connection, is_streamed)

    def _import_module(self, node: Node) -> None:
        if node.module is None or node.module in _SERVED_MODULES:
            return
        try:
            importlib.import_module(node.module)
        except Exception as error:
            raise FlowDefinitionError(
                f"The module {node.module!r} of node {node.name!r} cannot be imported: {error}",
                file=self._flow.path,
                line=node.lines.get("module", node.line),
                node=node.name,
                hint="llm nodes need no module: remove the key.",
                kind="FailedToImportModule",
                type=type(error).__name__,
            ) from error

    def _connection(self, node: Node, literals: LiteralPreparer, constants: dict[str, Any]) -> Any:
        """The connection of the node: its own key, or a literal input of that name."""
        if node.connection is not None:
            constants.pop("connection", None)
            return literals.connection(node, "connection", node.connection)
        written = constants.pop("connection", None)
        return literals.connection(node, "connection", written) if isinstance(written, str) else written

    def _plan(
        self,
        node: Node,
        template: str,
        file: str,
        connection: Any,
        *,
        provider: str | None,
        api: str,
        flavour: Any = "llm",
    ) -> ModelCall:
        from genaiops.prompts import plan_model_call

        return plan_model_call(
            template, connection=connection, provider=provider, api=api, flavour=flavour, file=file, node=node.name
        )

    def _custom_llm(self, node: Node, compiler: Compiler, literals: LiteralPreparer, is_streamed: bool) -> CompiledNode:
        from genaiops.prompts import image_variables

        template, file = self._template(node)
        tool = (node.source.tool if node.source else None) or ""
        if tool not in TEMPLATE_TOOLS:
            return self._package_with_prompt(node, compiler, literals, template)
        flavour, provider = TEMPLATE_TOOLS[tool]
        constants = literals.prepare(node, {name: InputDef(type="image") for name in image_variables(template)})
        connection = self._connection(node, literals, constants)
        api = str(constants.pop("api", None) or "chat")
        call = self._plan(node, template, file, connection, provider=provider, api=api, flavour=flavour)
        return self._compiled(node, compiler, constants, call, connection, is_streamed)

    def _package_with_prompt(
        self, node: Node, compiler: Compiler, literals: LiteralPreparer, template: str
    ) -> CompiledNode:
        """A custom LLM tool of another package: the parameter annotated `PromptTemplate` gets the template's text."""
        tool = load_package_tool(node, file=self._flow.path)
        constants = literals.prepare(node, tool.parameters, tool.module)
        for name, item in tool.parameters.items():
            if item.type == "prompt_template":
                from genaiops.flows._types import PromptTemplate

                constants[name] = PromptTemplate(template)
        return compiler.compile(
            node,
            constants=constants,
            mode="async" if tool.is_async else "thread",
            function=tool.call,
            defaults=frozenset(name for name, item in tool.parameters.items() if item.has_default),
        )

    def _compiled(
        self,
        node: Node,
        compiler: Compiler,
        constants: Mapping[str, Any],
        call: ModelCall,
        connection: Any,
        is_streamed: bool,
    ) -> CompiledNode:
        models = self._services.models
        if models is not None and isinstance(connection, Connection):
            models.require(connection)
        is_read = any(
            reference.kind == "node" and reference.name == node.name
            for other in self._flow.nodes
            for reference in other.references()
        )
        model = ModelNode(
            call,
            connection,
            self._services,
            untrusted=untrusted_inputs(node),
            is_streamed=is_streamed,
            is_read_by_nodes=is_read,
            keep=node.cache is not False,
        )
        return compiler.compile(node, constants=constants, mode="async", function=_never_called, model=model)


def untrusted_inputs(node: Node) -> Collection[str]:
    """Inputs that come straight from a flow input: their text may not open a message."""
    names = {name for name, value in node.inputs.items() if isinstance(value, Reference) and value.kind == "input"}
    return frozenset(READY_PROMPT if name == "prompt" and node.type == "llm" else name for name in names)


def _never_called(**_: Any) -> Any:
    raise RowError("A model node has no function.", kind="UnexpectedError")
