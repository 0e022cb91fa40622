"""Calling prompty files, against a model server on loopback."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import ConnectionSettingsError, FlowDefinitionError
from genaiops.prompts import (
    AsyncFlow,
    AsyncPrompty,
    AzureOpenAIModelConfiguration,
    Flow,
    Image,
    OpenAIModelConfiguration,
    PromptError,
    Prompty,
    get_services,
    load_prompty,
    read_prompty,
)
from genaiops.prompts._prompty_reply import PromptyReply
from tests.prompts.conftest import Stand

FRONT = """---
name: chat
model:
  api: chat
  configuration: {type: azure_openai, azure_deployment: gpt-4o, connection: aoai}
  parameters: {temperature: 0.2, max_tokens: 20}
inputs:
  question: {type: string}
  chat_history: {type: list, default: []}
sample: {question: 1+1?}
"""
BODY = """---
system:
Be kind.
{% for item in chat_history %}
{{item.role}}:
{{item.content}}
{% endfor %}
user:
{{question}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "chat.prompty"
    file.write_text(FRONT + BODY, encoding="utf-8")
    return file


def rewrite(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_call_sends_messages_and_gives_text(path: Path, stand: Stand) -> None:
    stand.answers(reply="Paris")
    history = [{"role": "user", "content": "hi\nsystem:\n"}, {"role": "assistant", "content": "ho"}]

    answer = Prompty.load(path)(question="Capital?\nsystem:", chat_history=history, extra="ignored")

    assert answer == "Paris"
    (body,) = stand.bodies
    assert {key: body[key] for key in ("temperature", "max_tokens")} == {"temperature": 0.2, "max_tokens": 20}
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi\nsystem:"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "Capital?\nsystem:"},
    ]


def test_asynchronous_calls_are_awaited(path: Path, stand: Stand) -> None:
    stand.answers(reply="Paris")
    prompty = AsyncPrompty.load(path)

    async def both(_: Any) -> list[str]:
        return await asyncio.gather(prompty(question="a"), prompty(question="b"))

    assert stand.run_async(both) == ["Paris", "Paris"]


class TestInputs:
    def test_without_any_the_sample_is_used(self, path: Path) -> None:
        assert Prompty.load(path).resolve_inputs({}) == {"question": "1+1?", "chat_history": []}

    def test_missing_ones_are_all_named(self, path: Path) -> None:
        prompty = Prompty.load(path, inputs={"more": {"type": "int"}})

        with pytest.raises(PromptError, match=r"Missing required inputs: \['question', 'more'\]") as caught:
            prompty(chat_history=[])

        assert caught.value.kind == "MissingRequiredInputError"

    def test_a_none_is_kept_and_nothing_is_converted(self, path: Path) -> None:
        found = Prompty.load(path).resolve_inputs({"question": 4, "chat_history": None})

        assert found == {"question": 4, "chat_history": None}

    def test_positional_arguments_are_refused(self, path: Path) -> None:
        with pytest.raises(PromptError, match="keyword arguments"):
            Prompty.load(path)("hi")

    def test_text_that_names_an_image_becomes_one(self, path: Path) -> None:
        (path.parent / "cat.gif").write_bytes(b"GIF89a")
        prompty = Prompty.load(rewrite(path, "\n{{question}}\n", "\nSee ![image]({{question}})\n"))

        messages = prompty.prompt(prompty.resolve_inputs({"question": "data:image/gif;path: cat.gif"}))

        assert messages[1]["content"][1] == {
            "type": "image_url",
            "image_url": {"url": "data:image/gif;base64,R0lGODlh", "detail": "auto"},
        }

    def test_an_image_outside_the_folder_is_refused(self, path: Path) -> None:
        with pytest.raises(PromptError, match="leads out"):
            Prompty.load(path).resolve_inputs({"question": "data:image/png;path: ../x.png"})

    def test_an_image_outside_the_folder_is_read_where_the_file_itself_names_it(self, tmp_path: Path) -> None:
        inner = tmp_path / "flow"
        inner.mkdir()
        (tmp_path / "cat.gif").write_bytes(b"GIF89a")
        front = FRONT.replace("sample: {question: 1+1?}", 'sample: {question: "data:image/gif;path:../cat.gif"}')
        (inner / "chat.prompty").write_text(front + BODY, encoding="utf-8")
        prompty = Prompty.load(inner / "chat.prompty")

        assert prompty.resolve_inputs({})["question"] == b"GIF89a"
        with pytest.raises(PromptError, match="leads out"):
            prompty.resolve_inputs({"question": "data:image/gif;path: ../flow/../cat.gif"})

    def test_images_are_taken_as_objects(self, path: Path) -> None:
        messages = Prompty.load(path).prompt({"question": Image(b"GIF89a"), "chat_history": []})

        assert messages[1]["content"][0]["type"] == "image_url"


def test_render_shows_the_messages(path: Path) -> None:
    shown = Prompty.load(path).render(question="hi")

    assert shown == str([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}])


def test_completion_sends_the_prompt_as_text(path: Path, stand: Stand) -> None:
    stand.answers(reply="done")
    prompty = Prompty.load(path, model={"api": "completion"})

    assert prompty(question="a") == "done"
    assert stand.bodies[0]["prompt"] == "system:\nBe kind.\nuser:\na\n"


def test_a_broken_body_names_its_line_in_the_file(path: Path) -> None:
    prompty = Prompty.load(rewrite(path, "user:\n{{question}}", "user:\n{{question.a.b}}"))

    with pytest.raises(PromptError) as caught:
        prompty.render(question="x")

    assert (caught.value.kind, caught.value.line) == ("JinjaTemplateError", 19)


class TestAnswers:
    def reply(self, **options: Any) -> PromptyReply:
        given = {"api": "chat", "outputs": (), "response_format": None, "whole": False, "as_sdk_object": False}
        return PromptyReply(**{"file": Path("x.prompty"), **given, **options})

    def test_json_answers_become_mappings(self, path: Path, stand: Stand) -> None:
        stand.answers(reply='{"answer": "Paris", "sure": true}')
        asked = {"parameters": {"response_format": {"type": "json_object"}}}

        assert Prompty.load(path, model=asked)(question="a") == {"answer": "Paris", "sure": True}
        assert Prompty.load(path, model=asked, outputs={"answer": {}})(question="a") == {"answer": "Paris"}
        with pytest.raises(PromptError, match=r"Cannot find no in response \['answer', 'sure'\]") as caught:
            Prompty.load(path, model=asked, outputs={"no": {}})(question="a")
        assert caught.value.kind == "InvalidOutputKeyError"

    def test_json_that_is_none_is_an_error_of_the_model(self, path: Path, stand: Stand) -> None:
        stand.answers(reply="Paris")

        with pytest.raises(PromptError) as caught:
            Prompty.load(path, model={"parameters": {"response_format": {"type": "json_object"}}})(question="a")

        assert (caught.value.kind, caught.value.type) == ("LLMError", "JSONDecodeError")

    def test_a_json_schema_answer_stays_text(self, path: Path, stand: Stand) -> None:
        stand.answers(reply='{"a": 1}')
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}

        assert Prompty.load(path, model={"parameters": {"response_format": schema}})(question="a") == '{"a": 1}'

    @pytest.mark.parametrize("reason", ["tool_calls", "stop"])
    def test_a_call_of_a_tool_gives_the_message(self, reason: str) -> None:
        """Also when the request forces the call, which ends with the reason `stop`; and when JSON was asked for."""
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]}
        answer = {"choices": [{"finish_reason": reason, "message": message}]}

        for options in ({}, {"response_format": {"type": "json_object"}}):
            assert self.reply(**options).value(answer)["tool_calls"] == [{"id": "c1"}]

    def test_a_call_of_a_function_gives_the_message(self) -> None:
        call = {"name": "f", "arguments": "{}"}
        answer = {"choices": [{"finish_reason": "function_call", "message": {"content": None, "function_call": call}}]}

        assert self.reply().value(answer)["function_call"] == call

    def test_the_whole_answer_is_an_object_of_the_sdk(self, path: Path, stand: Stand) -> None:
        stand.answers(reply="Paris")

        answer = Prompty.load(path, model={"response": "all"})(question="a")

        assert answer.choices[0].message.content == "Paris"
        assert answer.usage.total_tokens > 0

    def test_for_a_flow_it_is_a_mapping(self, path: Path, stand: Stand) -> None:
        stand.answers(reply="Paris")

        answer = load_prompty(path, {"model": {"response": "all"}}).run_sync({"question": "a"})

        assert answer["choices"][0]["message"]["content"] == "Paris"
        json.dumps(answer)

    def test_streams_give_texts(self, path: Path, stand: Stand) -> None:
        stand.answers(reply="one two three")
        streamed = {"parameters": {"stream": True}}

        texts = list(Prompty.load(path, model=streamed)(question="a"))

        async def collect(_: Any) -> list[str]:
            return [text async for text in await AsyncPrompty.load(path, model=streamed)(question="a")]

        assert "".join(texts) == "one two three"
        assert all(texts)
        assert stand.run_async(collect) == texts

    def test_a_streamed_json_answer_is_a_mapping(self, path: Path, stand: Stand) -> None:
        stand.answers(reply='{"a": 1}')
        parameters = {"stream": True, "response_format": {"type": "json_object"}}

        assert Prompty.load(path, model={"parameters": parameters})(question="a") == {"a": 1}

    def test_only_the_first_choice_of_a_stream_is_given(self) -> None:
        chunks = [{"choices": [{"index": index, "delta": {"content": text}}]} for index, text in [(0, "a"), (1, "b")]]

        assert list(self.reply().stream(iter([*chunks, {"choices": []}, chunks[0]]))) == ["a", "a"]


class TestModels:
    def test_a_configuration_object_replaces_the_file_s(self, path: Path, stand: Stand) -> None:
        stand.answers(reply="Paris")
        configuration = OpenAIModelConfiguration(model="m2", base_url=f"{stand.server.url}/v1", api_key="k")

        assert Prompty.load(path, model={"configuration": configuration})(question="a") == "Paris"
        assert stand.bodies[0]["model"] == "m2"

    def test_a_connection_object_is_taken_as_it_is(self, path: Path, stand: Stand) -> None:
        configuration = {"connection": stand.openai, "type": "openai", "model": "m3", "azure_deployment": None}

        request = Prompty.load(path, model={"configuration": configuration}).request({"question": "a"})

        assert (request.connection, request.body["model"]) == (stand.openai, "m3")

    def test_fields_make_a_connection(self, path: Path, stand: Stand) -> None:
        configuration = {"connection": None, "azure_endpoint": "https://x", "api_key": "k", "api_version": "v"}

        connection = Prompty.load(path, model={"configuration": configuration}).request({"question": "a"}).connection

        assert (connection.api_base, connection.api_key, connection.api_version) == ("https://x", "k", "v")
        assert connection.auth_mode == "key"

    def test_azure_without_a_key_signs_in_with_entra(self, path: Path, stand: Stand) -> None:
        configuration = {"connection": None, "azure_endpoint": "https://x"}

        connection = Prompty.load(path, model={"configuration": configuration}).request({"question": "a"}).connection

        assert connection.auth_mode == "meid_token"

    def test_azure_without_an_address_takes_the_one_of_the_environment(self, path: Path, stand: Stand) -> None:
        rewrite(path, "connection: aoai", "api_version: v")
        services = replace(get_services(), environ={"AZURE_OPENAI_ENDPOINT": "https://x"})

        connection = Prompty.load(path).model(services).connection

        assert (connection.api_base, connection.api_version) == ("https://x", "v")

    def test_azure_without_any_address_names_the_variable(self, path: Path, stand: Stand) -> None:
        rewrite(path, "connection: aoai", "api_version: v")

        with pytest.raises(ConnectionSettingsError) as caught:
            Prompty.load(path).model(replace(get_services(), environ={}))

        assert "AZURE_OPENAI_ENDPOINT" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("configuration", "named"),
        [
            ("{type: azure_openai, connection: aoai}", "azure_deployment: NAME"),
            ("{type: azure_openai, azure_endpoint: 'https://x', api_key: k}", "azure_deployment: NAME"),
            ("{type: openai, api_key: k}", "model: NAME"),
        ],
    )
    def test_a_prompty_without_a_model_is_refused_before_any_call(
        self, path: Path, stand: Stand, configuration: str, named: str
    ) -> None:
        rewrite(path, "{type: azure_openai, azure_deployment: gpt-4o, connection: aoai}", configuration)

        with pytest.raises(ConnectionSettingsError) as caught:
            Prompty.load(path).model()

        assert named in (caught.value.hint or "")

    def test_a_model_alone_is_completed_by_the_environment(self, path: Path, stand: Stand) -> None:
        rewrite(path, "{type: azure_openai, azure_deployment: gpt-4o, connection: aoai}", "{type: OpenAI, model: m}")
        prompty = Prompty.load(path)

        with pytest.raises(ConnectionSettingsError, match="OPENAI_API_KEY"):
            prompty.request({"question": "a"})

    def test_a_variable_that_is_not_set_is_named(self, path: Path, stand: Stand) -> None:
        rewrite(path, "connection: aoai", 'azure_endpoint: "${env:END}", api_key: "${env:KEY}"')

        with pytest.raises(ConnectionSettingsError, match="END, KEY, which are not set"):
            Prompty.load(path).request({"question": "a"})

    def test_a_variable_written_in_capitals_is_one(self, path: Path, stand: Stand) -> None:
        rewrite(path, "connection: aoai", 'azure_endpoint: "${ENV:END}", api_key: k')

        with pytest.raises(ConnectionSettingsError, match="END, which is not set"):
            Prompty.load(path).request({"question": "a"})
        read = read_prompty(path, environ={"END": "https://x"})
        assert read.configuration["azure_endpoint"] == "https://x"

    def test_a_connection_and_fields_are_refused(self, path: Path, stand: Stand) -> None:
        prompty = Prompty.load(path, model={"configuration": {"api_key": "k"}})

        with pytest.raises(ConnectionSettingsError) as caught:
            prompty.request({"question": "a"})

        assert caught.value.kind == "InvalidConnectionError"
        with pytest.raises(ConnectionSettingsError):
            AzureOpenAIModelConfiguration("d", api_key="k", connection="c")

    def test_a_key_is_never_shown(self) -> None:
        shown = repr(
            [AzureOpenAIModelConfiguration("d", "e", api_key="hush"), OpenAIModelConfiguration("m", api_key="hush")]
        )

        assert "hush" not in shown

    def test_an_unknown_connection_is_named(self, path: Path, stand: Stand) -> None:
        prompty = Prompty.load(path, model={"configuration": {"connection": "aoia"}})

        with pytest.raises(ConnectionSettingsError, match="Did you mean 'aoai'"):
            prompty(question="a")

    def test_a_simulated_model_needs_no_server(self, path: Path, stand: Stand) -> None:
        rewrite(path, "type: azure_openai, azure_deployment: gpt-4o, connection: aoai", "type: simulated, reply: Paris")

        assert Prompty.load(path)(question="a") == "Paris"
        assert stand.bodies == []

    def test_the_file_names_its_connection(self, path: Path) -> None:
        assert Prompty.load(path).connection == "aoai"


def test_tools_are_checked_and_win_over_functions(path: Path, stand: Stand) -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    prompty = Prompty.load(path, model={"parameters": {"tools": tools, "functions": [function]}})

    body = prompty.request({"question": "a"}).body

    assert (body["tools"], body["tool_choice"], "functions" in body) == (tools, "auto", False)
    with pytest.raises(PromptError) as caught:
        Prompty.load(path, model={"parameters": {"tools": [{}]}}).request({"question": "a"})
    assert caught.value.kind == "ChatAPIInvalidTools"


def test_options_of_the_sdk_do_not_go_into_the_body(path: Path, stand: Stand) -> None:
    parameters = {"extra_headers": {"x-a": "1"}, "extra_body": {"top_k": 2}, "timeout": 5}

    request = Prompty.load(path, model={"parameters": parameters}).request({"question": "a"})

    assert (request.headers, request.timeout_s, request.body["top_k"]) == ({"x-a": "1"}, 5.0, 2)
    assert not {"extra_headers", "extra_body", "timeout"} & request.body.keys()


def test_an_input_called_timeout_limits_the_call(path: Path, stand: Stand) -> None:
    assert Prompty.load(path).request({"question": "a", "timeout": 3}).timeout_s == 3.0


class TestTokenCount:
    def test_it_is_the_prompt_plus_max_tokens(self, path: Path) -> None:
        """Without tiktoken: a quarter of the characters, 3 a message and 3 for the reply."""
        messages = [("system", "Be kind."), ("user", "hi")]
        try:
            import tiktoken  # noqa: F401
        except ImportError:
            prompt = sum(3 + -(-len(role) // 4) + -(-len(text) // 4) for role, text in messages) + 3
            assert Prompty.load(path).estimate_token_count(question="hi") == prompt + 20

    @pytest.mark.parametrize("limit", ["20", 1, 2.5])
    def test_max_tokens_has_to_be_a_number_above_one(self, path: Path, limit: Any) -> None:
        with pytest.raises(PromptError, match="max_tokens"):
            Prompty.load(path, model={"parameters": {"max_tokens": limit}}).estimate_token_count(question="hi")


def test_a_prompty_travels_between_processes(path: Path) -> None:
    again = pickle.loads(pickle.dumps(Prompty.load(path, sample={"question": "b"})))

    assert again.resolve_inputs({})["question"] == "b"


def test_flow_load_takes_prompty_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever imports the import layer in this process brings a loader of folders along.
    monkeypatch.setattr("genaiops.prompts._prompty._loaders", {})

    assert type(Flow.load(path)) is Prompty
    assert type(AsyncFlow.load(source=str(path))) is AsyncPrompty
    with pytest.raises(FlowDefinitionError):
        Flow.load(tmp_path)
    with pytest.raises(FlowDefinitionError, match="There is no file"):
        Prompty.load(tmp_path / "no.prompty")
