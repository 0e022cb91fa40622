"""The package tools that are no language models: search, content safety, embedding, template rendering."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from genaiops.prompts._errors import PromptError
from genaiops.prompts._messages import PromptText, render_prompt
from genaiops.prompts._model_call import provider_of
from genaiops.prompts._replies import reply_value
from genaiops.prompts._services import get_services

if TYPE_CHECKING:
    from genaiops.connections import (
        AzureContentSafetyConnection,
        AzureOpenAIConnection,
        Connection,
        OpenAIConnection,
        SerpConnection,
        ServerlessConnection,
        SimulatedConnection,
    )

SERP_URL = "https://serpapi.com/search"
EMBEDDING_MODEL = "text-embedding-ada-002"
_CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")
# From this severity on a category is rejected; -1: never.
_THRESHOLDS = {"disable": -1, "low_sensitivity": 6, "medium_sensitivity": 4, "high_sensitivity": 2}


class SafeMode(StrEnum):
    """Whether a search leaves out what is not for children."""

    ACTIVE = "active"
    OFF = "off"


class SearchEngine(StrEnum):
    """Who searches."""

    GOOGLE = "google"
    BING = "bing"


class TextCategorySensitivity(StrEnum):
    """From how mild on a category of harm is rejected."""

    DISABLE = "disable"
    LOW_SENSITIVITY = "low_sensitivity"
    MEDIUM_SENSITIVITY = "medium_sensitivity"
    HIGH_SENSITIVITY = "high_sensitivity"


class EmbeddingModel(StrEnum):
    """Names of embedding models that flow code uses."""

    TEXT_EMBEDDING_ADA_002 = "text-embedding-ada-002"
    TEXT_SEARCH_ADA_DOC_001 = "text-search-ada-doc-001"
    TEXT_SEARCH_ADA_QUERY_001 = "text-search-ada-query-001"


def search(
    connection: SerpConnection,
    query: str,
    location: str | None = None,
    safe: str = "off",
    num: int = 10,
    engine: str = "google",
) -> Any:
    """What SerpApi finds, as its JSON.

    Args:
        connection: Holds the key.
        query: What to look for.
        location: Where the searcher is.
        safe: `active` or `off`.
        num: Results wanted; 0 for the engine's own number.
        engine: `google` or `bing`.

    Raises:
        PromptError: It refused (kind `SerpAPIUserError`) or failed (`SerpAPISystemError`).
    """
    from urllib.parse import urlencode

    from genaiops.prompts._http_json import ask_json

    name = _plain(engine)
    is_google = name.lower() == "google"
    fields: dict[str, Any] = {"engine": name, "q": query, "location": location, "output": "json"}
    if _plain(safe) == "active":
        fields |= {"safe": "Active"} if is_google else {"safeSearch": "Strict"}
    if int(num) > 0:
        fields["num" if is_google else "count"] = int(num)
    sent = {key: value for key, value in fields.items() if value is not None} | {"api_key": connection.api_key}
    try:
        answer = ask_json(f"{SERP_URL}?{urlencode(sent)}")
    except OSError as error:
        raise PromptError(
            f"The search could not be sent: {type(error).__name__}.", kind="SerpAPISystemError"
        ) from error
    if answer.status == 200:
        return answer.content
    said = answer.content.get("error") if isinstance(answer.content, Mapping) else None
    raise PromptError(
        f"The search failed with status {answer.status}: {str(said or answer.content)[:300]}",
        kind="SerpAPISystemError" if answer.status >= 500 else "SerpAPIUserError",
    )


def analyze_text(
    connection: AzureContentSafetyConnection,
    text: str,
    hate_category: str = "medium_sensitivity",
    sexual_category: str = "medium_sensitivity",
    self_harm_category: str = "medium_sensitivity",
    violence_category: str = "medium_sensitivity",
) -> dict[str, Any]:
    """What Azure AI Content Safety makes of a text: `Accept` or `Reject`, in all and by category.

    Args:
        connection: Address and key of the service.
        text: What is judged.
        hate_category: `disable`, `low_sensitivity`, `medium_sensitivity` or `high_sensitivity`.
        sexual_category: Likewise.
        self_harm_category: Likewise.
        violence_category: Likewise.

    Raises:
        PromptError: A sensitivity is unknown (kind `AzureContentSafetyInputValueError`), or the service failed
            (`AzureContentSafetySystemError`).
    """
    given = (hate_category, self_harm_category, sexual_category, violence_category)
    thresholds = {name: _threshold(value) for name, value in zip(_CATEGORIES, given, strict=True)}
    found = _severities(_safety_answer(connection, text))
    actions = {
        name: "Reject" if threshold >= 0 and found[name] >= threshold else "Accept"
        for name, threshold in thresholds.items()
    }
    return {
        "suggested_action": "Reject" if "Reject" in actions.values() else "Accept",
        "action_by_category": actions,
    }


async def embedding(
    connection: AzureOpenAIConnection | OpenAIConnection | ServerlessConnection | SimulatedConnection,
    input: str,  # noqa: A002 - the name that flow files use
    deployment_name: str = "",
    model: str = EMBEDDING_MODEL,
) -> list[float]:
    """The vector of a text.

    Args:
        connection: Reaches the model.
        input: The text.
        deployment_name: For Azure OpenAI.
        model: For the others.

    Raises:
        FlowDefinitionError: A connection that reaches no model (kind `InvalidConnectionType`).
    """
    services = get_services()
    body = embedding_body(connection, input, deployment_name, model)
    reply = await services.models.call(connection, body, api="embedding", repeat=services.repeat)
    return [float(number) for number in reply_value(reply.body, body, "embedding")]


def embedding_sync(
    connection: AzureOpenAIConnection | OpenAIConnection | ServerlessConnection | SimulatedConnection,
    input: str,  # noqa: A002 - the name that flow code uses
    deployment_name: str = "",
    model: str = EMBEDDING_MODEL,
) -> list[float]:
    """The vector of a text, for plain code; see `embedding`."""
    services = get_services()
    body = embedding_body(connection, input, deployment_name, model)
    reply = services.models.call_sync(connection, body, api="embedding", repeat=services.repeat)
    return [float(number) for number in reply_value(reply.body, body, "embedding")]


def embedding_body(connection: Connection, text: Any, deployment_name: str, model: Any) -> dict[str, Any]:
    """The request for a vector."""
    if provider_of(connection) == "AzureOpenAI":
        return {"model": deployment_name, "input": text}
    if any(cls.__name__ == "ServerlessConnection" for cls in type(connection).__mro__):
        return {"model": _plain(model), "input": [text], "encoding_format": "float"}
    return {"model": _plain(model), "input": text}


def render_template_jinja2(template: str, **kwargs: Any) -> PromptText:
    """The text of a template, as a prompt node gives it."""
    untrusted = kwargs.pop("_inputs_to_escape", None) or ()
    return render_prompt(template, kwargs, untrusted=untrusted)


def _plain(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _threshold(sensitivity: Any) -> int:
    try:
        return _THRESHOLDS[_plain(sensitivity)]
    except KeyError as error:
        raise PromptError(
            f"The sensitivity {_plain(sensitivity)[:40]!r} is unknown.",
            hint=f"Valid: {', '.join(_THRESHOLDS)}.",
            kind="AzureContentSafetyInputValueError",
        ) from error


def _safety_answer(connection: AzureContentSafetyConnection, text: str) -> Mapping[str, Any]:
    from urllib.parse import quote

    from genaiops.prompts._http_json import ask_json

    endpoint = str(connection.endpoint).rstrip("/")
    url = f"{endpoint}/contentsafety/text:analyze?api-version={quote(str(connection.api_version))}"
    headers = {"Ocp-Apim-Subscription-Key": connection.api_key, "Content-Type": "application/json"}
    try:
        answer = ask_json(url, body={"text": text, "blocklistNames": []}, headers=headers)
    except OSError as error:
        raise PromptError(
            f"The content safety service could not be asked: {type(error).__name__}.",
            kind="AzureContentSafetySystemError",
        ) from error
    if answer.status == 200 and isinstance(answer.content, Mapping):
        return answer.content
    said = answer.content.get("error") if isinstance(answer.content, Mapping) else answer.content
    said = said.get("message") if isinstance(said, Mapping) else said
    raise PromptError(
        f"The content safety service answered {answer.status}: {str(said)[:300]}", kind="AzureContentSafetySystemError"
    )


def _severities(answer: Mapping[str, Any]) -> dict[str, int]:
    """Severity by category; versions before 2023-10-01 have a member for each."""
    if isinstance(answer.get("categoriesAnalysis"), list):
        listed = {item.get("category"): item.get("severity") for item in answer["categoriesAnalysis"]}
    else:
        keys = {
            "Hate": "hateResult",
            "SelfHarm": "selfHarmResult",
            "Sexual": "sexualResult",
            "Violence": "violenceResult",
        }
        listed = {name: (answer.get(key) or {}).get("severity") for name, key in keys.items()}
    if missing := [name for name in _CATEGORIES if not isinstance(listed.get(name), int)]:
        raise PromptError(
            f"The content safety service said nothing about {', '.join(missing)}.", kind="AzureContentSafetySystemError"
        )
    return {name: int(listed[name]) for name in _CATEGORIES}
