"""The wire of a simulated connection: the same replies, refusals and faults, without a network."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from genaiops.connections._base import Connection
from genaiops.connections._calls import chunks_of_body
from genaiops.connections._retry import WireError, status_error
from genaiops.connections._simulated import simulated_body
from genaiops.connections._wire import WireReply


class SimulatedWire:
    """Answers for simulated connections. What happens to a try depends on the seed, the request and which try it is."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()

    async def send(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> WireReply:
        """One try.

        Raises:
            WireError: It failed, as the connection asks for.
        """
        rng = self._chance(connection, api, body)
        latency_s = connection.latency_ms / 1000
        if connection.latency_sigma:
            latency_s *= rng.lognormvariate(0, connection.latency_sigma)
        fault = _draw(rng, connection)
        if fault == "429":
            raise status_error(
                429, "Simulated: too many.", name="RateLimitError", headers={"retry-after": "0.05"}, body=None
            )
        if latency_s:
            await asyncio.sleep(latency_s)
        if fault == "500":
            raise status_error(500, "Simulated: server error.", name="InternalServerError", headers={}, body=None)
        if fault == "cut":
            raise WireError("body", "Simulated: the reply is cut off.", name="APIResponseValidationError")
        if fault == "drop":
            raise WireError("connection", "Simulated: the connection was dropped.", name="APIConnectionError")
        return WireReply(simulated_body(api, body, rules=connection.rules, reply=connection.reply), {})

    async def stream(
        self, connection: Connection, api: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One try, as chunks."""
        reply = await self.send(connection, api, body, headers)
        for chunk in chunks_of_body(reply.body):
            yield chunk

    async def aclose(self) -> None:
        """Nothing to close."""

    def _chance(self, connection: Connection, api: str, body: Mapping[str, Any]) -> random.Random:
        asked = json.dumps([connection.seed, api, body], sort_keys=True, default=str)
        key = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
        self._tries[key] += 1
        return random.Random(f"{key}{self._tries[key]}")  # noqa: S311 - not for secrets


def _draw(rng: random.Random, connection: Connection) -> str:
    left = rng.random()
    for name in ("429", "500", "cut", "drop"):
        share = connection.configs[f"share_{name}"]
        if left < share:
            return name
        left -= share
    return ""
