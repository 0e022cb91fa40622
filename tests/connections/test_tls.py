"""Calls over TLS: who is trusted, and what is said when nobody is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import asyncio, ssl, sys
from aiohttp import web
from genaiops.connections import ModelCallError, Models, OpenAIConnection

async def answer(request):
    await request.read()
    message = {"role": "assistant", "content": "Paris"}
    return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "model": "m"})

async def main(folder):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://localhost:{site._server.sockets[0].getsockname()[1]}/v1"
    async with Models() as models:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        try:
            reply = await models.call(OpenAIConnection("k", base_url=url), body, api="chat")
            print(reply.body["choices"][0]["message"]["content"])
        except ModelCallError as error:
            print(error)
    await runner.cleanup()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost that nobody trusts yet, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the command openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def call(folder: Path, **variables: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    command = [sys.executable, "-c", CALL, str(folder)]
    done = subprocess.run(command, env=environ | variables, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_an_authority_named_by_the_environment_is_trusted(authority: Path) -> None:
    assert call(authority, SSL_CERT_FILE=str(authority / "certificate.pem")) == "Paris"


def test_a_certificate_that_nobody_trusts_is_given_up_and_says_what_to_do(authority: Path) -> None:
    said = call(authority)

    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert "name its authority's file in SSL_CERT_FILE" in said
