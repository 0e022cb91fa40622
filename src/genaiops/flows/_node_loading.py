"""Nodes of a flow, loaded: their functions found, their literals made ready, compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from genaiops.flows._compile import CompiledNode, Compiler, Mode
from genaiops.flows._literals import ImageReader, LiteralPreparer
from genaiops.flows._model import Flow, Node
from genaiops.flows._outcome import Services
from genaiops.flows._references import Reference
from genaiops.flows._sources import source_path
from genaiops.flows._threads import WorkerThreads
from genaiops.flows._tools import ToolFunction, instantiate, load_package_tool, load_script_tool

if TYPE_CHECKING:
    from genaiops.flows._model_nodes import ModelNodes


class NodeLoader:
    """Loads the nodes of one flow.

    Args:
        flow: The flow.
        services: Connections, models, kept results.
        read_image: Makes images of literals.
        streaming: Ask nodes to stream that only a flow output reads.
        threads: Where kept plain functions run.
    """

    def __init__(
        self, flow: Flow, services: Services, read_image: ImageReader, *, streaming: bool, threads: WorkerThreads
    ) -> None:
        self._flow = flow
        self._services = services
        self._threads = threads
        self._literals = LiteralPreparer(services.connections, read_image, flow.folder, flow.path)
        self._streamed = _streamed_nodes(flow) if streaming else frozenset()
        self._model_nodes: ModelNodes | None = None

    def load(self, nodes: Sequence[Node], compiler: Compiler) -> list[CompiledNode]:
        """Load nodes, in the order of the file, and give them in the order of the graph.

        Raises:
            FlowDefinitionError: `ResolveToolError` for the first node that cannot be loaded.
        """
        written = sorted(nodes, key=lambda node: node.line or 0)
        loaded = {node.name: self._load(node, compiler) for node in written}
        return [loaded[node.name] for node in nodes]

    def _load(self, node: Node, compiler: Compiler) -> CompiledNode:
        is_package = node.source is not None and node.source.type == "package"
        if node.type == "python" and not (is_package and self.models.owns_tool(node)):
            tool = (
                load_package_tool(node, file=self._flow.path)
                if is_package
                else load_script_tool(node, source_path(node, self._flow.folder, file=self._flow.path))
            )
            return self._python(node, tool, compiler)
        return self.models.load(node, compiler, self._literals, is_streamed=node.name in self._streamed)

    @property
    def models(self) -> ModelNodes:
        """What loads nodes with templates and models; made when the first one is met."""
        if self._model_nodes is None:
            from genaiops.flows._model_nodes import ModelNodes

            self._model_nodes = ModelNodes(self._flow, self._services, self._threads)
        return self._model_nodes

    def _python(self, node: Node, tool: ToolFunction, compiler: Compiler) -> CompiledNode:
        parameters = {**tool.parameters, **tool.init}
        constants = self._literals.prepare(node, parameters, tool.module)
        function: Callable[..., Any] = tool.call
        if tool.owner is not None:
            references = {name for name, value in node.inputs.items() if isinstance(value, Reference)}
            instance = instantiate(node, tool, constants, references, self._flow.path)
            function = tool.call.__get__(instance)
        if tool.streaming_option and node.name in self._streamed:
            constants[tool.streaming_option] = True
        mode: Mode = "async" if tool.is_async else "thread"
        keep = node.cache if node.cache is not None else tool.keep
        model = None
        if keep and self._services.kept is not None and not _is_generator(function):
            from genaiops.flows._keeping import KeptFunction

            model = KeptFunction(function, node, tool, self._flow.folder, self._services.kept, self._threads)
            mode = "async"
        return compiler.compile(
            node,
            constants=constants,
            mode=mode,
            function=function,
            defaults=frozenset(name for name, item in tool.parameters.items() if item.has_default),
            model=model,
            constructor=frozenset(tool.init),
        )


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _streamed_nodes(flow: Flow) -> frozenset[str]:
    """Nodes that may stream: a flow output refers to them directly, and no other node does."""
    shown = {
        output.reference.name
        for output in flow.outputs.values()
        if isinstance(output.reference, Reference) and output.reference.kind == "node" and not output.reference.path
    }
    read = {reference.name for node in flow.nodes for reference in node.references() if reference.kind == "node"}
    return frozenset(shown - read)
