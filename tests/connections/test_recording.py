import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.connections import (
    AzureOpenAIConnection,
    Models,
    OpenAIConnection,
    RecordingMissError,
    Redactor,
    SimulatedConnection,
)
from genaiops.connections._recording import Recording, canonical_request, request_key
from genaiops.errors import SettingsError
from genaiops.testing import ModelServer, ModelServerOptions

_KEY = "sk-planted-0123456789"
_OFFLINE = OpenAIConnection("", base_url="http://127.0.0.1:9/v1", name="llm")


def _body(text: str, **parameters: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **parameters}


def _record(path: Path, bodies: list[dict[str, Any]], *, api: str = "chat") -> int:
    """Record replies; returns how many requests the server saw."""

    async def main() -> int:
        async with ModelServer(ModelServerOptions(rules=[("capital of (\\w+)", "The capital of \\1.")])) as server:
            models = Models(mode="record", recording=path, redactor=Redactor([_KEY]), today=lambda: "2026-11-22")
            connection = OpenAIConnection(_KEY, base_url=f"{server.url}/v1", name="llm")
            for body in bodies:
                await models.call(connection, body, api=api)  # type: ignore[arg-type]
            await models.aclose()
            return server.stats.requests

    return asyncio.run(main())


def _text(reply: Any) -> str:
    return str(reply.body["choices"][0]["message"]["content"])


def test_what_was_recorded_replays_without_key_or_network(tmp_path: Path) -> None:
    path = tmp_path / "recordings" / "replies.jsonl"
    _record(path, [_body("capital of France", temperature=0.0)])

    reply = Models(mode="replay", recording=path).call_sync(
        _OFFLINE, _body("capital of France", temperature=0), api="chat"
    )

    assert _text(reply) == "The capital of France."
    assert (reply.source, reply.recorded, reply.model) == ("recorded", "2026-11-22", "gpt-4o")
    assert reply.usage.input == 4


def test_a_recording_is_readable_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body(f"say {_KEY} and größer")])

    text = path.read_text(encoding="utf-8")
    line = json.loads(text)

    assert _KEY not in text
    assert "größer" in text
    assert list(line) == ["schema_version", "request", "reply", "model", "date", "connection"]
    assert list(line["request"])[:3] == ["api", "model", "messages"]
    assert line["connection"] == {"name": "llm", "type": "open_ai"}


def test_a_request_that_held_a_secret_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body(f"say {_KEY}")])

    reply = Models(mode="replay", recording=path, redactor=Redactor([_KEY])).call_sync(
        _OFFLINE, _body(f"say {_KEY}"), api="chat"
    )

    assert _text(reply) == "say ******"


def test_recording_again_calls_only_for_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    assert _record(path, [_body("a"), _body("b")]) == 2
    assert _record(path, [_body("a"), _body("b"), _body("c")]) == 1
    assert _record(path, [_body("a"), _body("a")]) == 1  # the second time is a repeat of its own
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_repeats_replay_in_their_order_and_from_the_start_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    lines = []
    for text in ("first", "second"):
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
        lines.append(json.dumps({"request": canonical_request("chat", _body("a")), "reply": body}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    models = Models(mode="replay", recording=path)

    said = [_text(models.call_sync(_OFFLINE, _body("a"), api="chat")) for _ in range(3)]
    by_number = [_text(models.call_sync(_OFFLINE, _body("a"), api="chat", repeat=i)) for i in (1, 0, 3)]

    assert said == ["first", "second", "first"]
    assert by_number == ["second", "first", "second"]


def test_a_miss_shows_the_nearest_request_and_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body("Classify this page:\nhttps://x", temperature=0.0), _body("Something else entirely")])

    with pytest.raises(RecordingMissError) as caught:
        Models(mode="replay", recording=path).call_sync(
            _OFFLINE, _body("Sort this page:\nhttps://x", temperature=0.5), api="chat"
        )

    text = str(caught.value)
    assert caught.value.kind == "RecordingMissError"
    assert '-   "content": "Classify this page:' in text
    assert '+   "content": "Sort this page:' in text
    assert '+ "temperature": 0.5' in text
    assert "https://x" not in text.replace('"content"', "")
    assert "--model-calls record" in text


def test_streams_replay_as_streams(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body("one two three")])

    chunks = list(Models(mode="replay", recording=path).stream_sync(_OFFLINE, _body("one two three"), api="chat"))

    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "one two three"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_recorded_stream_replays_as_a_whole_reply(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    async def main() -> None:
        async with ModelServer() as server, Models(mode="record", recording=path) as models:
            connection = OpenAIConnection(_KEY, base_url=f"{server.url}/v1")
            async for _ in models.stream(connection, _body("one two three"), api="chat"):
                pass

    asyncio.run(main())
    reply = Models(mode="replay", recording=path).call_sync(_OFFLINE, _body("one two three"), api="chat")

    assert _text(reply) == "one two three"
    assert reply.usage.total == 6


def test_simulated_connections_need_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("", encoding="utf-8")

    reply = Models(mode="replay", recording=path).call_sync(SimulatedConnection(), _body("x"), api="chat")

    assert reply.source == "simulated"
    assert path.read_text(encoding="utf-8") == ""


def test_a_missing_recording_and_a_broken_line_are_told_before_any_call(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        Models(mode="replay", recording=tmp_path / "none.jsonl")
    with pytest.raises(SettingsError, match="recording is needed"):
        Models(mode="record")
    (tmp_path / "r.jsonl").write_text('{"request": {"api": "chat"}, "reply": {}}\n{"a": 1}\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"r\.jsonl:2"):
        Models(mode="replay", recording=tmp_path / "r.jsonl")


def test_a_line_that_is_being_written_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body("a")])
    with path.open("ab") as file:
        file.write(b'{"schema_version": 1, "request": {"api": "ch')

    calls = _record(path, [_body("a"), _body("b")])

    assert calls == 1, "only what is not there yet"
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["request"]["messages"][0]["content"] == "b"


def test_replay_needs_no_sdk(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body("a")])
    program = f"""
import sys
from pathlib import Path
from genaiops.connections import Models, AzureOpenAIConnection
models = Models(mode="replay", recording=Path({str(path)!r}))
body = {{"model": "gpt-4o", "messages": [{{"role": "user", "content": "a"}}]}}
assert models.call_sync(AzureOpenAIConnection(api_base=""), body, api="chat").source == "recorded"
models.close()
assert not {{"openai", "aiohttp", "httpx2"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_many_processes_record_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    program = f"""
import sys
from pathlib import Path
from genaiops.connections import OpenAIConnection
from genaiops.connections._recording import Recording
recording = Recording(Path({str(path)!r}), redact=lambda v: v, today=lambda: "2026-11-22")
for i in range(200):
    asked = {{"api": "chat", "n": f"{{sys.argv[1]}}{{i}}", "pad": "x" * 5000}}
    recording.add(asked, {{"choices": []}}, OpenAIConnection("k"))
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "abc"]

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    # A writer that began while another was in the middle of a line has left an empty one, which means nothing.
    assert len(Recording(path, redact=lambda value: value, today=lambda: "")) == 600


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-10, 10) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.dictionaries(st.text(min_size=1), _json, max_size=5))
def test_the_identity_of_a_request_survives_the_file(body: dict[str, Any]) -> None:
    body.pop("api", None)
    asked = canonical_request("chat", body)

    read = json.loads(json.dumps(asked, ensure_ascii=False))

    assert request_key(canonical_request(read.pop("api"), read)) == request_key(asked)
    turned = dict(reversed(list(body.items())))
    assert request_key(canonical_request("chat", {**turned, "stream": True})) == request_key(asked)


def test_a_blank_azure_connection_is_enough_to_replay(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _record(path, [_body("a")])

    reply = Models(mode="replay", recording=path).call_sync(AzureOpenAIConnection(api_base=""), _body("a"), api="chat")

    assert _text(reply) == "a"
