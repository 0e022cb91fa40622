"""Any OpenAI client talks to a chat flow; the openai package is the client here."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Serve, write_flow

CHAT = """
inputs:
  question: {type: string, is_chat_input: true}
  chat_history: {type: list, is_chat_history: true, default: []}
outputs:
  answer: {type: string, reference: "${reply.output}", is_chat_output: true}
nodes:
- name: reply
  type: python
  source: {type: code, path: reply.py}
  inputs: {question: "${inputs.question}", history: "${inputs.chat_history}"}
"""
REPLY = """
from genaiops.flows import tool

@tool
def reply(question: str, history: list):
    yield f"{len(history)} turns before. "
    if history:
        yield f"You asked {history[-1]['inputs']['question']} and I said {history[-1]['outputs']['answer']}. "
    yield f"Now: {question}"
"""
TALK = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "first"},
    {"role": "user", "content": [{"type": "text", "text": "two"}]},
]


@pytest.fixture
def chat_flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path / "talk", flow__dag__yaml=CHAT, reply__py=REPLY)


@pytest.mark.filterwarnings("default")
def test_the_openai_client_gets_an_answer_and_a_stream(serve: Serve, chat_flow: Path) -> None:
    import openai

    served = serve(chat_flow)
    with openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(model="talk", messages=TALK)
        chunks = list(client.chat.completions.create(model="talk", messages=TALK, stream=True))
        names = [model.id for model in client.models.list()]

    expected = "1 turns before. You asked one and I said first. Now: two"
    assert whole.choices[0].message.content == expected
    assert (whole.choices[0].finish_reason, whole.model, names) == ("stop", "talk", ["talk"])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"


@pytest.mark.parametrize(
    "body",
    [b"{", [], {"messages": []}, {"messages": ["hi"]}, {"messages": [{"role": "assistant", "content": "x"}]}],
)
def test_a_bad_request_gets_openais_error_shape(serve: Serve, chat_flow: Path, body: object) -> None:
    answer = serve(chat_flow).request("POST", "/v1/chat/completions", body)

    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_what_a_flow_cannot_grant_is_refused_and_what_is_its_own_affair_is_not(serve: Serve, chat_flow: Path) -> None:
    server = serve(chat_flow)
    talk = {"messages": [{"role": "user", "content": "two"}]}
    tool = {"type": "function", "function": {"name": "look"}}

    for demand in ({"n": 2}, {"tools": [tool], "tool_choice": "required"}, {"tool_choice": tool}):
        refused = server.request("POST", "/v1/chat/completions", {**talk, **demand})
        assert (refused.status, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    for wish in ({"n": 1}, {"temperature": 2}, {"tools": [tool], "tool_choice": "auto"}):
        assert server.request("POST", "/v1/chat/completions", {**talk, **wish}).status == 200


def test_a_flow_with_several_inputs_is_no_chat_flow(serve: Serve, tmp_path: Path) -> None:
    flow = "inputs:\n  a: {type: string}\n  b: {type: string}\noutputs: {}\nnodes: []\n"
    served = serve(write_flow(tmp_path / "two", flow__dag__yaml=flow))

    answer = served.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})

    assert answer.status == 404
    assert "POST /score" in answer.json()["error"]["message"]


def test_a_function_flow_gets_the_history_as_messages(serve: Serve, tmp_path: Path) -> None:
    code = "def talk(question: str, chat_history: list) -> str:\n    return str(chat_history) + question\n"
    folder = write_flow(tmp_path / "flex", flow__flex__yaml="entry: talk_flow:talk\n", talk_flow__py=code)

    answer = serve(folder).request("POST", "/v1/chat/completions", {"messages": TALK}).json()

    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "first"}]
    assert answer["choices"][0]["message"]["content"] == f"{history}two"
