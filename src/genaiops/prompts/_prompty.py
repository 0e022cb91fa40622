"""A prompty as something to call: `Prompty` from plain code, `AsyncPrompty` from asynchronous code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from genaiops.errors import FlowDefinitionError
from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import ROLES
from genaiops.prompts._images import ImageLoader, find_images
from genaiops.prompts._messages import build_messages
from genaiops.prompts._model_configuration import ResolvedModel, connection_name, model_name, resolve_model
from genaiops.prompts._prompty_file import PromptyFile, read_prompty
from genaiops.prompts._prompty_reply import PromptyReply
from genaiops.prompts._render import render, template_variables
from genaiops.prompts._roles import place_images
from genaiops.prompts._services import PromptServices, current_environ, current_services, get_services
from genaiops.prompts._tokens import estimate_tokens
from genaiops.prompts._tool_definitions import (
    check_functions,
    check_tools,
    function_call_or_auto,
    tool_choice_or_auto,
)
from genaiops.tracing import start_span

if TYPE_CHECKING:
    from genaiops.connections import Api, Connection

_log = logging.getLogger(__name__)
_SDK_OPTIONS = ("extra_body", "extra_headers", "extra_query", "timeout")


class Request(NamedTuple):
    """One call of a prompty, ready to be sent."""

    connection: Connection
    body: dict[str, Any]
    timeout_s: float | None
    headers: dict[str, str] | None


class CallOptions(TypedDict):
    """What a call to a model says beside its body."""

    api: Api
    timeout_s: float | None
    extra_headers: Mapping[str, str] | None
    repeat: int | None


class Prompty:
    """A prompt with its model, inputs and outputs; call it with keyword arguments.

    ```python
    prompty = Prompty.load("chat.prompty", model={"parameters": {"max_tokens": 10}})
    answer = prompty(question="What is the capital of France?")
    ```
    """

    def __init__(self, path: str | PathLike[str], model: Mapping[str, Any] | None = None, **override: Any) -> None:
        given = {**override, "model": model} if model else override
        self.definition: PromptyFile = read_prompty(_absolute(path), given)
        self._override = given
        for warning in self.definition.warnings:
            _log.warning("%s", warning)

    @classmethod
    def load(cls, source: str | PathLike[str], **override: Any) -> Prompty:
        """Read a prompty; keyword arguments are merged over its front matter.

        Raises:
            FlowDefinitionError: There is no such file, it is no prompty, or its front matter cannot be used.
        """
        path = _absolute(source)
        if not path.exists():
            raise FlowDefinitionError(f"There is no file {str(path)!r}.", kind="UserErrorException")
        return cls(path, **override)

    @property
    def path(self) -> Path:
        """The file."""
        return self.definition.path

    @property
    def name(self) -> str:
        """From the front matter, else the file's."""
        return self.definition.name

    @property
    def inputs(self) -> Mapping[str, Mapping[str, Any]]:
        """Definitions of the inputs by name."""
        return self.definition.inputs

    @property
    def connection(self) -> str | None:
        """The connection that the file names, when it names one."""
        return connection_name(self.definition.configuration)

    @property
    def variables(self) -> frozenset[str]:
        """Names that the template reads."""
        return template_variables(
            place_images(self.definition.template), file=self.path, first_line=self.definition.first_line
        )

    def check_template(self) -> None:
        """Do nothing, or say what is wrong with the template.

        Raises:
            FlowDefinitionError: Kind `JinjaTemplateError`, with the line of the file.
        """
        _ = self.variables

    def model(self, services: PromptServices | None = None) -> ResolvedModel:
        """The connection and the model of the front matter; nothing is called.

        Raises:
            ConnectionSettingsError: The connection is unknown or incomplete, or variables are not set.
        """
        found = services or get_services()
        environ = found.environ if found.environ is not None else current_environ()
        return resolve_model(self.definition.configuration, found, environ)

    @property
    def _data(self) -> dict[str, Any]:
        return dict(self.definition.data)

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Ask the model.

        Returns:
            Text; a mapping for a JSON answer or a call of tools; an iterator of text when streamed; the provider's
            answer with `response: all`.

        Raises:
            PromptError: Kinds `MissingRequiredInputError`, `JinjaTemplateError`, `ChatAPIInvalidRole`,
                `InvalidOutputKeyError` and so on; what the model refuses is an error of `connections`.
        """
        _refuse_positional(args)
        with start_span(self.name, "function", {"prompty": self.name}):
            return self.run_sync(inputs, as_sdk_object=True)

    def render(self, *args: Any, **inputs: Any) -> str:
        """What would be sent: the prompt, or the list of messages as text."""
        _refuse_positional(args)
        return str(self.prompt(self.resolve_inputs(inputs)))

    def estimate_token_count(self, *args: Any, **inputs: Any) -> int:
        """Tokens of the prompt plus `max_tokens`, when that is set.

        Counted with tiktoken when it is installed; else estimated as one token for four characters.

        Raises:
            PromptError: `max_tokens` is no whole number above 1.
        """
        _refuse_positional(args)
        limit = self.definition.parameters.get("max_tokens")
        if limit is None:
            _log.warning("%s: no 'max_tokens', so the count is that of the prompt alone.", self.path)
        elif not isinstance(limit, int) or limit <= 1:
            raise PromptError(
                f"The parameter 'max_tokens' is {limit!r} and should be a whole number above 1.",
                file=self.path,
                kind="UserErrorException",
            )
        prompt = self.prompt(self.resolve_inputs(inputs))
        return estimate_tokens(prompt, model_name(self.definition.configuration)) + (limit or 0)

    def resolve_inputs(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of a call: what is given, else the sample when nothing is, else defaults.

        Raises:
            PromptError: Inputs are missing, all of them named (kind `MissingRequiredInputError`).
        """
        definition = self.definition
        values = dict(given) or dict(definition.sample)
        missing = [name for name, item in definition.inputs.items() if name not in values and "default" not in item]
        if missing:
            raise PromptError(f"Missing required inputs: {missing}", file=self.path, kind="MissingRequiredInputError")
        found = {name: values.get(name, item.get("default")) for name, item in definition.inputs.items()}
        return {
            name: self._image_loader(name, value).from_written_text(value) if isinstance(value, str) else value
            for name, value in found.items()
        }

    def _image_loader(self, name: str, value: str) -> ImageLoader:
        """Paths that the file itself holds may lead anywhere; paths that are given stay in the prompty's folder."""
        folder = self.path.parent
        written = (self.definition.inputs[name].get("default"), self.definition.sample.get(name))
        return ImageLoader(folder, allowed=(Path(folder.anchor),) if value in written else ())

    def prompt(self, inputs: Mapping[str, Any]) -> str | list[dict[str, Any]]:
        """The rendered prompt (completion) or messages (chat); no input opens a message."""
        definition = self.definition
        template = place_images(definition.template)
        if definition.api == "completion":
            return render(template, inputs, file=self.path, first_line=definition.first_line)
        return build_messages(
            template,
            inputs,
            untrusted=list(inputs),
            images=list(find_images(inputs)),
            file=self.path,
            first_line=definition.first_line,
            roles=definition.roles or ROLES,
        )

    def request(
        self, given: Mapping[str, Any], services: PromptServices | None = None, *, streaming: bool | None = None
    ) -> Request:
        """One call, ready to be sent; nothing is sent.

        Args:
            given: Inputs by name; one called `timeout` is also the time limit in seconds.
            services: Finds the connection; by default those of the current block.
            streaming: Wins over the parameter `stream`.
        """
        prompt = self.prompt(self.resolve_inputs(given))
        found = services or get_services()
        connection, model = self.model(found)
        parameters = {name: value for name, value in self.definition.parameters.items() if value is not None}
        options = {name: parameters.pop(name) for name in _SDK_OPTIONS if name in parameters}
        if options.get("extra_query"):
            _log.warning("%s: 'extra_query' is not sent.", self.path)
        stream = str(parameters.get("stream", False)).lower() == "true" if streaming is None else streaming
        key = "prompt" if self.definition.api == "completion" else "messages"
        body = {"model": model, key: prompt, **parameters, **(options.get("extra_body") or {}), "stream": stream}
        _settle_tools(body)
        timeout = given.get("timeout", options.get("timeout"))
        return Request(connection, body, float(timeout) if timeout is not None else None, options.get("extra_headers"))

    def run_sync(
        self,
        given: Mapping[str, Any],
        services: PromptServices | None = None,
        *,
        streaming: bool | None = None,
        response: str | None = None,
        as_sdk_object: bool = False,
    ) -> Any:
        """Ask the model from a thread that may wait.

        Args:
            given: Inputs by name.
            services: Models and connections; by default those of the current block.
            streaming: Wins over the parameter `stream`.
            response: Wins over `model.response`: `first` or `all`.
            as_sdk_object: Give the whole answer as an object of the OpenAI SDK instead of a mapping.
        """
        found = services or get_services()
        request = self.request(given, found, streaming=streaming)
        reply = self._reply(request, response, as_sdk_object)
        options = self._options(request, found)
        if request.body["stream"]:
            return reply.stream(found.models.stream_sync(request.connection, request.body, **options))
        return reply.value(found.models.call_sync(request.connection, request.body, **options).body)

    async def run(
        self,
        given: Mapping[str, Any],
        services: PromptServices | None = None,
        *,
        streaming: bool | None = None,
        response: str | None = None,
        as_sdk_object: bool = False,
    ) -> Any:
        """Ask the model; a stream is an asynchronous iterator. See `run_sync` for the arguments."""
        found = services or get_services()
        request = self.request(given, found, streaming=streaming)
        reply = self._reply(request, response, as_sdk_object)
        options = self._options(request, found)
        if request.body["stream"]:
            return await reply.stream_async(found.models.stream(request.connection, request.body, **options))
        return reply.value((await found.models.call(request.connection, request.body, **options)).body)

    def _options(self, request: Request, services: PromptServices) -> CallOptions:
        return {
            "api": self.definition.api,
            "timeout_s": request.timeout_s,
            "extra_headers": request.headers,
            "repeat": services.repeat,
        }

    def _reply(self, request: Request, response: str | None, as_sdk_object: bool) -> PromptyReply:
        return PromptyReply(
            file=self.path,
            api=self.definition.api,
            outputs=tuple(self.definition.outputs),
            response_format=request.body.get("response_format"),
            whole=(response or self.definition.response) == "all",
            as_sdk_object=as_sdk_object,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes by path and overrides."""
        return (_reload, (type(self), str(self.path), self._override))


class AsyncPrompty(Prompty):
    """A prompty to await: `answer = await prompty(question=…)`."""

    async def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Ask the model; see `Prompty`. A stream is an asynchronous iterator of text."""
        _refuse_positional(args)
        with start_span(self.name, "function", {"prompty": self.name}):
            return await self.run(inputs, as_sdk_object=True)


def load_prompty(path: str | PathLike[str], override: Mapping[str, Any] | None = None) -> Prompty:
    """A prompty file as something to call, with `override` merged over its front matter."""
    return Prompty.load(path, **dict(override or {}))


FlowLoader = Callable[..., Any]
_loaders: dict[str, FlowLoader] = {}


def set_flow_loader(kind: str, loader: FlowLoader) -> None:
    """Let `Flow.load` (kind `sync`) and `AsyncFlow.load` (kind `async`) read flow folders too."""
    _loaders[kind] = loader


class Flow:
    """Loads what can be called as a flow: a prompty file, or a flow folder where its loader is installed."""

    _kind = "sync"
    _prompty: type[Prompty] = Prompty

    @classmethod
    def load(cls, source: str | PathLike[str], **override: Any) -> Any:
        """A prompty, or what the loader of flow folders makes of `source`.

        Raises:
            FlowDefinitionError: It is no prompty and there is no loader.
        """
        if Path(source).suffix.lower() == ".prompty":
            return cls._prompty.load(source, **override)
        loader = _loaders.get(cls._kind)
        if loader is None:
            raise FlowDefinitionError(
                f"Only prompty files can be loaded here, found {str(source)!r}.",
                hint="Load a flow folder with `from promptflow.client import load_flow`, inside a flow.",
            )
        return loader(source, **override)


class AsyncFlow(Flow):
    """The same for asynchronous code."""

    _kind = "async"
    _prompty = AsyncPrompty


def _reload(cls: type[Prompty], path: str, override: dict[str, Any]) -> Prompty:
    return cls(path, **override)


def _absolute(source: str | PathLike[str]) -> Path:
    services = current_services.get()
    folder = services.folder if services is not None else None
    return ((folder or Path.cwd()) / Path(source)).absolute()


def _refuse_positional(args: tuple[Any, ...]) -> None:
    if args:
        raise PromptError("A prompty is called with keyword arguments only.", kind="UserErrorException")


def _settle_tools(body: dict[str, Any]) -> None:
    """Tools win over functions, and each is checked."""
    if "tools" in body:
        check_tools(body["tools"])
        body["tool_choice"] = tool_choice_or_auto(body.get("tool_choice"))
        body.pop("functions", None)
        body.pop("function_call", None)
    elif "functions" in body:
        check_functions(body["functions"])
        body["function_call"] = function_call_or_auto(body.get("function_call"))
