"""1,000 rows with one model call of 200 ms each: wall, CPU a row, memory, calls in flight.

The yardstick is the plainest asyncio loop with 128 calls in flight.

    python benchmarks/model_rows.py [--rows 1000] [--latency-ms 200] [--concurrency 64]
"""

from __future__ import annotations

import argparse

from _measure import (
    GENAIOPS,
    ONE_MODEL_NODE,
    PYTHON,
    Usage,
    measure,
    model_environ,
    model_server,
    server_stats,
    table,
    verdict,
    workshop,
    write_flow,
    write_rows,
)

LOOP = """
import asyncio, json, sys, aiohttp

async def main(url, path, width):
    gate = asyncio.Semaphore(width)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def one(text):
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
            async with gate, session.post(url + "/v1/chat/completions", json=body) as reply:
                return (await reply.json())["choices"][0]["message"]["content"]
        await asyncio.gather(*(one(json.loads(line)["text"]) for line in open(path)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--concurrency", type=int, default=64)
    asked = parser.parse_args()
    flow_run = [*GENAIOPS, "flow", "run"]
    with workshop() as folder:
        flow = write_flow(folder, ONE_MODEL_NODE)
        data, one = write_rows(folder / "rows.jsonl", asked.rows), write_rows(folder / "one.jsonl", 1)
        base = [*flow_run, str(flow), "--no-cache", "--json"]
        commands = {
            "plain loop, 128 at once": lambda url: [PYTHON, "-c", LOOP, url, str(data), "128"],
            "genaiops, one row": lambda url: [*base, "--data", str(one)],
            "genaiops, defaults": lambda url: [*base, "--data", str(data)],
            f"genaiops, {asked.concurrency} at once": lambda url: [
                *base, "--data", str(data), "--concurrency", str(asked.concurrency)
            ],
        }  # fmt: skip
        lines, used = [], []
        for name, command in commands.items():
            with model_server("--latency-ms", str(asked.latency_ms)) as url:
                used.append(measure(command(url), environ=model_environ(url)))
                seen = server_stats(url)
            lines.append((name, *figures(used[-1], asked.rows), seen["max_in_flight"]))
    _, start, ours, _ = used
    head = ["", "wall s", "cpu s", "cpu ms/row", "RSS MB", "processes", "in flight"]
    table(f"{asked.rows} model rows of {asked.latency_ms:g} ms", head, lines)
    # From the first request to the last answer: what the limiter makes of the concurrency it was given.
    rate = asked.rows / seen["seconds"]
    ideal = asked.concurrency / (asked.latency_ms / 1000)
    verdict("wall", ours.wall_s, 6.0, "s")
    verdict("memory of all processes", ours.rss_mb, 250, "MB")
    verdict("CPU a row, without start", 1000 * (ours.cpu_s - start.cpu_s) / asked.rows, 4.0, "ms")
    word = "ok  " if rate >= 0.9 * ideal else "MISS"
    print(f"{word} {rate:.0f} rows/s are {rate / ideal:.2f} of concurrency / latency (bound 0.9)")


def figures(usage: Usage, rows: int) -> tuple[float, float, float, float, int]:
    """Wall, CPU, CPU a row, memory, processes."""
    return usage.wall_s, usage.cpu_s, 1000 * usage.cpu_s / rows, usage.rss_mb, usage.processes


if __name__ == "__main__":
    main()
