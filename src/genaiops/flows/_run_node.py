"""Running one node of one row: arguments in, output and record out, whatever it raises."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from genaiops.flows._compile import CompiledNode
from genaiops.flows._failures import failure
from genaiops.flows._generators import PROXIES, watched
from genaiops.flows._outcome import NodeOutcome
from genaiops.flows._recorded import PLAIN_TYPES, recorded
from genaiops.flows._row import Finished, GraphRow
from genaiops.tracing import start_span


def run_node(node: CompiledNode, row: GraphRow) -> Finished:
    """Run a plain function and wait for it; what it raises becomes part of the outcome."""
    if not row.is_recorded:
        return _run_unrecorded(node, row)
    started = perf_counter()
    outcome = NodeOutcome("completed", started_s=started - row.started)
    value = None
    span = start_span(node.name, "node")
    outcome.tokens = span.usage
    try:
        with span:
            arguments, outcome.inputs = node.arguments(row)
            if row.models is None:
                value = node.function(**arguments)
            else:
                with row.models.scope(outcome, row.repeat):
                    value = node.function(**arguments)
            if type(value) in PLAIN_TYPES:
                outcome.output = value
            else:
                value = watched(value)
                outcome.output = _output(value, row)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    outcome.duration_s = perf_counter() - started
    return node, outcome, value


def _run_unrecorded(node: CompiledNode, row: GraphRow) -> Finished:
    """As `run_node`, where nobody reads what a node did: no span, no copies of what went in and came out."""
    outcome = NodeOutcome("completed")
    value = None
    try:
        arguments, _ = node.arguments(row)
        if row.models is None:
            value = node.function(**arguments)
        else:
            with row.models.scope(outcome, row.repeat):
                value = node.function(**arguments)
        if type(value) not in PLAIN_TYPES:
            value = watched(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    return node, outcome, value


async def run_node_async(node: CompiledNode, row: GraphRow) -> Finished:
    """Run an async function or a model node."""
    if not row.is_recorded:
        return await _run_unrecorded_async(node, row)
    started = perf_counter()
    outcome = NodeOutcome("completed", started_s=started - row.started)
    value = None
    span = start_span(node.name, "node")
    outcome.tokens = span.usage
    try:
        with span:
            arguments, outcome.inputs = node.arguments(row)
            value = watched(await _given(node, arguments, outcome, row))
            outcome.output = _output(value, row)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    outcome.duration_s = perf_counter() - started
    return node, outcome, value


async def _run_unrecorded_async(node: CompiledNode, row: GraphRow) -> Finished:
    """As `run_node_async`, where nobody reads what a node did."""
    outcome = NodeOutcome("completed")
    value = None
    try:
        arguments, _ = node.arguments(row)
        value = watched(await _given(node, arguments, outcome, row))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
        _fail(outcome, error, node, row)
    return node, outcome, value


async def _given(node: CompiledNode, arguments: dict[str, Any], outcome: NodeOutcome, row: GraphRow) -> Any:
    if node.model is not None:
        return await node.model.run(arguments, outcome, row)
    if row.models is None:
        return await _called(node, arguments)
    with row.models.scope(outcome, row.repeat):
        return await _called(node, arguments)


async def _called(node: CompiledNode, arguments: dict[str, Any]) -> Any:
    value = node.function(**arguments)
    return await value if hasattr(value, "__await__") else value


def _output(value: Any, row: GraphRow) -> Any:
    """The output as it is recorded; of a generator the items are read when the row is over."""
    return value if type(value) in PROXIES else recorded(value, row.write_image)


def _fail(outcome: NodeOutcome, error: BaseException, node: CompiledNode, row: GraphRow) -> None:
    outcome.status = "failed"
    outcome.error = failure(error, name=node.name, folder=row.folder, node=node.name)
