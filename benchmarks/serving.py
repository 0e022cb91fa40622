"""What serving costs: requests per CPU second of the server, latency of a model flow under load, start.

The yardstick of a Python flow is a bare Starlette handler that returns the same JSON, served by uvicorn with uvloop and
httptools, measured in the same run by the same client: rounds alternate, so that a busy machine troubles both alike.

    python benchmarks/serving.py [--seconds 5] [--rounds 3] [--promptflow PYTHON]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from _measure import (
    GENAIOPS,
    ONE_MODEL_NODE,
    PYTHON,
    THREE_NODES,
    cpu_of,
    descendants,
    model_environ,
    model_server,
    table,
    verdict,
    workshop,
    write_flow,
)  # fmt: skip

BODY = b'{"text": "  The quick brown Fox jumps over the lazy dog  ", "n": 3}'
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def score(request):
    data = await request.json()
    return JSONResponse({"out": " ".join(data["text"].strip().lower().split()[:data["n"]])})

app = Starlette(routes=[Route("/score", score, methods=["POST"])])
quiet = {"log_level": "error", "access_log": False}
config = uvicorn.Config(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", **quiet)
uvicorn.Server(config).run()
"""


@dataclass
class Load:
    """What a client saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _client(port: int, body: bytes, until: float, load: Load, pause_s: float) -> None:
    """Keep-alive requests over one raw connection: the client must cost less than the server."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        started = time.perf_counter()
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        load.latencies.append(time.perf_counter() - started)
        load.failed += not answer.startswith(b"HTTP/1.1 200")
        if pause_s:
            await asyncio.sleep(pause_s)
    writer.close()


def drive(port: int, body: bytes, *, clients: int, seconds: float, pause_s: float = 0.0) -> Load:
    """Ask from several connections for a while."""
    load = Load()

    async def main() -> None:
        started = time.perf_counter()
        until = started + seconds
        await asyncio.gather(*(_client(port, body, until, load, pause_s) for _ in range(clients)))
        load.seconds = time.perf_counter() - started

    asyncio.run(main())
    return load


def cpu_s(pid: int) -> float:
    """User and system time of a process and its children, in seconds."""
    return sum(map(cpu_of, descendants(pid)))


@contextlib.contextmanager
def server(command: Sequence[str], port: int, **variables: str) -> Iterator[tuple[int, float]]:
    """A server; gives its process id and the seconds until it took a connection."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    try:
        while True:
            with (
                contextlib.suppress(OSError),
                contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=5)) as probe,
            ):
                probe.request("GET", "/health")
                probe.getresponse().read()
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.02)
        yield process.pid, time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()


def rate(pid: int, port: int, *, seconds: float) -> tuple[float, Load]:
    """Requests per CPU second of the server."""
    before = cpu_s(pid)
    load = drive(port, BODY, clients=16, seconds=seconds)
    return len(load.latencies) / (cpu_s(pid) - before), load


def serve_command(flow: Path, port: int) -> list[str]:
    return [*GENAIOPS, "serve", str(flow), "--port", str(port), "--drain-delay", "0"]


def python_flow(folder: Path, arguments: argparse.Namespace) -> None:
    flow = write_flow(folder, THREE_NODES, "python")
    commands = {"genaiops": (serve_command(flow, 18701), 18701), "starlette": ([PYTHON, "-c", BARE, "18702"], 18702)}
    if arguments.promptflow:
        pf = [str(Path(arguments.promptflow).parent / "pf"), "flow", "serve", "--source", str(flow), "--port", "18703"]
        commands["prompt flow"] = ([*pf, "--engine", "fastapi", "--skip-open-browser"], 18703)
    rates: dict[str, list[float]] = {name: [] for name in commands}
    starts: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        pids = {}
        for name, (command, port) in commands.items():
            pids[name], starts[name] = stack.enter_context(
                server(command, port, PF_DISABLE_TRACING="true", PF_HOME_DIRECTORY=str(folder / "pf"))
            )
            drive(port, BODY, clients=4, seconds=1)
        for _ in range(arguments.rounds):
            for name, (_, port) in commands.items():
                found, load = rate(pids[name], port, seconds=arguments.seconds)
                rates[name].append(found)
                assert not load.failed, f"{name}: {load.failed} requests failed"
    middle = {name: statistics.median(found) for name, found in rates.items()}
    rows = [[name, f"{middle[name]:,.0f}", f"{starts[name]:.2f} s"] for name in commands]
    table("A Python flow of three nodes", ["server", "requests per CPU second", "start to ready"], rows)
    verdict("CPU per request against bare Starlette", middle["starlette"] / middle["genaiops"], 2.0, "x")
    if "prompt flow" in middle:
        verdict("CPU per request against prompt flow", middle["prompt flow"] / middle["genaiops"], 0.2, "x")
    verdict("start to ready", starts["genaiops"], 2.0, "s")


def model_flow(folder: Path, arguments: argparse.Namespace) -> None:
    """128 clients that ask again at once want more of a processor than there is: the bounds hold for a worker a core.

    The model server and the clients take their share of the same cores.
    """
    flow = write_flow(folder, ONE_MODEL_NODE, "model")
    rows = []
    with model_server("--latency-ms", "200") as url:
        for workers in sorted({1, os.cpu_count() or 1}):
            command = [*serve_command(flow, 18704), "--no-cache", "--workers", str(workers)]
            with server(command, 18704, **model_environ(url)) as (pid, start_s):
                drive(18704, b'{"text": "warm"}', clients=128, seconds=8)
                before = cpu_s(pid)
                load = drive(18704, b'{"text": "hello"}', clients=128, seconds=arguments.seconds * 2)
                cpu_ms = (cpu_s(pid) - before) / len(load.latencies) * 1000
            p50, p99 = load.percentile(0.5), load.percentile(0.99)
            times = [f"{p50 * 1000:.0f} ms", f"{p99 * 1000:.0f} ms", f"{cpu_ms:.2f} ms", f"{start_s:.2f} s"]
            rows.append([workers, len(load.latencies), load.failed, *times])
    headers = ["workers", "requests", "failed", "p50", "p99", "CPU a request", "start to ready"]
    table("A flow with a model call of 200 ms, 128 clients", headers, rows)
    verdict("p50 of the model's latency", p50 / 0.2, 1.1, "x")
    verdict("p99 of the model's latency", p99 / 0.2, 1.5, "x")
    verdict("failed requests", load.failed, 0, "requests")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--promptflow", help="the Python of an environment with prompt flow, to compare")
    arguments = parser.parse_args()
    with workshop() as folder:
        python_flow(Path(folder), arguments)
        model_flow(Path(folder), arguments)


if __name__ == "__main__":
    main()
