"""A prompty, opened as a flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from genaiops.errors import ConnectionSettingsError
from genaiops.flows._conversion import InputConverter
from genaiops.flows._counted_models import CountedModels
from genaiops.flows._failures import failure
from genaiops.flows._generators import AsyncGeneratorProxy, joined_async
from genaiops.flows._images import image_reader, image_writer, own_image_reader
from genaiops.flows._model import Flow
from genaiops.flows._outcome import NodeOutcome, Outcome, Services
from genaiops.flows._plan import Plan
from genaiops.flows._recorded import recorded
from genaiops.tracing import SpanRecorder, start_span

if TYPE_CHECKING:
    from genaiops.prompts import PromptServices


class PromptyPlan(Plan):
    """A prompty, ready to run rows. Its call to the model stands among the nodes, under the flow's name."""

    def __init__(
        self,
        flow: Flow,
        services: Services,
        *,
        init: Mapping[str, Any] | None = None,
        concurrency: int = 1,
        streaming: bool = False,
    ) -> None:
        super().__init__(flow, services, concurrency=concurrency)
        from genaiops.prompts import load_prompty

        self._prompty = load_prompty(flow.path, override={**flow.overrides, **(init or {})})
        self._refuse_what_no_row_survives()
        self._streaming = streaming
        self._write_image = image_writer(flow.message_format, services.images)
        self._converter = InputConverter(
            flow.inputs,
            image_reader(flow.folder, services.image_folders),
            omittable=frozenset(name for name, item in flow.inputs.items() if item.has_default),
            load_default_image=own_image_reader(flow.folder),
            file=flow.path,
        )

    def _refuse_what_no_row_survives(self) -> None:
        """A broken template and a model that cannot be reached are mistakes of the file, not of a row."""
        self._prompty.check_template()
        if self.services.connections is None:
            return
        try:
            model = self._prompty.model(self._prompt_services())
            if self.services.models is not None:
                self.services.models.require(model.connection)
        except ConnectionSettingsError as error:
            if error.file is None:
                error.file, error.line = str(self.flow.path), self._line_of_model(error.kind)
            raise

    def _line_of_model(self, kind: str) -> int | None:
        """The line of the front matter that an error about the model is about."""
        written = self._prompty.definition.configuration
        fields = written if isinstance(written, Mapping) else {}
        unset = [name for name, value in fields.items() if isinstance(value, str) and value.startswith("${")]
        field = "type" if kind == "UnknownConnectionType" else unset[0] if unset else "connection"
        lines = self.flow.lines
        return lines.get(f"model.configuration.{field}") or lines.get("model.configuration")

    @property
    def is_sync(self) -> bool:
        """A model is awaited."""
        return False

    @property
    def has_aggregation(self) -> bool:
        """A prompty has nothing to run after all rows."""
        return False

    def _call(
        self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool, *, is_recorded: bool = True
    ) -> _PromptyCall:
        return _PromptyCall(inputs or self.flow.sample.get("inputs") or {}, row, repeat, streaming)

    async def _run(self, recorder: SpanRecorder, call: _PromptyCall) -> Outcome:
        with recorder.span(self.flow.name, "flow") as root:
            try:
                call.inputs = self._converter.convert(call.inputs, call.row)
                call.converted = True
                await self._ask(call)
            except Exception as error:  # noqa: BLE001 - one row's failure is data
                call.error = failure(error, name=self.flow.name, folder=self.flow.folder, kind="ScriptExecutionError")
            outcome = self._outcome(call)
            root.error = outcome.error["message"] if outcome.error else None
        outcome.tokens = root.usage
        return outcome

    async def _ask(self, call: _PromptyCall) -> None:
        node = call.node = NodeOutcome("completed", inputs=recorded(call.inputs, self._write_image))
        prompt_services = self._prompt_services(
            CountedModels(self.services, node, repeat=call.repeat, keep=True),
        )
        started = perf_counter()
        span = start_span(self.flow.name, "node")
        node.tokens = span.usage
        try:
            with span:
                streaming = True if call.streaming and self._streaming else None
                value = await self._prompty.run(call.inputs, prompt_services, streaming=streaming)
                if isinstance(value, AsyncIterator):
                    value = AsyncGeneratorProxy(value)
                    if not call.streaming:
                        value = await joined_async(value)
                call.value = value
                node.output = value if isinstance(value, AsyncGeneratorProxy) else recorded(value)
        except (Exception, asyncio.CancelledError) as error:
            node.status = "failed" if isinstance(error, Exception) else "canceled"
            if isinstance(error, Exception):
                node.error = failure(error, name=self.flow.name, folder=self.flow.folder, kind="ScriptExecutionError")
            raise
        finally:
            node.duration_s = perf_counter() - started

    def _prompt_services(self, models: Any = None) -> PromptServices:
        from genaiops.prompts import PromptServices

        connections: Any = self.services.connections
        return PromptServices(
            models=models,
            connections=connections,
            folder=Path(self.flow.folder),
            environ=self.services.environ or None,
        )

    def _outcome(self, call: _PromptyCall) -> Outcome:
        outputs: dict[str, Any] = {}
        if call.error is None:
            whole = call.value if isinstance(call.value, AsyncGeneratorProxy) else recorded(call.value)
            outputs = whole if isinstance(whole, dict) else {"output": whole}
        return Outcome(
            call.row,
            "completed" if call.error is None else "failed",
            recorded(dict(call.inputs), self._write_image) if call.converted else None,
            outputs,
            error=call.error,
            nodes={self.flow.name: call.node} if call.node is not None else {},
            value=call.value,
        )

    def _timed_out(self, call: _PromptyCall, timeout_s: float) -> Outcome:
        call.error = self._timeout_error(call.row, timeout_s)
        return self._outcome(call)


class _PromptyCall:
    """One call of `run`: what was given, and how far it came."""

    __slots__ = ("converted", "error", "inputs", "node", "repeat", "row", "streaming", "value")

    def __init__(self, inputs: Mapping[str, Any], row: int | None, repeat: int, streaming: bool) -> None:
        self.inputs = inputs
        self.row = row
        self.repeat = repeat
        self.streaming = streaming
        self.converted = False
        self.value: Any = None
        self.node: NodeOutcome | None = None
        self.error: dict[str, Any] | None = None
