"""A graph flow, opened: nodes loaded, ready to run rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genaiops.errors import GenaiopsError, RowError
from genaiops.flows._aggregate import aggregate_graph
from genaiops.flows._compile import Binding, CompiledGraph, Compiler, aggregation_references, compile_binding
from genaiops.flows._conversion import InputConverter
from genaiops.flows._drive import drive_in_thread, drive_on_loop
from genaiops.flows._failures import failure
from genaiops.flows._generators import (
    PROXIES,
    AsyncGeneratorProxy,
    GeneratorProxy,
    joined,
    joined_async,
    watched,
)
from genaiops.flows._images import image_reader, image_writer, own_image_reader
from genaiops.flows._model import Flow, InputDef, OutputDef
from genaiops.flows._node_loading import NodeLoader
from genaiops.flows._outcome import (
    AggregationInputs,
    AggregationOutcome,
    NodeOutcome,
    Outcome,
    RowStatus,
    Services,
)
from genaiops.flows._plan import Plan
from genaiops.flows._recorded import PLAIN_TYPES, NotJsonError, recorded, to_json_value
from genaiops.flows._references import Reference
from genaiops.flows._row import GraphRow
from genaiops.flows._single_node import inputs_of_single_node
from genaiops.tracing import SpanRecorder


class GraphPlan(Plan):
    """A DAG flow, ready to run rows."""

    def __init__(self, flow: Flow, services: Services, *, concurrency: int, streaming: bool) -> None:
        super().__init__(flow, services, concurrency=concurrency)
        self._read_image = image_reader(flow.folder, services.image_folders)
        self._write_image = image_writer(flow.message_format, services.images)
        read_own_image = own_image_reader(flow.folder)
        self._converter = InputConverter(
            flow.inputs, self._read_image, load_default_image=read_own_image, file=flow.path
        )
        loader = NodeLoader(flow, services, read_own_image, streaming=streaming, threads=self.threads)
        self._loader = loader
        self._graph = CompiledGraph(loader.load(flow.row_nodes, Compiler(flow.row_nodes, self._write_image)))
        aggregation = flow.aggregation_nodes
        self._aggregation = CompiledGraph(loader.load(aggregation, Compiler(aggregation, self._write_image)))
        positions = {node.name: node.index for node in self._graph.nodes}
        self._outputs = [(name, _output_binding(name, output, positions)) for name, output in flow.outputs.items()]
        self._needed = {
            key: compile_binding(key, reference, positions) for key, reference in aggregation_references(flow).items()
        }

    @property
    def is_sync(self) -> bool:
        """Every node is a plain function, so that a row can run on one thread."""
        return self._graph.is_sync

    @property
    def has_aggregation(self) -> bool:
        """There are nodes that run after all rows."""
        return bool(self._aggregation.nodes)

    @property
    def aggregates_single(self) -> bool:
        """A single run aggregates too: some aggregation node reads the output of a row's node."""
        return any(binding.source == "node" for binding in self._needed.values())

    # Rows

    async def _run(self, recorder: SpanRecorder, call: _Call) -> Outcome:
        if self._graph.is_sync:
            return await self.threads.run(self._run_sync, recorder, call)
        with recorder.span(self.flow.name, "flow") as root:
            row = self._begin(call)
            if row is not None:
                await drive_on_loop(row, self.threads)
                if row.error is None:
                    await self._join_generators(row, call)
            outcome = self._end(call)
            root.error = outcome.error["message"] if outcome.error else None
        outcome.tokens = root.usage
        return outcome

    def _run_sync(self, recorder: SpanRecorder, call: _Call) -> Outcome:
        with recorder.span(self.flow.name, "flow") as root:
            row = self._begin(call)
            if row is not None:
                drive_in_thread(row, row.start(), self.threads)
            outcome = self._end(call)
            root.error = outcome.error["message"] if outcome.error else None
        outcome.tokens = root.usage
        return outcome

    def run_now(
        self, inputs: Mapping[str, Any], *, row: int | None = None, repeat: int = 0, is_recorded: bool = True
    ) -> Outcome:
        """Run a row on this thread; only when `is_sync`."""
        recorder = SpanRecorder({"flow": self.flow.name, "row": row})
        outcome = self._run_sync(recorder, _Call(inputs, row, repeat, streaming=False, is_recorded=is_recorded))
        outcome.spans = recorder.take()
        outcome.trace_id = recorder.trace_id
        return outcome

    def _call(
        self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool, *, is_recorded: bool = True
    ) -> _Call:
        return _Call(inputs, row, repeat, streaming, is_recorded=is_recorded)

    def _begin(self, call: _Call) -> GraphRow | None:
        """The row with its inputs converted, or None when they cannot be."""
        try:
            inputs = self._converter.convert(call.inputs, call.row)
        except GenaiopsError as error:
            call.error = failure(error, name=self.flow.name, folder=self.flow.folder)
            return None
        call.graph_row = GraphRow(
            self._graph,
            inputs,
            self.flow.folder,
            repeat=call.repeat,
            streaming=call.streaming,
            write_image=self._write_image,
            models=self.user_models,
            is_recorded=call.is_recorded,
        )
        return call.graph_row

    async def _join_generators(self, row: GraphRow, call: _Call) -> None:
        """Join the generators among the outputs where reading them may block or must wait: not on this loop's time."""
        if row.streaming:
            return
        for name, binding in self._outputs:
            try:
                value = watched(row.read(binding))
                if type(value) is AsyncGeneratorProxy:
                    call.joined[name] = await joined_async(value)
                elif type(value) is GeneratorProxy:
                    call.joined[name] = await self.threads.run(joined, value)
            except GenaiopsError:
                return  # a reference that leads nowhere: said when the outputs are read
            except Exception as error:  # noqa: BLE001 - a generator of the user's
                row.error = self._generator_failure(binding, error)
                return

    def _generator_failure(self, binding: Binding, error: Exception) -> dict[str, Any]:
        name = self._graph.nodes[binding.key].name
        return failure(error, name=name, folder=self.flow.folder, node=name)

    def _end(self, call: _Call) -> Outcome:
        """The outcome of a row that has been driven, as far as it came."""
        row = call.graph_row
        if row is None:
            return Outcome(call.row, "failed", None, {}, error=call.error)
        outputs: dict[str, Any] = {}
        aggregation: dict[str, Any] = {}
        error = call.error or row.error
        if error is None and not row.is_done():
            error = RowError("No node could run.", kind="NoNodeExecutedError").to_json()
        if error is None:
            try:
                if row.is_recorded:
                    aggregation = {key: row.read(binding) for key, binding in self._needed.items()}
                outputs = self._read_outputs(row, call.joined)
            except (GenaiopsError, TypeError) as problem:
                error = failure(problem, name=self.flow.name, folder=self.flow.folder)
        if not row.is_recorded:
            status: RowStatus = "completed" if error is None else "failed"
            return Outcome(call.row, status, dict(row.inputs), outputs, error=error)
        nodes = row.outcomes()
        for node in nodes.values():
            if type(node.output) in PROXIES and not row.streaming:
                node.output = recorded(node.output, self._write_image)
        return Outcome(
            call.row,
            "completed" if error is None else "failed",
            recorded(row.inputs, self._write_image),
            outputs if error is None else {},
            error=error,
            nodes=nodes,
            aggregation=aggregation,
        )

    def _read_outputs(self, row: GraphRow, joined_already: Mapping[str, str]) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        for name, binding in self._outputs:
            if name in joined_already:
                outputs[name] = joined_already[name]
                continue
            value = row.read(binding)
            if type(value) not in PLAIN_TYPES:
                value = watched(value)
                if type(value) is GeneratorProxy and not row.streaming:
                    value = self._joined(value, binding)
            outputs[name] = value if type(value) in PROXIES else self._as_json(name, value)
        return outputs

    def _joined(self, value: GeneratorProxy, binding: Binding) -> str:
        try:
            return joined(value)
        except Exception as error:
            raise _Failed(self._generator_failure(binding, error)) from error

    def _as_json(self, name: str, value: Any) -> Any:
        try:
            return to_json_value(value, self._write_image)
        except (NotJsonError, RecursionError) as error:
            raise RowError(
                f"The output {name!r} has no JSON form: it is, or holds, {error}.",
                kind="FlowOutputUnserializable",
                type=type(error.__cause__ or error).__name__,
                hint="Return text, numbers, lists, dicts or dataclasses from the node.",
            ) from error

    def _timed_out(self, call: _Call, timeout_s: float) -> Outcome:
        if call.graph_row is not None:
            call.graph_row.is_abandoned = True
        call.error = self._timeout_error(call.row, timeout_s)
        return self._end(call)

    # One node, and all rows together

    async def run_node(self, node: str, inputs: Mapping[str, Any]) -> Outcome:
        """Run one node alone.

        Args:
            node: Its name.
            inputs: By flow input, by `NODE.output`, by reference text, or by the node's own input names.
        """
        found = self.flow.node(node)
        graph = self._aggregation if found.aggregation else self._graph
        original = next(item for item in graph.nodes if item.name == node)
        values = inputs_of_single_node(found, inputs, self.flow.inputs)
        compiled = replace(
            original,
            index=0,
            waits_for=frozenset(),
            input_nodes=frozenset(),
            activate=None,
            skip=None,
            bindings=tuple(
                b if b.source == "constant" else Binding(b.name, "input", key=b.name, reference=b.reference)
                for b in original.bindings
                if b.source == "constant" or b.name in values or not b.omit
            ),
        )
        row = GraphRow(
            CompiledGraph([compiled]),
            values,
            self.flow.folder,
            write_image=self._write_image,
            models=self.user_models,
        )
        recorder = SpanRecorder({"flow": self.flow.name, "node": node})
        with recorder.span(self.flow.name, "flow") as root:
            await drive_on_loop(row, self.threads)
        outcome = row.outcomes().get(node) or NodeOutcome("failed", error=row.error)
        outcome.output = recorded(outcome.output, self._write_image)
        return Outcome(
            None,
            "completed" if row.error is None else "failed",
            dict(recorded(values, self._write_image)),
            {"output": outcome.output} if row.error is None else {},
            error=row.error,
            nodes={node: outcome},
            duration_s=outcome.duration_s,
            tokens=root.usage,
            spans=recorder.take(),
            value=row.values[0],
        )

    async def aggregate(self, lines: AggregationInputs) -> AggregationOutcome:
        """Run the aggregation nodes over all completed rows."""
        return await aggregate_graph(self, self._aggregation, self._needed, lines, self._write_image)

    @property
    def signature(self) -> Mapping[str, InputDef]:
        """The flow's inputs."""
        return self.flow.inputs


class _Call:
    """One call of `run`: what was given, and how far it came."""

    __slots__ = ("error", "graph_row", "inputs", "is_recorded", "joined", "repeat", "row", "streaming")

    def __init__(
        self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool, *, is_recorded: bool = True
    ) -> None:
        self.inputs = inputs
        self.row = row
        self.repeat = repeat
        self.streaming = streaming
        self.is_recorded = is_recorded
        self.graph_row: GraphRow | None = None
        self.joined: dict[str, str] = {}
        self.error: dict[str, Any] | None = None


class _Failed(GenaiopsError):
    """Carries an error form that is complete already."""

    def __init__(self, form: dict[str, Any]) -> None:
        super().__init__(str(form["message"]))
        self.form = form

    def to_json(self) -> dict[str, Any]:
        """The form it carries."""
        return self.form


def _output_binding(name: str, output: OutputDef, positions: Mapping[str, int]) -> Binding:
    if isinstance(output.reference, Reference):
        return compile_binding(name, output.reference, positions)
    return Binding(name, "constant", constant=output.reference)
