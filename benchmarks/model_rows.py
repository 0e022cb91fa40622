"""1,000 rows with one model call of 200 ms each: wall, CPU a row, memory, calls in flight, rows a second.

The yardsticks are the plainest asyncio loops with 128 and with 64 calls in flight. Rows a second are counted from the
first request to the last answer and compared with concurrency / latency, which nobody can exceed: once with the
defaults, where the limiter finds for itself how many may be in flight, once with that concurrency asked for.

    python benchmarks/model_rows.py [--rows 1000] [--latency-ms 200] [--concurrency 64]
"""

from __future__ import annotations

import argparse

from _measure import (
    GENAIOPS,
    ONE_MODEL_NODE,
    PYTHON,
    Usage,
    at_least,
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
        wide = str(asked.concurrency)
        commands = {
            "plain loop, 128 at once": lambda url: [PYTHON, "-c", LOOP, url, str(data), "128"],
            f"plain loop, {wide} at once": lambda url: [PYTHON, "-c", LOOP, url, str(data), wide],
            "genaiops, one row, prices looked up": lambda url: [*base, "--data", str(one)],
            "genaiops, one row": lambda url: [*base, "--data", str(one)],
            "genaiops, defaults": lambda url: [*base, "--data", str(data)],
            f"genaiops, {wide} at once": lambda url: [*base, "--data", str(data), "--concurrency", wide],
        }
        lines, used, rates = [], [], []
        for name, command in commands.items():
            with model_server("--latency-ms", str(asked.latency_ms)) as url:
                used.append(measure(command(url), environ=model_environ(url)))
                seen = server_stats(url)
            rates.append(seen["requests"] / max(seen["seconds"], 0.001))
            lines.append((name, *figures(used[-1], seen["requests"]), rates[-1], seen["max_in_flight"]))
    start, ours = used[-3:-1]
    head = ["", "wall s", "cpu s", "cpu ms/row", "RSS MB", "processes", "rows/s", "in flight"]
    table(f"{asked.rows} model rows of {asked.latency_ms:g} ms", head, lines)
    ideal = asked.concurrency / (asked.latency_ms / 1000)
    print(f"concurrency / latency: {ideal:g} rows/s; the plainest loop makes {rates[1] / ideal:.2f} of it")
    verdict("wall", ours.wall_s, 6.0, "s")
    verdict("memory of all processes", ours.rss_mb, 250, "MB")
    verdict("CPU a row, without start", 1000 * (ours.cpu_s - start.cpu_s) / asked.rows, 4.0, "ms")
    at_least("rows/s of concurrency / latency, nobody told it how many", rates[-2] / ideal, 0.9)
    at_least(f"rows/s of concurrency / latency, {wide} asked for", rates[-1] / ideal, 0.9)


def figures(usage: Usage, rows: int) -> tuple[float, float, float, float, int]:
    """Wall, CPU, CPU a row, memory, processes."""
    return usage.wall_s, usage.cpu_s, 1000 * usage.cpu_s / rows, usage.rss_mb, usage.processes


if __name__ == "__main__":
    main()
