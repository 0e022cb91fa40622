"""Aggregation nodes: once, after all rows, over lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genaiops.errors import RowError
from genaiops.flows._compile import Binding, CompiledGraph
from genaiops.flows._drive import drive_in_thread, drive_on_loop
from genaiops.flows._metrics import collecting_metrics
from genaiops.flows._outcome import AggregationInputs, AggregationOutcome
from genaiops.flows._recorded import ImageWriter, recorded
from genaiops.flows._row import GraphRow
from genaiops.plain_text import plural
from genaiops.tracing import SpanRecorder

if TYPE_CHECKING:
    from genaiops.flows._plan import Plan


# Of longer lists the record shows the beginning: they stand in `outcomes.jsonl`, row by row.
_SHOWN_ITEMS = 1000


async def aggregate_graph(
    plan: Plan,
    graph: CompiledGraph,
    needed: Mapping[str, Binding],
    lines: AggregationInputs,
    write_image: ImageWriter | None,
) -> AggregationOutcome:
    """Run the aggregation nodes of a graph.

    The first node that fails ends it; metrics logged before are kept.
    """
    inputs: dict[str, Any] = {}
    for key, binding in needed.items():
        values = lines.columns.get(key, [])
        if len(values) != len(lines.rows):
            error = RowError(
                f"Aggregation needs {key} of {plural(len(lines.rows), 'row')} and got {len(values)}.",
                kind="InvalidAggregationInput",
            )
            return AggregationOutcome(error=error.to_json())
        inputs[key] = values
        if binding.source == "input":
            inputs[str(binding.key)] = values
    row = GraphRow(graph, inputs, plan.flow.folder, write_image=write_image, models=plan.user_models)
    recorder = SpanRecorder({"flow": plan.flow.name, "aggregation": True})
    with collecting_metrics() as metrics, recorder.span(plan.flow.name, "flow"):
        if graph.is_sync:
            await plan.threads.run(lambda: drive_in_thread(row, row.start(), plan.threads))
        else:
            await drive_on_loop(row, plan.threads)
    nodes = row.outcomes()
    for node in nodes.values():
        node.output = recorded(node.output, write_image)
        if node.inputs:
            node.inputs = {name: _shown(value) for name, value in node.inputs.items()}
    return AggregationOutcome(metrics=metrics, nodes=nodes, error=row.error)


def _shown(value: Any) -> Any:
    if not isinstance(value, list) or len(value) <= _SHOWN_ITEMS:
        return value
    return [*value[:_SHOWN_ITEMS], f"… {len(value) - _SHOWN_ITEMS} more"]
