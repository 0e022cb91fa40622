"""A secret is planted everywhere; then every byte that was written is searched for it."""

import asyncio
import base64
import json
import logging
from pathlib import Path
from urllib.parse import quote

import pytest

from genaiops.connections import ConnectionStore, ModelCallError, Models, install_log_redaction
from genaiops.kept import KeptResults
from genaiops.settings import load_settings
from genaiops.testing import ModelServer, ModelServerOptions
from genaiops.tracing import SpanRecorder, spans_to_otlp_json

_PLANTED = 'planted/+secret"value"=0123456789'
_FORMS = [
    _PLANTED,
    json.dumps(_PLANTED)[1:-1],
    quote(_PLANTED, safe=""),
    quote(_PLANTED),
    base64.b64encode(_PLANTED.encode()).decode(),
]


def _found_in(text: str) -> list[str]:
    return [form for form in _FORMS if form in text]


def _messages(text: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


async def _use_everything(folder: Path, store: ConnectionStore, server: ModelServer, logs: logging.Logger) -> None:
    redactor = store.redactor()
    connection = store.get("llm")
    recorder = SpanRecorder()
    with recorder.span("row", "flow"), KeptResults(folder / "kept") as kept:
        async with Models(mode="record", recording=folder / "r.jsonl", redactor=redactor) as models:
            reply = await models.call(connection, _messages(f"echo {_PLANTED}"), api="chat")
            await kept.put("k", redactor.json(reply.body))
            server.options = ModelServerOptions(key="another key")
            try:
                await models.call(connection, _messages("refused"), api="chat")
            except ModelCallError as error:
                (folder / "error.json").write_text(json.dumps(error.to_json()), encoding="utf-8")
                logs.exception("the call failed with %r", connection)
            (folder / "stats.json").write_text(json.dumps([models.stats.to_json(), models.limits()]), encoding="utf-8")
    line = spans_to_otlp_json(recorder.spans).encode()
    (folder / "traces.jsonl").write_bytes(redactor.bytes(line))
    described = [store.describe("llm"), store.check("llm"), repr(store), repr(connection), str(redactor)]
    (folder / "describe.json").write_text(json.dumps(described, default=str), encoding="utf-8")


def test_no_byte_that_is_written_holds_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    written = tmp_path / "written"
    written.mkdir()

    async def main() -> None:
        async with ModelServer(ModelServerOptions(key=_PLANTED)) as server:
            environ = {"LLM_API_KEY": _PLANTED, "LLM_BASE_URL": f"{server.url}/v1"}
            store = ConnectionStore.load(load_settings(cwd=tmp_path, environ=environ))
            uninstall = install_log_redaction(store.redactor())
            try:
                await _use_everything(written, store, server, logging.getLogger("flow"))
            finally:
                uninstall()

    asyncio.run(main())

    files = [path for path in written.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"r.jsonl", "error.json", "traces.jsonl", "describe.json", "results.sqlite"}
    assert {path.name: _found_in(path.read_bytes().decode("latin-1")) for path in files} == {
        path.name: [] for path in files
    }
    assert _found_in(caplog.text) == []
    assert "Incorrect API key provided" in (written / "error.json").read_text(encoding="utf-8")
