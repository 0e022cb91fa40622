"""One row whose answer is told while it comes."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.flows import Outcome, Plan

OnChunk = Callable[[str, str], None]
_END = object()


async def run_streaming(
    plan: Plan, inputs: Mapping[str, Any], on_chunk: OnChunk, *, timeout_s: float | None = None
) -> Outcome:
    """Run one row and tell every piece of its generator outputs; they are joined in the outcome.

    Args:
        plan: Opened for streaming.
        inputs: The flow's inputs.
        on_chunk: Told the name of an output and a piece of it.
        timeout_s: After this the row fails; the time its answer takes to come is not counted.
    """
    outcome = await plan.run(inputs, timeout_s=timeout_s, streaming=True)
    for name, value in list((outcome.outputs or {}).items()):
        if isinstance(value, Iterator | AsyncIterator):
            await _tell(outcome, name, value, on_chunk)
    if outcome.status == "completed" and plan.aggregates_single:
        from genaiops.flows import AggregationInputs

        aggregated = await plan.aggregate(AggregationInputs.from_outcomes([outcome]))
        outcome.metrics = aggregated.metrics
        outcome.nodes.update(aggregated.nodes)
    return outcome


async def _tell(outcome: Outcome, name: str, value: Iterator[Any] | AsyncIterator[Any], on_chunk: OnChunk) -> None:
    pieces: list[str] = []
    try:
        async for piece in _pieces(value):
            pieces.append(str(piece))
            on_chunk(name, pieces[-1])
    except Exception as error:  # noqa: BLE001 - one row; what its generator raises belongs to its outcome
        from genaiops.errors import RowError

        text = f"The stream of output {name!r} broke: ({type(error).__name__}) {error}"
        form = RowError(text, kind="ToolExecutionError", type=type(error).__name__).to_json()
        outcome.status = "failed"
        outcome.error = {**form, "traceback": "".join(traceback.format_exception(error))}
    outcome.outputs[name] = "".join(pieces)


async def _pieces(value: Iterator[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
    if isinstance(value, AsyncIterator):
        async for piece in value:
            yield piece
        return
    while (piece := await asyncio.to_thread(next, value, _END)) is not _END:
        yield piece
