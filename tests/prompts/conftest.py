"""A model server on loopback, in a thread of its own, and services that reach it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest

from genaiops.connections import AzureOpenAIConnection, ConnectionStore, Models, OpenAIConnection
from genaiops.prompts import PromptServices, use_services
from genaiops.testing import ModelServer, ModelServerOptions


class Stand:
    """The server, its requests, and services with the connections `aoai` and `oai` that reach it."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.azure = AzureOpenAIConnection(api_base=server.url, api_key="secret-azure", name="aoai")
        self.openai = OpenAIConnection(api_key="secret-openai", base_url=f"{server.url}/v1", name="oai")
        store = ConnectionStore.of({"aoai": self.azure, "oai": self.openai})
        self.services = PromptServices(models=Models(), connections=store, environ={})

    def answers(self, **options: Any) -> None:
        """Behave like this from now on."""
        self.server.options = replace(self.server.options, **options)

    def run_async(self, work: Callable[[PromptServices], Coroutine[Any, Any, Any]]) -> Any:
        """What a coroutine gives that works with services of its own loop."""

        async def main() -> Any:
            async with Models() as models:
                with use_services(replace(self.services, models=models)) as services:
                    return await work(services)

        return asyncio.run(main())

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What the server was sent."""
        return [request["body"] for request in self.server.requests]


@pytest.fixture
def stand() -> Iterator[Stand]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ModelServer(ModelServerOptions(record=True))
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    made = Stand(server)
    try:
        with use_services(made.services):
            yield made
    finally:
        made.services.models.close()
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
