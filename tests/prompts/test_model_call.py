"""Requests of model nodes: what prompt flow 1.18.5 hands to the SDK, without members that are None."""

from __future__ import annotations

from typing import Any

import pytest

from genaiops.connections import AzureOpenAIConnection, OpenAIConnection, SerpConnection, ServerlessConnection
from genaiops.errors import FlowDefinitionError
from genaiops.prompts import Image, PromptError, PromptServices, as_chat_list, plan_model_call, provider_of, reply_value
from tests.prompts.conftest import Stand

TEMPLATE = "system:\nBe\nuser:\n{{q}}{{rows}}\n"
MESSAGES = [{"role": "system", "content": "Be"}, {"role": "user", "content": "hi"}]
AZURE = {"model": "m", "messages": MESSAGES, "temperature": 1.0, "top_p": 1.0, "n": 1, "stream": False}
OPENAI = {"model": "m", "messages": MESSAGES, "temperature": 1.0, "top_p": 1.0, "stream": False}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
CHOICE = {"type": "function", "function": {"name": "f"}}


def body(provider: str = "AzureOpenAI", api: str = "chat", **inputs: Any) -> dict[str, Any]:
    call = plan_model_call(TEMPLATE, provider=provider, api=api)
    return call.body({"q": "hi", "deployment_name": "m", "model": "m", **inputs})


@pytest.mark.parametrize(
    ("inputs", "more"),
    [
        ({}, {}),
        ({"max_tokens": "inf"}, {}),
        ({"max_tokens": ""}, {}),
        ({"max_tokens": None, "seed": "", "stop": "", "user": "", "logit_bias": {}}, {}),
        ({"max_tokens": "12"}, {"max_tokens": 12}),
        ({"stop": []}, {}),
        ({"stop": "x"}, {"stop": "x"}),
        ({"stop": '["a", "b"]'}, {"stop": ["a", "b"]}),
        ({"stream": "true"}, {"stream": True}),
        (
            {"temperature": "0", "presence_penalty": 0, "seed": 7},
            {"temperature": 0.0, "presence_penalty": 0.0, "seed": 7},
        ),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
        ({"response_format": '{"type": "json_object"}'}, {"response_format": {"type": "json_object"}}),
        ({"tool_choice": "auto"}, {}),
        ({"functions": [], "function_call": "auto"}, {}),
        ({"functions": [FUNCTION]}, {"functions": [FUNCTION], "function_call": "auto"}),
        (
            {"functions": [FUNCTION], "function_call": {"name": "f"}},
            {"functions": [FUNCTION], "function_call": {"name": "f"}},
        ),
    ],
)
def test_parameters_are_the_same_for_both_providers(inputs: dict[str, Any], more: dict[str, Any]) -> None:
    assert body("AzureOpenAI", **inputs) == {**AZURE, **more}
    assert body("OpenAI", **inputs) == {**OPENAI, **more}


def test_n_is_sent_to_azure_alone() -> None:
    assert body("AzureOpenAI", n=2)["n"] == 2
    assert "n" not in body("OpenAI", n=2)


def test_tools_win_over_functions() -> None:
    both = {"tools": [TOOL], "functions": [FUNCTION], "function_call": "auto", "tool_choice": "none"}

    assert body("AzureOpenAI", **both) == {**AZURE, "tools": [TOOL], "tool_choice": "none"}


@pytest.mark.parametrize(("choice", "sent"), [(None, "auto"), ("auto", "auto"), ("none", "none"), (CHOICE, CHOICE)])
def test_azure_settles_the_choice_of_a_tool(choice: Any, sent: Any) -> None:
    assert body("AzureOpenAI", tools=[TOOL], tool_choice=choice)["tool_choice"] == sent


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"tools": [TOOL], "tool_choice": "required"}, "ChatAPIInvalidTools"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "ChatAPIInvalidTools"),
        ({"tools": [{"x": 1}]}, "ChatAPIInvalidTools"),
        ({"tools": "no list"}, "ChatAPIInvalidTools"),
        ({"functions": [{"x": 1}]}, "ChatAPIInvalidFunctions"),
        ({"functions": [{**FUNCTION, "parameters": {"type": "array", "properties": {}}}]}, "ChatAPIInvalidFunctions"),
        ({"functions": [FUNCTION], "function_call": 3}, "ChatAPIInvalidFunctions"),
        ({"functions": [FUNCTION], "stream": True}, "FunctionCallNotSupportedInStreamMode"),
        ({"temperature": "warm"}, "NodeInputValidationError"),
        ({"deployment_name": ""}, "NodeInputValidationError"),
    ],
)
def test_what_azure_nodes_refuse(inputs: dict[str, Any], kind: str) -> None:
    with pytest.raises(PromptError) as caught:
        body("AzureOpenAI", **inputs)

    assert caught.value.kind == kind


def test_openai_nodes_send_any_tools() -> None:
    assert body("OpenAI", tools=[{"type": "x"}], tool_choice="required")["tool_choice"] == "required"


def test_fields_of_newer_models_are_sent_and_other_inputs_are_not() -> None:
    sent = body(
        reasoning_effort="low",
        max_completion_tokens="50",
        parallel_tool_calls="false",
        extra_body={"top_k": 3},
        note="x",
    )

    assert sent == {
        **AZURE,
        "reasoning_effort": "low",
        "max_completion_tokens": 50,
        "parallel_tool_calls": False,
        "top_k": 3,
    }


def test_a_template_variable_is_never_a_field() -> None:
    call = plan_model_call("user:\n{{metadata}}", provider="OpenAI")

    sent = call.body({"model": "m", "metadata": {"a": 1}})

    assert "metadata" not in sent
    assert sent["messages"][0]["content"] == "{'a': 1}"


def test_every_field_of_the_sdk_is_known() -> None:
    from openai.types.chat import completion_create_params

    from genaiops.prompts._parameters import parameter_names, request_fields

    known = parameter_names("AzureOpenAI", "chat") | request_fields("chat") | {"model", "messages"}

    assert set(completion_create_params.CompletionCreateParamsBase.__annotations__) <= known


def test_completion_sends_a_prompt_with_its_own_defaults() -> None:
    assert body("AzureOpenAI", "completion", max_tokens="12", suffix="", logprobs="") == {
        "model": "m",
        "prompt": "system:\nBe\nuser:\nhi\n",
        "max_tokens": 12,
        "temperature": 1.0,
        "top_p": 1.0,
        "n": 1,
        "stream": False,
        "echo": False,
        "best_of": 1,
    }


def test_lists_print_an_item_a_line_on_azure_and_as_python_on_openai() -> None:
    rows = ["a", {"b": ["c", "d"]}]

    assert body("AzureOpenAI", rows=rows)["messages"][1]["content"] == str(as_chat_list(["hia", rows[1]]))
    assert body("OpenAI", rows=rows)["messages"][1]["content"] == f"hi{rows}"


def test_vision_places_images_and_honours_detail() -> None:
    call = plan_model_call("user:\nSee ![image]({{cat}})\n{{q}}", provider="AzureOpenAI", flavour="vision")
    cat = Image(b"GIF89a")

    sent = call.body(
        {"deployment_name": "m", "cat": cat, "q": f"{cat}", "detail": "low", "tools": [TOOL]}, untrusted=["q", "cat"]
    )

    assert sent == {
        "model": "m",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See "},
                    {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh", "detail": "low"}},
                    # A person who types the text of an image gets text.
                    {"type": "text", "text": str(cat)},
                ],
            }
        ],
        "temperature": 1.0,
        "top_p": 1.0,
        "n": 1,
        "stream": False,
        "presence_penalty": 0,
        "frequency_penalty": 0,
    }


def test_plain_llm_nodes_print_images_as_text() -> None:
    call = plan_model_call("user:\n{{cat}}", provider="OpenAI")

    assert call.body({"model": "m", "cat": Image(b"GIF89a")})["messages"][0]["content"] == "Image(25c9b37a)"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"template": "user:\n{{prompt}}"}, "NodeInputValidationError"),
        ({"template": "user:\n{{temperature}}"}, "NodeInputValidationError"),
        ({"template": "user:\n{{x"}, "JinjaTemplateError"),
        ({"template": "", "api": "chats"}, "APINotFound"),
        ({"template": "", "api": "embedding"}, "APINotFound"),
        ({"template": "", "provider": "Mistral"}, "APINotFound"),
        ({"template": "", "connection": SerpConnection(api_key="k")}, "InvalidConnectionType"),
    ],
)
def test_what_cannot_be_planned(arguments: dict[str, Any], kind: str) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        plan_model_call(**{"provider": "AzureOpenAI", **arguments})

    assert caught.value.kind == kind


def test_a_broken_template_names_file_and_line() -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        plan_model_call("user:\n\n{% if %}", provider="OpenAI", file="ask.jinja2")

    assert (caught.value.file, caught.value.line) == ("ask.jinja2", 3)


def test_the_connection_decides_the_provider() -> None:
    azure = AzureOpenAIConnection(api_base="http://x", api_key="k")

    assert provider_of(azure, "OpenAI") == "AzureOpenAI"
    assert provider_of(OpenAIConnection(api_key="k"), "AzureOpenAI") == "OpenAI"
    assert provider_of(ServerlessConnection(api_key="k", api_base="http://x")) == "OpenAI"


MESSAGE = {"role": "assistant", "content": "hi"}


def test_text_comes_back_as_text_and_tools_as_the_whole_message() -> None:
    reply = {"choices": [{"message": MESSAGE}]}
    whole = {
        "content": "hi",
        "refusal": None,
        "role": "assistant",
        "annotations": None,
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }

    assert reply_value(reply, {}, "chat") == "hi"
    assert reply_value(reply, {"tools": [TOOL]}, "chat") == whole
    assert reply_value(reply, {"functions": [FUNCTION]}, "chat") == whole
    assert reply_value({"choices": [{"text": "t"}]}, {}, "completion") == "t"
    assert reply_value({"data": [{"embedding": [1.0]}]}, {}, "embedding") == [1.0]


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": None}])
def test_an_answer_without_a_choice_is_an_error(reply: dict[str, Any]) -> None:
    with pytest.raises(PromptError) as caught:
        reply_value(reply, {}, "chat")

    assert caught.value.kind == "LLMError"


def test_a_node_asks_the_model(stand: Stand) -> None:
    stand.answers(reply="Paris")
    call = plan_model_call("user:\ncapital of {{q}}\n", connection=stand.azure)
    inputs = {"deployment_name": "gpt-4o", "q": "France"}

    from_thread = call.run_sync(stand.services.models, stand.azure, inputs)
    from_loop = stand.run_async(lambda services: call.run(services.models, stand.azure, inputs))

    assert from_thread.value == from_loop.value == "Paris"
    assert from_thread.reply.usage.total > 0
    assert stand.bodies[0]["messages"] == [{"role": "user", "content": "capital of France"}]


def test_a_stream_gives_texts(stand: Stand) -> None:
    stand.answers(reply="one two three")
    call = plan_model_call("user:\n{{q}}\n", connection=stand.openai)
    inputs = {"model": "m", "q": "x"}

    async def collect(services: PromptServices) -> list[str]:
        stream = (await call.run(services.models, stand.openai, inputs, streaming=True)).value
        return [text async for text in stream]

    from_thread = list(call.run_sync(stand.services.models, stand.openai, inputs, streaming=True).value)

    assert "".join(from_thread) == "".join(stand.run_async(collect)) == "one two three"
