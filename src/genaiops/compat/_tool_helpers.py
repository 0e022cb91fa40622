"""Helpers of `promptflow.tools.common` that flow code calls itself."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genaiops.errors import ConnectionSettingsError
from genaiops.prompts import ChatList as ChatInputList
from genaiops.prompts import PromptText as PromptResult
from genaiops.prompts import build_messages as _build_messages
from genaiops.prompts import parse_roles, render
from genaiops.prompts import place_images as preprocess_template_string

if TYPE_CHECKING:
    from genaiops.prompts import Image

__all__ = [
    "ChatInputList",
    "PromptResult",
    "build_messages",
    "handle_openai_error",
    "init_azure_openai_client",
    "init_openai_client",
    "normalize_connection_config",
    "parse_chat",
    "post_process_chat_api_response",
    "preprocess_template_string",
    "render_jinja_template",
    "to_bool",
]

_ROLES = ("system", "user", "assistant", "function", "tool")


def parse_chat(
    chat_str: str,
    images: Iterable[Image] | None = None,
    valid_roles: Sequence[str] | None = None,
    image_detail: str = "auto",
    escape_dict: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Chat messages from text with role markers.

    >>> parse_chat("system:\\nBe kind.\\nuser:\\nHi\\n")
    [{'role': 'system', 'content': 'Be kind.'}, {'role': 'user', 'content': 'Hi'}]
    """
    return parse_roles(
        chat_str,
        images=images or (),
        roles=valid_roles or _ROLES,
        image_detail=image_detail,
        with_trailing_text=True,
    )


def render_jinja_template(
    template_content: str | None = None,
    trim_blocks: bool = True,
    keep_trailing_newline: bool = True,
    escape_dict: Mapping[str, str] | None = None,
    **values: Any,
) -> str:
    """The text of a template, rendered in the sandbox; older code names the template `prompt`.

    >>> render_jinja_template(prompt="Hi {{name}}", name="you")
    'Hi you'
    """
    template = values.pop("prompt", None) if template_content is None else template_content
    return render(str(template or ""), values, trim_blocks=trim_blocks, keep_trailing_newline=keep_trailing_newline)


def build_messages(
    prompt: str, images: Iterable[Image] | None = None, image_detail: str = "auto", **values: Any
) -> list[dict[str, Any]]:
    """The chat messages of a template; text of `_inputs_to_escape` opens none."""
    untrusted = values.pop("_inputs_to_escape", None) or ()
    return _build_messages(
        prompt,
        values,
        untrusted=[name for name in untrusted if name in values],
        images=images or (),
        image_detail=image_detail,
        with_trailing_text=True,
    )


def to_bool(value: object) -> bool:
    """True for `true`, whatever its case."""
    return str(value).lower() == "true"


def post_process_chat_api_response(completion: Any, stream: bool, functions: Any = None, tools: Any = None) -> Any:
    """What a model node gives for an answer of the OpenAI SDK: text, a message, or an iterator of text."""
    if stream:
        if functions is not None:
            from genaiops.compat._exceptions import FunctionCallNotSupportedInStreamMode

            raise FunctionCallNotSupportedInStreamMode("Function calling is not supported by stream mode.")
        return (chunk.choices[0].delta.content or "" for chunk in completion if chunk.choices)
    if functions or tools:
        return completion.model_dump()["choices"][0]["message"]
    return completion.choices[0].message.content


def normalize_connection_config(connection: Any) -> dict[str, Any]:
    """Arguments for a client of the OpenAI SDK.

    Raises:
        ConnectionSettingsError: It is no connection to a chat model (kind `InvalidConnectionType`).
    """
    from genaiops.connections import AzureOpenAIConnection, OpenAIConnection, ServerlessConnection

    if isinstance(connection, AzureOpenAIConnection):
        fields: dict[str, Any] = {"api_version": connection.api_version, "azure_endpoint": connection.api_base}
        if connection.api_key:
            return {"max_retries": 0, "api_key": connection.api_key, **fields}
        return {"max_retries": 0, "azure_ad_token_provider": connection.get_token, **fields}
    if isinstance(connection, OpenAIConnection):
        return {
            "max_retries": 0,
            "api_key": connection.api_key,
            "organization": connection.organization,
            "base_url": connection.base_url,
        }
    if isinstance(connection, ServerlessConnection):
        base = str(connection.api_base)
        return {
            "max_retries": 0,
            "api_key": connection.api_key,
            "base_url": base if base.endswith("/v1") else f"{base}/v1",
        }
    raise ConnectionSettingsError(
        f"A connection of type {type(connection).__name__!r} reaches no chat model.",
        hint="Use an AzureOpenAIConnection, an OpenAIConnection or a ServerlessConnection.",
        kind="InvalidConnectionType",
    )


def init_openai_client(connection: Any) -> Any:
    """A client of the OpenAI SDK for a connection."""
    from openai import OpenAI

    return OpenAI(**normalize_connection_config(connection))


def init_azure_openai_client(connection: Any) -> Any:
    """A client of the OpenAI SDK for an Azure connection."""
    from openai import AzureOpenAI

    return AzureOpenAI(**normalize_connection_config(connection))


def handle_openai_error(tries: int = 100, unprocessable_entity_error_tries: int = 3) -> Callable[[Any], Any]:
    """A decorator that tries a function of the OpenAI SDK again while the service is busy.

    Waits as `Retry-After` says, else 3, 4, 6, … at most 60 seconds.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return _call_patiently(function, args, kwargs, tries)

        return call

    return decorate


def _call_patiently(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], tries: int) -> Any:
    import openai

    from genaiops.compat._exceptions import ExceedMaxRetryTimes, WrappedOpenAIError

    for attempt in range(tries):
        try:
            return function(*args, **kwargs)
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            if getattr(error, "code", None) == "insufficient_quota":
                raise WrappedOpenAIError(f"OpenAI API hits {type(error).__name__}: {error}", error=error) from error
            if attempt == tries - 1:
                raise ExceedMaxRetryTimes(f"OpenAI API hits {type(error).__name__}: {error}", error=error) from error
            time.sleep(_wait_s(error, attempt))
        except openai.OpenAIError as error:
            raise WrappedOpenAIError(f"OpenAI API hits {type(error).__name__}: {error}", error=error) from error
    return None


def _wait_s(error: Any, attempt: int) -> float:
    response = getattr(error, "response", None)
    told = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return float(told)
    except ValueError:
        return float(min(60, 3 + 2**attempt - 1))
