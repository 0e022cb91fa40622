"""A function or class flow, opened."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

from genaiops.errors import FlowDefinitionError, GenaiopsError, RowError
from genaiops.flows._conversion import InputConverter
from genaiops.flows._decorators import plain_function
from genaiops.flows._entries import EntryFactory, code_defaults, import_entry, with_signature
from genaiops.flows._failures import failure
from genaiops.flows._generators import AsyncGeneratorProxy, GeneratorProxy, joined, joined_async, watched
from genaiops.flows._images import image_reader, image_writer
from genaiops.flows._model import Flow
from genaiops.flows._outcome import AggregationInputs, AggregationOutcome, NodeOutcome, Outcome, Services
from genaiops.flows._plan import Plan
from genaiops.flows._recorded import NotJsonError, recorded, to_json_value
from genaiops.tracing import SpanRecorder

_PROXIES = (GeneratorProxy, AsyncGeneratorProxy)


class EntryPlan(Plan):
    """A function, or an instance of a class, ready to run rows.

    A class is instantiated once; `__aggregate__` gets an instance of its own, so that what rows leave behind in the
    first one does not count.
    """

    def __init__(
        self, flow: Flow, services: Services, *, init: Mapping[str, Any] | None = None, concurrency: int = 1
    ) -> None:
        entry = import_entry(flow)
        super().__init__(with_signature(flow, entry), services, concurrency=concurrency)
        self._factory = EntryFactory(self.flow, entry, services, init) if inspect.isclass(entry) else None
        self._target = self._factory.make() if self._factory else entry
        call = self._target if inspect.isroutine(self._target) else self._target.__call__
        self._function: Callable[..., Any] = plain_function(call)
        self._name = getattr(self._function, "__qualname__", type(self._target).__name__)
        self._is_async = inspect.iscoroutinefunction(self._function) or inspect.isasyncgenfunction(self._function)
        self._aggregate = getattr(self._target, "__aggregate__", None)
        _check_aggregate(self.flow, self._aggregate)
        self._write_image = image_writer(flow.message_format, services.images)
        self._converter = InputConverter(
            self.flow.inputs,
            image_reader(flow.folder, services.image_folders),
            omittable=code_defaults(call),
            keep_null=True,
        )

    @property
    def is_sync(self) -> bool:
        """The entry is a plain function."""
        return not self._is_async

    @property
    def has_aggregation(self) -> bool:
        """The class has `__aggregate__`."""
        return self._aggregate is not None

    # Rows

    def _call(
        self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool, *, is_recorded: bool = True
    ) -> _EntryCall:
        return _EntryCall(inputs or self.flow.sample.get("inputs") or {}, row, repeat, streaming)

    async def _run(self, recorder: SpanRecorder, call: _EntryCall) -> Outcome:
        with recorder.span(self.flow.name, "flow") as root:
            arguments = self._arguments(call)
            if arguments is not None:
                try:
                    with self._models_of(call):
                        if self._is_async:
                            value = self._function(**arguments)
                        else:
                            value = await self.threads.run(self._function_and_join, arguments, call.streaming)
                        if inspect.isawaitable(value):
                            value = await value
                        call.value = await self._joined_async(value, call.streaming)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
                    self._note(call, error)
            call.calls.tokens = root.usage
            call.calls.duration_s = perf_counter() - call.started
            outcome = self._outcome(call)
            root.error = outcome.error["message"] if outcome.error else None
        outcome.tokens = root.usage
        return outcome

    def run_now(
        self, inputs: Mapping[str, Any], *, row: int | None = None, repeat: int = 0, is_recorded: bool = True
    ) -> Outcome:
        """Run a row on this thread; only when `is_sync`."""
        call = self._call(inputs, row, repeat, streaming=False)
        recorder = SpanRecorder({"flow": self.flow.name, "row": row})
        with recorder.span(self.flow.name, "flow") as root:
            arguments = self._arguments(call)
            if arguments is not None:
                try:
                    with self._models_of(call):
                        value = self._function_and_join(arguments, streaming=False)
                        if inspect.isawaitable(value):
                            value = asyncio.run(_awaited(value))
                        call.value = value
                except (Exception, SystemExit) as error:  # noqa: BLE001 - one row's failure is data
                    self._note(call, error)
            call.calls.tokens = root.usage
            call.calls.duration_s = perf_counter() - call.started
            outcome = self._outcome(call)
            root.error = outcome.error["message"] if outcome.error else None
        outcome.tokens = root.usage
        outcome.spans = recorder.take()
        outcome.trace_id = recorder.trace_id
        return outcome

    def _models_of(self, call: _EntryCall) -> AbstractContextManager[Any]:
        return self.user_models.scope(call.calls, call.repeat) if self.user_models else nullcontext()

    def _arguments(self, call: _EntryCall) -> dict[str, Any] | None:
        """The arguments of the entry; what is not declared is recorded and not passed."""
        try:
            call.inputs = self._converter.convert(call.inputs, call.row)
        except GenaiopsError as error:
            call.error = failure(error, name=self._name, folder=self.flow.folder)
            call.inputs = None
            return None
        return {name: call.inputs[name] for name in self.flow.inputs if name in call.inputs}

    def _function_and_join(self, arguments: dict[str, Any], streaming: bool) -> Any:
        value = _watched(self._function(**arguments))
        return value if streaming else _map_members(value, _join)

    async def _joined_async(self, value: Any, streaming: bool) -> Any:
        value = _watched(value)
        if streaming:
            return value
        if isinstance(value, AsyncGeneratorProxy):
            return await joined_async(value)
        members = _members(value)
        joins = {
            key: await joined_async(item) for key, item in members.items() if isinstance(item, AsyncGeneratorProxy)
        }
        if joins:
            value = _with_members(value, joins)
        return _map_members(value, _join)

    def _note(self, call: _EntryCall, error: BaseException) -> None:
        call.error = failure(
            error, name=self._name, folder=self.flow.folder, kind="ScriptExecutionError", wrap_all=True
        )

    def _outcome(self, call: _EntryCall) -> Outcome:
        outputs: dict[str, Any] = {}
        if call.error is None:
            try:
                outputs = self._outputs(call.value)
            except (NotJsonError, RecursionError) as error:
                call.error = RowError(
                    f"The output of {self._name} has no JSON form: it is, or holds, {error}.",
                    kind="FlowOutputUnserializable",
                    type=type(error).__name__,
                ).to_json()
        is_whole = call.error is None
        aggregation = {}
        if is_whole and self.has_aggregation:
            is_bare = not isinstance(call.value, dict) and not dataclasses.is_dataclass(call.value)
            aggregation = {"outputs": outputs["output"] if is_bare else outputs}
        return Outcome(
            call.row,
            "completed" if is_whole else "failed",
            None if call.inputs is None else recorded(call.inputs, self._write_image),
            outputs if is_whole else {},
            error=call.error,
            aggregation=aggregation,
            value=call.value,
            # What its model calls took is counted as that of a node; a flow without any has no nodes.
            nodes={} if call.calls.model is None else {self.flow.name: call.calls},
        )

    def _outputs(self, value: Any) -> dict[str, Any]:
        """A dict as it is, the fields of a dataclass, anything else under `output`."""
        if isinstance(value, dict) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
            return {
                str(key): item if isinstance(item, _PROXIES) else to_json_value(item, self._write_image)
                for key, item in _members(value).items()
            }
        return {"output": value if isinstance(value, _PROXIES) else to_json_value(value, self._write_image)}

    def _timed_out(self, call: _EntryCall, timeout_s: float) -> Outcome:
        call.error = self._timeout_error(call.row, timeout_s)
        return self._outcome(call)

    # All rows together

    async def aggregate(self, lines: AggregationInputs) -> AggregationOutcome:
        """Hand the outputs of all completed rows to `__aggregate__` of a fresh instance.

        What it raises is the run's error, as with aggregation nodes; the rows are as good as before.
        """
        if self._aggregate is None:
            return AggregationOutcome()
        outputs = [_attribute_dict(value) for value in lines.columns.get("outputs", [])]
        try:
            owner = self._factory.make() if self._factory else self._target
            method = owner.__aggregate__
            with self._models_of(_EntryCall({}, None, 0, False)):
                if inspect.iscoroutinefunction(method):
                    metrics = await method(outputs)
                else:
                    metrics = await self.threads.run(method, outputs)
        except Exception as error:  # noqa: BLE001 - user code; the rows are to be recorded whatever happens here
            form = failure(error, name="__aggregate__", folder=self.flow.folder, kind="ScriptExecutionError")
            return AggregationOutcome(error=form)
        if not isinstance(metrics, dict):
            message = f"__aggregate__ gave a {type(metrics).__name__} instead of a dict; the run has no metrics."
            return AggregationOutcome(warnings=[message])
        return AggregationOutcome(metrics={str(key): recorded(value) for key, value in metrics.items()})


class _EntryCall:
    """One call of `run`: what was given, and how far it came."""

    __slots__ = ("calls", "error", "inputs", "repeat", "row", "started", "streaming", "value")

    def __init__(self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool) -> None:
        self.inputs: Any = inputs
        self.row = row
        self.repeat = repeat
        self.calls = NodeOutcome("completed")
        self.started = perf_counter()
        self.streaming = streaming
        self.value: Any = None
        self.error: dict[str, Any] | None = None


class AttributeDict(dict[str, Any]):
    """A dict whose items are attributes too: `result.score`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"The result has no {name!r}; it has: {', '.join(map(str, self))}.") from None


def _attribute_dict(value: Any) -> Any:
    return AttributeDict(value) if isinstance(value, dict) else value


def _check_aggregate(flow: Flow, method: Any) -> None:
    if method is not None and len(inspect.signature(method).parameters) != 1:
        raise FlowDefinitionError(
            "__aggregate__ takes exactly one parameter besides self: the list of results.",
            file=flow.path,
            line=flow.lines.get("entry"),
            kind="InvalidAggregationFunction",
        )


async def _awaited(value: Any) -> Any:
    return await value


# Values with generators in them


def _members(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def _with_members(value: Any, changed: dict[Any, Any]) -> Any:
    """`value` with other members; dicts stay dicts, dataclasses become dicts only when they cannot be rebuilt."""
    if isinstance(value, dict):
        return {**value, **changed}
    try:
        return dataclasses.replace(value, **changed)
    except (TypeError, ValueError):
        return {**_members(value), **changed}


def _watched(value: Any) -> Any:
    whole = watched(value)
    if whole is not value:
        return whole
    found = {key: watched(item) for key, item in _members(value).items()}
    changed = {key: item for key, item in found.items() if isinstance(item, _PROXIES)}
    return _with_members(value, changed) if changed else value


def _join(value: Any) -> Any:
    return joined(value) if isinstance(value, GeneratorProxy) else value


def _map_members(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, GeneratorProxy):
        return function(value)
    changed = {key: function(item) for key, item in _members(value).items() if isinstance(item, GeneratorProxy)}
    return _with_members(value, changed) if changed else value
