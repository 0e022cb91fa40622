"""Flows as functions: `load_flow(path)(**inputs)`, `AsyncFlow.load`, and the context that changes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._images import images_of
from genaiops.errors import FlowDefinitionError, GenaiopsError
from genaiops.flows import UserErrorException
from genaiops.prompts import AsyncFlow, Flow, set_flow_loader
from genaiops.tracing import TokenUsage, start_span

if TYPE_CHECKING:
    from genaiops import flows
    from genaiops.compat._sub_flows import OpenFlow
    from genaiops.connections import ConnectionStore

__all__ = ["AsyncFlow", "AsyncFlowFunction", "Flow", "FlowContext", "FlowFunction", "load_flow"]


@dataclass
class FlowContext:
    """What is changed about a flow without editing its files.

    Args:
        connections: Node to `{"connection": name or object, "deployment_name": …}`.
        variant: `${node.variant}`.
        overrides: Dotted places to values: `nodes.ask.inputs.temperature`, `inputs.question.default`.
        streaming: Outputs are iterators of text. A flow folder's comes in one piece, a prompty's as the model sends it.
        environment_variables: Variables for the flow's process.
    """

    connections: Mapping[str, Mapping[str, Any]] | None = None
    variant: str | None = None
    overrides: Mapping[str, Any] | None = None
    streaming: bool = False
    environment_variables: Mapping[str, Any] = field(default_factory=dict)


class FlowFunction:
    """A flow to call with keyword arguments; it runs in a process of its own, kept between calls.

    ```python
    flow = load_flow("flows/web")
    flow.context = FlowContext(variant="${ask.v1}")
    answer = flow(url="https://example.com")["category"]
    ```
    """

    def __init__(self, definition: flows.Flow) -> None:
        self._definition = definition
        self.context = FlowContext()
        self._opened: tuple[str, OpenFlow] | None = None

    @property
    def name(self) -> str:
        return self._definition.name

    @property
    def path(self) -> Path:
        """The flow's file."""
        return self._definition.path

    @property
    def code(self) -> Path:
        """The folder of the flow's file."""
        return self._definition.home

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Definitions of the inputs by name."""
        return {name: item.to_json() for name, item in self._definition.inputs.items()}

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """The outputs, by name; for a function or class flow what it returned.

        Raises:
            UserErrorException: The row failed, an input is missing, or arguments have no names.
            InputError: The flow cannot be run as asked.
        """
        _refuse_positional(args)
        with start_span(self.name, "function") as span:
            outcome = self._open().run(self._sendable(inputs))
            span.add_usage(TokenUsage.from_json(outcome.get("tokens")))
            return self._outputs(outcome)

    def invoke(self, inputs: Mapping[str, Any], **_: Any) -> FlowResult:
        """One row as a result with `output`; a failure is raised."""
        return FlowResult(self(**inputs))

    def _open(self) -> OpenFlow:
        from genaiops.compat._sub_flows import OpenFlow

        services = _services()
        key = f"{id(services)} {self.context!r}"
        if self._opened is None or self._opened[0] != key:
            request, store = self._request(services.connections, services.models)
            self._opened = (key, OpenFlow(request, _settings(), store))
        return self._opened[1]

    def _request(self, store: ConnectionStore, models: Any) -> tuple[Any, ConnectionStore]:
        from genaiops.runs import FlowRequest

        context = self.context
        named, extra = _named_connections(context.connections or {})
        recording = getattr(models, "recording_path", None)
        request = FlowRequest(
            flow=self._definition.path,
            variant=context.variant,
            overrides=dict(context.overrides or {}),
            connections=named,
            environment_variables=dict(context.environment_variables),
            model_calls=getattr(models, "mode", "live") if recording else "live",
            recording=recording,
            # The caller's environment, also when the flow has requirements: nothing is installed inside of a row.
            environment="current",
            trace=False,
        )
        return request, _with_connections(store, extra)

    def _sendable(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as what can travel to another process."""
        from genaiops.connections import Connection
        from genaiops.prompts import images_to_base64

        values = images_to_base64(dict(inputs))
        for name, value in values.items():
            if isinstance(value, Connection):
                values[name] = value.name
            try:
                json.dumps(values[name])
            except (TypeError, ValueError) as error:
                raise UserErrorException(
                    f"The input {name!r} of the flow {self.name!r} is a {type(value).__name__}. A called flow runs in "
                    "a process of its own and takes text, numbers, lists, dictionaries and images."
                ) from error
        return dict(values)

    def _outputs(self, outcome: Mapping[str, Any]) -> Any:
        error = outcome.get("error")
        if error:
            raise UserErrorException(str(error["message"]), error=GenaiopsError(error["message"], kind=error["kind"]))
        if "value" in outcome:
            return outcome["value"]
        outputs = images_of(dict(outcome["outputs"]))
        if self.context.streaming:
            return {key: iter([value]) if isinstance(value, str) else value for key, value in outputs.items()}
        return outputs


class AsyncFlowFunction(FlowFunction):
    """A flow to await: `outputs = await flow(question=…)`."""

    async def __call__(self, *args: Any, **inputs: Any) -> Any:
        """The outputs, by name; see `FlowFunction`."""
        _refuse_positional(args)
        with start_span(self.name, "function") as span:
            outcome = await self._open().run_async(self._sendable(inputs))
            span.add_usage(TokenUsage.from_json(outcome.get("tokens")))
            return self._outputs(outcome)

    async def invoke_async(self, inputs: Mapping[str, Any], **_: Any) -> FlowResult:
        """One row as a result with `output`; a failure is raised."""
        return FlowResult(await self(**inputs))


@dataclass(frozen=True)
class FlowResult:
    """What a row gave."""

    output: Any

    @property
    def outputs(self) -> Any:
        return self.output


def load_flow(source: str | PathLike[str], *, is_async_call: bool | None = None, **override: Any) -> Any:
    """A flow to call: a folder, a flow file, or a prompty.

    Args:
        source: Relative to the working directory.
        is_async_call: Give a flow to await.
        override: For a prompty: merged over its front matter.

    Raises:
        FlowDefinitionError: There is no flow, or its files are wrong.
    """
    if not isinstance(source, (str, PathLike)):
        raise FlowDefinitionError(
            f"load_flow takes the path of a flow, not {source!r}.", hint="Call the function or the object itself."
        )
    if Path(source).suffix.lower() == ".prompty":
        return (AsyncFlow if is_async_call else Flow).load(source, **override)
    return _load_folder(source, AsyncFlowFunction if is_async_call else FlowFunction)


def _load_folder(source: str | PathLike[str], kind: type[FlowFunction]) -> Any:
    from genaiops import flows

    place = _in_folder_of_the_flow(Path(source))
    definition = flows.load_flow(place)
    if definition.kind == "prompty":
        return (AsyncFlow if kind is AsyncFlowFunction else Flow).load(definition.path)
    return kind(definition)


def _in_folder_of_the_flow(path: Path) -> Path:
    """Relative paths begin where the calling flow is: the working directory of its host."""
    return path if path.is_absolute() else Path.cwd() / path


def _services() -> Any:
    from genaiops.prompts import get_services

    return get_services()


def _settings() -> Any:
    from genaiops.settings import load_settings

    return load_settings()


def _named_connections(given: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Overrides in the form `node.key: value` with names for connection objects, and these objects by name."""
    named: dict[str, Any] = {}
    objects: dict[str, Any] = {}
    for node, changes in given.items():
        for key, value in changes.items():
            if isinstance(value, (str, int, float, bool)) or value is None:
                named[f"{node}.{key}"] = value
                continue
            name = getattr(value, "name", None) or f"{node}_{key}"
            objects[name] = value
            named[f"{node}.{key}"] = name
    return named, objects


def _with_connections(store: ConnectionStore, objects: Mapping[str, Any]) -> ConnectionStore:
    if not objects:
        return store
    from genaiops.connections import ConnectionStore

    extended = ConnectionStore.from_message(store.to_message())
    for name, connection in objects.items():
        extended.add(name, connection)
    return extended


def _refuse_positional(args: tuple[Any, ...]) -> None:
    if args:
        raise UserErrorException("A flow is called with keyword arguments only.")


def _load_sync(source: str | PathLike[str], **_: Any) -> Any:
    return _load_folder(source, FlowFunction)


def _load_async(source: str | PathLike[str], **_: Any) -> Any:
    return _load_folder(source, AsyncFlowFunction)


set_flow_loader("sync", _load_sync)
set_flow_loader("async", _load_async)
