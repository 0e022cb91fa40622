"""Evaluators of libraries, called inside a flow host whose environment holds the library."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from genaiops.errors import SettingsError, suggest
from genaiops.evaluators._calling import as_outputs, finish

if TYPE_CHECKING:
    from genaiops.connections import Connection

_AUTOEVALS_NAMES = {
    "prediction": "output",
    "answer": "output",
    "truth": "expected",
    "groundtruth": "expected",
    "question": "input",
}
_AZURE_NAMES = {
    "prediction": "response",
    "answer": "response",
    "truth": "ground_truth",
    "groundtruth": "ground_truth",
    "question": "query",
}
# Scorers of autoevals outside of these compare texts, numbers and JSON, and ask nobody.
_ASKING_MODULES = ("autoevals.llm", "autoevals.ragas", "autoevals.moderation")
_ASKING = ("EmbeddingSimilarity",)


def call_adapter(library: str, name: str, options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Call an evaluator of a library.

    Args:
        library: `autoevals` or `azure_ai_evaluation`.
        name: Its class.
        options: Parameters of its constructor; `connection` and `model` name what an evaluator asks that asks a model.
        values: The mapped inputs of a row; our names for the two sides are translated to the library's.

    Raises:
        SettingsError: No such evaluator, or it asks a model and nobody said which.

    >>> call_adapter("autoevals", "Levenshtein", {}, {"prediction": "a", "truth": "a"})  # doctest: +SKIP
    {'Levenshtein': 1.0}
    """
    text = json.dumps(options, sort_keys=True, default=str)
    if library == "autoevals":
        return _call_autoevals(name, text, _translated(values, _AUTOEVALS_NAMES))
    evaluator = _azure_evaluator(name, text)
    return as_outputs(finish(evaluator(**_translated(values, _AZURE_NAMES))), name)


def _translated(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The library's words for ours, except where the use case has written those itself."""
    found = {}
    for key, value in values.items():
        theirs = names.get(key, key)
        found[key if theirs in values else theirs] = value
    return found


def _class(module: ModuleType, name: str) -> Any:
    found = getattr(module, name, None)
    if isinstance(found, type):
        return found
    known = [key for key, value in vars(module).items() if isinstance(value, type) and key[0].isupper()]
    raise SettingsError(f"{module.__name__} has no evaluator {name!r}.", hint=suggest(name, known))


# autoevals


def _call_autoevals(name: str, options: str, values: Mapping[str, Any]) -> dict[str, Any]:
    scorer, connection, model = _autoevals_scorer(name, options)
    if connection is not None:
        library = importlib.import_module("autoevals")
        # It keeps this per context, and rows run in contexts of their own.
        library.init(client=_autoevals_client(connection), default_model={"completion": model, "embedding": model})
    result = scorer(**values)
    if result.error is not None:
        raise result.error
    rationale = (result.metadata or {}).get("rationale")
    return {name: result.score} if rationale is None else {name: result.score, "rationale": rationale}


@lru_cache(maxsize=32)
def _autoevals_scorer(name: str, options: str) -> tuple[Any, Connection | None, str]:
    """The scorer, and what it asks when it asks a model."""
    cls = _class(importlib.import_module("autoevals"), name)
    given = json.loads(options)
    connection, model = given.pop("connection", None), str(given.pop("model", None) or "")
    if cls.__module__ not in _ASKING_MODULES and name not in _ASKING:
        return cls(**given), None, model
    if not connection or not model:
        # Without a client of ours it would send rows, and the key in OPENAI_API_KEY, to a gateway of its makers.
        raise _asks_nobody(f"autoevals:{name}")
    return cls(**given, model=model), _connection(connection), model


def _autoevals_client(connection: Connection) -> Any:
    """Calls go through the limits, retries, recordings and counts of every other model call."""
    library = importlib.import_module("autoevals.oai")

    def chat(**body: Any) -> dict[str, Any]:
        return _ask(connection, body, "chat")

    def respond(**body: Any) -> dict[str, Any]:
        return _ask(connection, _as_chat(body), "chat")

    def embed(**body: Any) -> dict[str, Any]:
        return _ask(connection, body, "embedding")

    def moderate(**_: Any) -> dict[str, Any]:
        raise SettingsError("The moderation API is not one that a connection reaches.")

    stand_in = SimpleNamespace(
        chat=SimpleNamespace(completions=SimpleNamespace(create=chat)),
        responses=SimpleNamespace(create=respond),
        embeddings=SimpleNamespace(create=embed),
        moderations=SimpleNamespace(create=moderate),
    )
    return library.LLMClient(openai=stand_in)


def _ask(connection: Connection, body: Mapping[str, Any], api: Any) -> dict[str, Any]:
    from genaiops.prompts import get_services

    reply = get_services().models.call_sync(connection, dict(body), api=api)
    return dict(reply.body)


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request of the responses API as one of chat completions, which every connection answers."""
    found = {key: body[key] for key in ("model", "temperature") if key in body}
    found["messages"] = body["input"]
    if "tools" in body:
        names = ("name", "description", "parameters")
        found["tools"] = [
            {"type": "function", "function": {key: tool[key] for key in names if tool.get(key) is not None}}
            for tool in body["tools"]
        ]
    if body.get("tool_choice") == "required":
        found["tool_choice"] = "required"
    return found


# azure-ai-evaluation


@lru_cache(maxsize=32)
def _azure_evaluator(name: str, options: str) -> Any:
    cls = _class(importlib.import_module("azure.ai.evaluation"), name)
    given = json.loads(options)
    connection, model = given.pop("connection", None), given.pop("model", None)
    if connection:
        if not model:
            raise _asks_nobody(f"azure-ai-evaluation:{name}")
        given["model_config"] = azure_model_config(_connection(connection), str(model))
    return cls(**given)


def azure_model_config(connection: Connection, model: str) -> dict[str, Any]:
    """A connection in the form that azure-ai-evaluation takes.

    Args:
        connection: An Azure OpenAI connection, or one that speaks OpenAI's protocol.
        model: The deployment, or the model.
    """
    held = {**connection.configs, **connection.secrets}
    if connection.type == "AzureOpenAI":
        names = {"api_base": "azure_endpoint", "api_key": "api_key", "api_version": "api_version"}
        config = {"azure_deployment": model}
    else:
        names = {"base_url": "base_url", "api_key": "api_key", "organization": "organization"}
        config = {"model": model}
    return config | {theirs: held[ours] for ours, theirs in names.items() if held.get(ours)}


def _connection(name: str) -> Connection:
    from genaiops.prompts import get_services

    return get_services().connections.get(name)


def _asks_nobody(what: str) -> SettingsError:
    return SettingsError(
        f"The evaluator {what} asks a model, and nobody says which.",
        hint="Add init: {connection: NAME, model: MODEL_OR_DEPLOYMENT} to the evaluator.",
    )
