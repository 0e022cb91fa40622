"""The model server answers whatever it is sent: a client that hangs looks like a fault of the flow."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from genaiops.testing import ModelServer, ModelServerOptions

JPEG = bytes.fromhex("ffd8ffe00010") + b"JFIF"


def status_of(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("path", "body", "status", "kept"),
    [
        ("/vision/analyze", JPEG, 404, JPEG.decode("latin-1")),
        ("/v1/chat/completions", JPEG, 400, JPEG.decode("latin-1")),
        ("/v1/chat/completions", b"[1]", 400, [1]),
        ("/v1/chat/completions", b"", 400, None),
    ],
)
def test_a_body_that_is_no_json_object_is_recorded_and_answered(
    path: str, body: bytes, status: int, kept: object
) -> None:
    async def main() -> tuple[int, object]:
        async with ModelServer(ModelServerOptions(record=True)) as server:
            answered = await asyncio.to_thread(status_of, server.url + path, body)
            return answered, server.requests[0]["body"]

    assert asyncio.run(main()) == (status, kept)
