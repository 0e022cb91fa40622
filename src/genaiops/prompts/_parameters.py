"""Inputs of a model node that are parameters of the request, and what becomes of each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal

from genaiops.prompts._errors import PromptError

Api = Literal["chat", "completion", "embedding"]
Provider = Literal["AzureOpenAI", "OpenAI"]

_ABSENT = object()


def _number(value: Any) -> Any:
    return _ABSENT if value is None or value == "" else float(value)


def _whole(value: Any) -> Any:
    return _ABSENT if value is None or value == "" else int(value)


def _limit(value: Any) -> Any:
    if value is None or str(value).strip().lower() in ("", "inf") or (isinstance(value, float) and math.isinf(value)):
        return _ABSENT
    return int(value)


def _yes(value: Any) -> Any:
    return str(value).lower() == "true"


def _yes_or_absent(value: Any) -> Any:
    return _ABSENT if value is None or value == "" else _yes(value)


def _text(value: Any) -> Any:
    return str(value) if value else _ABSENT


def _written(value: Any) -> Any:
    """A list or mapping, also when it is written as JSON text; other text as it is; nothing when empty."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        value = parsed if isinstance(parsed, list | dict) else value
    return value if value or value is False or value == 0 else _ABSENT


Convert = Callable[[Any], Any]

_SHARED: dict[str, Convert] = {
    "temperature": _number,
    "top_p": _number,
    "stream": _yes,
    "stop": _written,
    "presence_penalty": _number,
    "frequency_penalty": _number,
    "logit_bias": _written,
    "user": _text,
}
_CHAT: dict[str, Convert] = {
    **_SHARED,
    "max_tokens": _limit,
    "functions": _written,
    "function_call": _written,
    "tools": _written,
    "tool_choice": _written,
    "response_format": _written,
    "seed": _whole,
}
_COMPLETION: dict[str, Convert] = {
    **_SHARED,
    "suffix": _text,
    "max_tokens": _limit,
    "n": _whole,
    "logprobs": _whole,
    "echo": _yes,
    "best_of": _whole,
}
# Fields of the request that newer models know and prompt flow's own parameters lack.
_MORE_CHAT: dict[str, Convert] = {
    **dict.fromkeys(
        (
            "audio",
            "metadata",
            "modalities",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "reasoning_effort",
            "safety_identifier",
            "service_tier",
            "stream_options",
            "verbosity",
            "web_search_options",
        ),
        _written,
    ),
    "max_completion_tokens": _limit,
    "top_logprobs": _whole,
    "logprobs": _yes_or_absent,
    "parallel_tool_calls": _yes_or_absent,
    "store": _yes_or_absent,
}
_MORE_COMPLETION: dict[str, Convert] = {"seed": _whole, "stream_options": _written}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "chat": {"temperature": 1.0, "top_p": 1.0, "stream": False},
    "completion": {
        "max_tokens": 16,
        "temperature": 1.0,
        "top_p": 1.0,
        "n": 1,
        "stream": False,
        "echo": False,
        "best_of": 1,
    },
}
OPENAI_COMPLETION_MODEL = "text-davinci-003"  # what prompt flow asks for when nothing is said


def parameter_names(provider: Provider, api: Api) -> frozenset[str]:
    """Names that belong to the request, so that no template variable may have them."""
    table = _CHAT if api == "chat" else _COMPLETION
    only = {"deployment_name"} | ({"n"} if api == "chat" else set()) if provider == "AzureOpenAI" else {"model"}
    return frozenset({*table, *only, "prompt"})


def request_fields(api: Api) -> frozenset[str]:
    """Further inputs that are sent although prompt flow does not know them, unless the template reads them."""
    return frozenset(_MORE_CHAT if api == "chat" else _MORE_COMPLETION) | {"extra_body"}


def read_parameters(
    inputs: Mapping[str, Any], provider: Provider, api: Api, variables: Collection[str] = ()
) -> dict[str, Any]:
    """The fields of the request that inputs set, defaults filled in.

    Args:
        inputs: All inputs of the node.
        provider: Decides about `n`, which prompt flow's OpenAI chat ignores.
        api: `chat` or `completion`.
        variables: Names that the template reads: those are no parameters.

    Raises:
        PromptError: A value cannot be what it has to be (kind `NodeInputValidationError`).
    """
    counts = provider == "AzureOpenAI" and api == "chat"
    table = _converters(api, counts, frozenset(variables))
    fields = {**_DEFAULTS[api], "n": 1} if counts else dict(_DEFAULTS[api])
    for name, value in inputs.items():
        if name in table:
            converted = _converted(name, value, table[name])
            if converted is not _ABSENT:
                fields[name] = converted
    if "extra_body" not in variables and isinstance(extra := _written(inputs.get("extra_body")), dict):
        fields |= extra
    return fields


@lru_cache(maxsize=512)
def _converters(api: Api, counts: bool, variables: frozenset[str]) -> Mapping[str, Convert]:
    """By name, what turns an input into a field of the request."""
    known = _CHAT if api == "chat" else _COMPLETION
    more = _MORE_CHAT if api == "chat" else _MORE_COMPLETION
    return {
        **{name: convert for name, convert in more.items() if name not in variables},
        **known,
        **({"n": _whole} if counts else {}),
    }


def read_model(inputs: Mapping[str, Any], provider: Provider, api: Api) -> str:
    """The deployment (Azure) or model (OpenAI) that inputs name.

    Raises:
        PromptError: An Azure node names no deployment (kind `NodeInputValidationError`).
    """
    deployment, model = (_plain(inputs.get(name)) for name in ("deployment_name", "model"))
    if provider == "OpenAI":
        return model or (OPENAI_COMPLETION_MODEL if api == "completion" else "")
    if not deployment:
        raise PromptError(
            "The model node names no deployment.",
            hint="Set the input 'deployment_name'." + (f" Is it {model!r}, given as 'model'?" if model else ""),
            kind="NodeInputValidationError",
            type="TypeError",
        )
    return deployment


def _converted(name: str, value: Any, convert: Convert) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(
            f"The parameter {name!r} cannot be {str(value)[:80]!r}.",
            hint="It should be a number." if convert in (_number, _whole, _limit) else None,
            kind="NodeInputValidationError",
            type=type(error).__name__,
        ) from error


def _plain(value: Any) -> str:
    # Enumerations of model names are accepted where flow code passes them.
    return str(getattr(value, "value", value) or "")
