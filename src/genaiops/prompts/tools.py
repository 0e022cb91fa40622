"""What flow code finds under `promptflow.tools`: models and services as plain functions and classes.

Calls go through the models of the current services: the same limits, retries, recordings and traces as model nodes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from genaiops.errors import FlowDefinitionError
from genaiops.prompts._model_call import Flavour, ModelCall, plan_model_call, provider_of
from genaiops.prompts._service_tools import (
    EmbeddingModel,
    SafeMode,
    SearchEngine,
    TextCategorySensitivity,
    analyze_text,
    render_template_jinja2,
    search,
)
from genaiops.prompts._service_tools import embedding_sync as embedding
from genaiops.prompts._services import get_services

__all__ = [
    "AzureContentSafety",
    "AzureOpenAI",
    "AzureOpenAIVision",
    "EmbeddingModel",
    "OpenAI",
    "OpenAIVision",
    "SafeMode",
    "SearchEngine",
    "SerpAPI",
    "TextCategorySensitivity",
    "analyze_text",
    "azure_chat",
    "azure_completion",
    "embedding",
    "llm",
    "llm_vision",
    "openai_chat",
    "openai_completion",
    "render_template_jinja2",
    "search",
]


class AzureOpenAI:
    """Azure OpenAI behind a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = _connection(connection)

    def chat(self, prompt: str, deployment_name: str, **inputs: Any) -> Any:
        """The answer to a chat template: text, a message for a request with tools, or an iterator when streamed."""
        return _ask(self.connection, prompt, {**inputs, "deployment_name": deployment_name, "model": deployment_name})

    def completion(self, prompt: str, deployment_name: str, **inputs: Any) -> Any:
        """The text that continues a template."""
        named = {**inputs, "deployment_name": deployment_name, "model": deployment_name}
        return _ask(self.connection, prompt, named, api="completion")


class OpenAI:
    """OpenAI, or a server that speaks its protocol, behind a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = _connection(connection)

    def chat(self, prompt: str, model: str = "", **inputs: Any) -> Any:
        """The answer to a chat template; see `AzureOpenAI.chat`."""
        return _ask(self.connection, prompt, {"deployment_name": model, **inputs, "model": model})

    def completion(self, prompt: str, model: str = "", **inputs: Any) -> Any:
        """The text that continues a template."""
        return _ask(self.connection, prompt, {"deployment_name": model, **inputs, "model": model}, api="completion")


class AzureOpenAIVision(AzureOpenAI):
    """Azure OpenAI with images in messages."""

    def chat(self, prompt: str, deployment_name: str, **inputs: Any) -> Any:
        """The answer to a chat template in which `![image]({{name}})` places images."""
        named = {**inputs, "deployment_name": deployment_name, "model": deployment_name}
        return _ask(self.connection, prompt, named, flavour="vision")


class OpenAIVision(OpenAI):
    """OpenAI with images in messages."""

    def chat(self, prompt: str, model: str = "gpt-4-vision-preview", **inputs: Any) -> Any:
        """The answer to a chat template in which `![image]({{name}})` places images."""
        return _ask(self.connection, prompt, {"deployment_name": model, **inputs, "model": model}, flavour="vision")


class SerpAPI:
    """SerpApi behind a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = _connection(connection)

    def search(self, query: str, **options: Any) -> Any:
        """What it finds; see `search`."""
        return search(self.connection, query, **options)


class AzureContentSafety:
    """Azure AI Content Safety behind a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = _connection(connection)

    def analyze_text(self, text: str, **categories: Any) -> dict[str, Any]:
        """Its judgement; see `analyze_text`."""
        return analyze_text(self.connection, text, **categories)


def azure_chat(connection: Any, prompt: str, deployment_name: str, **inputs: Any) -> Any:
    """See `AzureOpenAI.chat`."""
    return AzureOpenAI(connection).chat(prompt, deployment_name, **inputs)


def azure_completion(connection: Any, prompt: str, deployment_name: str, **inputs: Any) -> Any:
    """See `AzureOpenAI.completion`."""
    return AzureOpenAI(connection).completion(prompt, deployment_name, **inputs)


def openai_chat(connection: Any, prompt: str, model: str = "", **inputs: Any) -> Any:
    """See `OpenAI.chat`."""
    return OpenAI(connection).chat(prompt, model, **inputs)


def openai_completion(connection: Any, prompt: str, model: str = "", **inputs: Any) -> Any:
    """See `OpenAI.completion`."""
    return OpenAI(connection).completion(prompt, model, **inputs)


def llm(
    connection: Any, prompt: str, api: str = "chat", deployment_name: str = "", model: str = "", **inputs: Any
) -> Any:
    """The answer of whatever model the connection reaches."""
    return _ask(
        _connection(connection), prompt, {**inputs, "deployment_name": deployment_name, "model": model}, api=api
    )


def llm_vision(connection: Any, prompt: str, deployment_name: str = "", model: str = "", **inputs: Any) -> Any:
    """The same with images in messages."""
    named = {**inputs, "deployment_name": deployment_name, "model": model}
    return _ask(_connection(connection), prompt, named, flavour="vision")


def _ask(connection: Any, prompt: str, inputs: dict[str, Any], *, api: str = "chat", flavour: Flavour = "llm") -> Any:
    services = get_services()
    untrusted = inputs.pop("_inputs_to_escape", None) or ()
    call = _plan(str(prompt), provider_of(connection), api, flavour, type(connection).__name__)
    result = call.run_sync(services.models, connection, inputs, untrusted=untrusted, repeat=services.repeat)
    return result.value


@lru_cache(maxsize=256)
def _plan(prompt: str, provider: str, api: str, flavour: Flavour, connection_type: str) -> ModelCall:
    is_simulated = connection_type == "SimulatedConnection"
    return plan_model_call(
        prompt, provider=provider, api=api, flavour=flavour, model_from="deployment_name" if is_simulated else None
    )


def _connection(connection: Any) -> Any:
    """A connection object, or the one of that name."""
    if isinstance(connection, str):
        return get_services().connections.get(connection)
    if connection is None:
        raise FlowDefinitionError("No connection was given.", kind="InvalidConnectionType")
    return connection
