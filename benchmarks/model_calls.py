"""The model gateway alone, against the loopback server: CPU a call, limits that find themselves, faults.

`free` is told nothing about how many calls may be in flight, `64 wanted` never has more than 64. The yardstick of each
case without faults is the plainest aiohttp loop with as many calls in flight.

    python benchmarks/model_calls.py [--case cpu --case free …]
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from _measure import at_least, model_server, server_stats, table, verdict

from genaiops.connections import ModelCallError, Models, OpenAIConnection

_KEY = "not-a-secret-at-all"


@dataclass(frozen=True)
class Case:
    """What is asked of the server and of us."""

    options: tuple[str, ...]
    calls: int
    at_once: int = 0
    floor: bool = False
    bounds: dict[str, float] = field(default_factory=dict)


CASES = {
    "cpu": Case(("--latency-ms", "0"), 3000, at_once=64, floor=True, bounds={"cpu_ms": 2.0}),
    "free": Case(("--latency-ms", "200"), 1000, bounds={"share": 0.9}),
    "64 wanted": Case(("--latency-ms", "200"), 1000, at_once=64, floor=True, bounds={"share": 0.9}),
    "20 a second": Case(("--latency-ms", "50", "--rate-per-s", "20"), 400, bounds={"requests": 1.10, "failed": 0}),
    "faults": Case(
        (
            *("--latency-ms", "100", "--share-429", "0.2", "--share-500", "0.05", "--share-cut", "0.05"),
            *("--share-drop", "0.01", "--share-hang", "0.01"),
        ),
        1000,
        bounds={"failed": 0},
    ),
}

UNITS = {
    "cpu_ms": "ms CPU a call",
    "requests": "requests per success",
    "failed": "failed calls",
    "share": "of 64 calls / 0.2 s",
}


def body(number: int) -> dict[str, Any]:
    """A request of about 800 characters."""
    messages = [
        {"role": "system", "content": "You are helpful and answer in few words. " * 12},
        {"role": "user", "content": f"Question {number}: what is the capital of France? " * 5},
    ]
    return {"model": "gpt-4o", "messages": messages, "temperature": 0.0, "top_p": 1.0}


async def ours(url: str, case: Case) -> dict[str, float]:
    """Our gateway; the transport's import is not part of it."""
    connection = OpenAIConnection(_KEY, base_url=f"{url}/v1")
    async with Models() as models:
        await models.call(connection, body(-1), api="chat")
        gate = asyncio.Semaphore(case.at_once or case.calls)

        async def one(number: int) -> bool:
            async with gate:
                try:
                    await models.call(connection, body(number), api="chat")
                except ModelCallError:
                    return False
                return True

        started, cpu = time.perf_counter(), time.process_time()
        tasks = [asyncio.create_task(one(number)) for number in range(case.calls)]
        await asyncio.sleep(0)
        threads = threading.active_count()
        good = await asyncio.gather(*tasks)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"wall": wall, "cpu_ms": cpu / case.calls * 1000, "failed": good.count(False), "threads": threads}


async def plain(url: str, case: Case) -> float:
    """The plainest loop; gives its seconds."""
    import aiohttp

    gate = asyncio.Semaphore(case.at_once)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(number: int) -> None:
            async with gate, session.post(f"{url}/v1/chat/completions", json=body(number)) as reply:
                await reply.json()

        started = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(case.calls)))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=list(CASES))
    rows = []
    verdicts: list[tuple[str, str, float, float]] = []
    for name in parser.parse_args().case or CASES:
        case = CASES[name]
        with model_server(*case.options) as url:
            found = asyncio.run(ours(url, case))
            seen = server_stats(url)
        floor = 0.0
        if case.floor:
            with model_server(*case.options) as url:
                floor = asyncio.run(plain(url, case))
        requests = seen["requests"] / max(1, seen["succeeded"])
        rows.append(
            (
                name,
                case.calls,
                found["wall"],
                floor or "-",
                case.calls / found["wall"],
                found["cpu_ms"],
                requests,
                int(found["failed"]),
                seen["max_in_flight"],
                int(found["threads"]),
            )
        )
        found |= {"requests": requests, "share": case.calls / found["wall"] / (64 / 0.2)}
        verdicts += [(name, key, found[key], bound) for key, bound in case.bounds.items()]
    headers = (
        "case",
        "calls",
        "wall s",
        "plain loop s",
        "calls/s",
        "CPU ms",
        "req/success",
        "failed",
        "in flight",
        "threads",
    )
    table("Model calls", headers, rows)
    for name, key, value, bound in verdicts:
        judge = at_least if key == "share" else verdict
        judge(name, value, bound, UNITS[key])


if __name__ == "__main__":
    main()
