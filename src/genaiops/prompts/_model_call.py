"""One model node: from its inputs to a request, from the answer to its output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import as_chat_list
from genaiops.prompts._images import find_images
from genaiops.prompts._messages import build_messages
from genaiops.prompts._parameters import Api, Provider, parameter_names, read_model, read_parameters, request_fields
from genaiops.prompts._render import render, template_variables
from genaiops.prompts._replies import reply_value, texts, texts_async
from genaiops.prompts._roles import place_images
from genaiops.prompts._tool_definitions import (
    check_functions,
    check_tools,
    function_call_or_auto,
    tool_choice_or_auto,
)
from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.connections import Connection, Models

Flavour = Literal["llm", "vision"]
_PROVIDERS: dict[str, Provider] = {
    "AzureOpenAIConnection": "AzureOpenAI",
    "OpenAIConnection": "OpenAI",
    "ServerlessConnection": "OpenAI",
    "SimulatedConnection": "OpenAI",
}
_DETAILS = ("auto", "low", "high")
_VISION_FIELDS = frozenset(
    {"temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty", "frequency_penalty", "seed"}
)


class ModelResult(NamedTuple):
    """The output of a model node and the answer it came from (None for a stream)."""

    value: Any
    reply: Any


@record(frozen=True, kw_only=True)
class ModelCall:
    """What stays the same for all rows of a model node.

    Args:
        template: Jinja text of the prompt.
        provider: Whose parameters the inputs are.
        api: `chat` or `completion`.
        flavour: `vision` puts images into messages and takes fewer parameters.
        file: The template's file, named in errors.
        variables: Names that the template reads.
        model_from: The input that names the model when the provider's own is not given.
    """

    template: str
    provider: Provider
    api: Api
    flavour: Flavour = "llm"
    file: str | None = None
    variables: frozenset[str] = frozenset()
    model_from: str | None = None

    @property
    def parameters(self) -> frozenset[str]:
        """Inputs that are parameters of the request."""
        extra = {"detail"} if self.flavour == "vision" else set()
        return parameter_names(self.provider, self.api) | extra

    @property
    def request_fields(self) -> frozenset[str]:
        """Inputs that prompt flow does not know and that are sent all the same."""
        return frozenset() if self.flavour == "vision" else request_fields(self.api) - self.variables

    def body(
        self, inputs: Mapping[str, Any], *, untrusted: Collection[str] = (), streaming: bool = False
    ) -> dict[str, Any]:
        """The request of one row.

        Args:
            inputs: By name: parameters and template variables together, without the connection.
            untrusted: Inputs that come straight from a flow input; their text opens no message.
            streaming: Ask for the answer in chunks, whatever the inputs say.

        Raises:
            PromptError: The template fails, its text is no chat, or a parameter cannot be used.
        """
        fields = read_parameters(inputs, self.provider, self.api, self.variables)
        if self.flavour == "vision":
            fields = _vision_fields(fields)
        if streaming:
            fields["stream"] = True
        model = read_model(inputs, self.provider, self.api) or _named(inputs, self.model_from)
        if self.api == "completion":
            return {"model": model, "prompt": self._prompt(inputs), **fields}
        _settle_tools(fields, self.provider)
        return {"model": model, "messages": self._messages(inputs, untrusted), **fields}

    def value(self, reply: Mapping[str, Any], body: Mapping[str, Any]) -> Any:
        """The output of the node for an answer to `body` (see `reply_value`)."""
        return reply_value(reply, body, self.api)

    async def run(
        self,
        models: Models,
        connection: Connection,
        inputs: Mapping[str, Any],
        *,
        untrusted: Collection[str] = (),
        streaming: bool = False,
        timeout_s: float | None = None,
        repeat: int | None = None,
    ) -> ModelResult:
        """Ask the model. With `stream` the value is an asynchronous iterator of text."""
        body = self.body(inputs, untrusted=untrusted, streaming=streaming)
        if body["stream"]:
            chunks = models.stream(connection, body, api=self.api, timeout_s=timeout_s, repeat=repeat)
            stream: AsyncIterator[str] = texts_async(chunks, self.api)
            return ModelResult(stream, None)
        reply = await models.call(connection, body, api=self.api, timeout_s=timeout_s, repeat=repeat)
        return ModelResult(self.value(reply.body, body), reply)

    def run_sync(
        self,
        models: Models,
        connection: Connection,
        inputs: Mapping[str, Any],
        *,
        untrusted: Collection[str] = (),
        streaming: bool = False,
        timeout_s: float | None = None,
        repeat: int | None = None,
    ) -> ModelResult:
        """Ask the model from a thread that may wait. With `stream` the value is an iterator of text."""
        body = self.body(inputs, untrusted=untrusted, streaming=streaming)
        if body["stream"]:
            chunks = models.stream_sync(connection, body, api=self.api, timeout_s=timeout_s, repeat=repeat)
            stream: Iterator[str] = texts(chunks, self.api)
            return ModelResult(stream, None)
        reply = models.call_sync(connection, body, api=self.api, timeout_s=timeout_s, repeat=repeat)
        return ModelResult(self.value(reply.body, body), reply)

    def _prompt(self, inputs: Mapping[str, Any]) -> str:
        # A completion has no roles, so there is nothing that a user could take over.
        return render(self.template, self._values(inputs), file=self.file)

    def _messages(self, inputs: Mapping[str, Any], untrusted: Collection[str]) -> list[dict[str, Any]]:
        values = self._values(inputs)
        images = list(find_images(values)) if self.flavour == "vision" else ()
        # Prompt flow's Azure and vision nodes print a list one item a line, its OpenAI nodes as Python shows it.
        wrapped = self.provider == "AzureOpenAI" or self.flavour == "vision"
        return build_messages(
            place_images(self.template) if self.flavour == "vision" else self.template,
            as_chat_list(values) if wrapped else values,
            untrusted=[name for name in untrusted if name in values],
            images=images,
            image_detail=_detail(inputs) if self.flavour == "vision" else "auto",
            file=self.file,
            with_trailing_text=True,
        )

    def _values(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in inputs.items() if name in self.variables}


def plan_model_call(
    template: str,
    *,
    connection: Connection | None = None,
    provider: str | None = None,
    api: str = "chat",
    flavour: Flavour = "llm",
    file: str | Path | None = None,
    node: str | None = None,
    model_from: str | None = None,
) -> ModelCall:
    """A model node, looked at once before the first row.

    Args:
        template: Jinja text of the prompt.
        connection: Its type decides whose parameters count; it wins over `provider`.
        provider: `AzureOpenAI` or `OpenAI`, as the flow file says; used without a connection and for simulated ones.
        api: `chat` or `completion`.
        flavour: `vision` for the vision tools.
        file: The template's file, named in errors.
        node: The node, named in errors.
        model_from: An input that also names the model; by default `deployment_name` for simulated connections.

    Raises:
        FlowDefinitionError: A connection of a type that is no chat model (kind `InvalidConnectionType`), an unknown
            `api` (`APINotFound`), a broken template (`JinjaTemplateError`), or a template variable with the name of
            a parameter (`NodeInputValidationError`).
    """
    chosen = provider_of(connection, provider, node=node)
    if api not in ("chat", "completion"):
        raise FlowDefinitionError(
            f"The api {api!r} is unknown for {chosen}.",
            node=node,
            hint=suggest(api, ["chat", "completion"]),
            kind="APINotFound",
        )
    variables = template_variables(template, file=file)
    call = ModelCall(
        template=template,
        provider=chosen,
        api="chat" if api == "chat" else "completion",
        flavour=flavour,
        file=str(file) if file is not None else None,
        variables=variables,
        model_from=model_from or ("deployment_name" if _is_simulated(connection) else None),
    )
    if clash := sorted(variables & call.parameters):
        raise FlowDefinitionError(
            f"The template reads {', '.join(map(repr, clash))}, which {chosen}.{api} has as a parameter.",
            file=file,
            node=node,
            hint="Rename the variable in the template and the input.",
            kind="NodeInputValidationError",
        )
    return call


def provider_of(connection: Any, written: str | None = None, *, node: str | None = None) -> Provider:
    """Whose parameters a model node takes.

    Raises:
        FlowDefinitionError: Kind `InvalidConnectionType`, or `APINotFound` for an unknown provider.
    """
    names = [cls.__name__ for cls in type(connection).__mro__] if connection is not None else []
    found = next((_PROVIDERS[name] for name in names if name in _PROVIDERS), None)
    if found is not None and not (_is_simulated(connection) and written == "AzureOpenAI"):
        return found
    if connection is not None and found is None:
        raise FlowDefinitionError(
            f"A connection of the type {type(connection).__name__!r} reaches no language model.",
            node=node,
            hint="Model nodes take AzureOpenAI, OpenAI, Serverless and Simulated connections; any server that speaks"
            " OpenAI's protocol is an OpenAI connection with a base_url.",
            kind="InvalidConnectionType",
        )
    if written in (None, "OpenAI"):
        return "OpenAI"
    if written == "AzureOpenAI":
        return "AzureOpenAI"
    raise FlowDefinitionError(
        f"The provider {written!r} is unknown.",
        node=node,
        hint=suggest(str(written), ["AzureOpenAI", "OpenAI"]),
        kind="APINotFound",
    )


def _settle_tools(fields: dict[str, Any], provider: Provider) -> None:
    """Tools win over functions; Azure nodes have them checked."""
    if fields.get("tools"):
        fields.pop("functions", None)
        fields.pop("function_call", None)
        if provider == "AzureOpenAI":
            check_tools(fields["tools"])
            fields["tool_choice"] = tool_choice_or_auto(fields.get("tool_choice"))
        return
    fields.pop("tool_choice", None)
    if not fields.get("functions"):
        fields.pop("function_call", None)
        return
    if fields["stream"]:
        raise PromptError(
            "A streamed answer cannot call functions.",
            hint="Use 'tools', or do not stream.",
            kind="FunctionCallNotSupportedInStreamMode",
        )
    check_functions(fields["functions"])
    fields["function_call"] = function_call_or_auto(fields.get("function_call"))


def _vision_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in fields.items() if name in _VISION_FIELDS}
    return {**kept, "n": 1, **{name: kept.get(name, 0) for name in ("presence_penalty", "frequency_penalty")}}


def _detail(inputs: Mapping[str, Any]) -> str:
    detail = str(inputs.get("detail") or "auto").lower()
    if detail not in _DETAILS:
        raise PromptError(
            f"The parameter 'detail' cannot be {detail[:40]!r}.",
            hint=suggest(detail, _DETAILS),
            kind="NodeInputValidationError",
        )
    return detail


def _is_simulated(connection: Any) -> bool:
    return any(cls.__name__ == "SimulatedConnection" for cls in type(connection).__mro__)


def _named(inputs: Mapping[str, Any], name: str | None) -> str:
    return str(inputs.get(name) or "") if name else ""
