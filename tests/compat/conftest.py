"""A model server in a thread, for tests whose calls are synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from genaiops.testing._model_server import ModelServer, ModelServerOptions


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """An OpenAI-compatible server on loopback that says `Paris`."""
    server = ModelServer(ModelServerOptions(reply="Paris"))
    ready, loop = threading.Event(), asyncio.new_event_loop()

    def serve() -> None:
        loop.run_until_complete(server.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait(5)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
