"""A server under load for a long time: at four fifths of what it can do, memory stays flat and no request fails.

    python benchmarks/endurance.py [--minutes 10] [--flow python|model]

The exit code is 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from _measure import (
    ONE_MODEL_NODE,
    THREE_NODES,
    descendants,
    model_environ,
    model_server,
    table,
    verdict,
    workshop,
    write_flow,
)
from serving import BODY, Load, drive, serve_command, server

CLIENTS = {"python": 16, "model": 64}
BODIES = {"python": BODY, "model": b'{"text": "hello"}'}
# Pools and arenas fill up in the beginning; what still grows in the second half grows for ever.
MOST_GROWTH_MB = 2.0


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children."""
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in descendants(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def endure(name: str, pid: int, port: int, minutes: float) -> tuple[list[float], int, int]:
    """Memory every few seconds, requests and failures at four fifths of what the server can do."""
    clients, body = CLIENTS[name], BODIES[name]
    drive(port, body, clients=clients, seconds=5)
    busy: Load = drive(port, body, clients=clients, seconds=5)
    # Clients without a pause get all it can do; with one of a quarter of an answer's time they ask for four fifths.
    pause_s = 0.25 * busy.seconds * clients / len(busy.latencies)
    memory, failed, asked = [], 0, 0
    end = time.perf_counter() + 60 * minutes
    while time.perf_counter() < end:
        load = drive(port, body, clients=clients, seconds=min(5, 6 * minutes), pause_s=pause_s)
        failed, asked = failed + load.failed, asked + len(load.latencies)
        memory.append(memory_mb(pid))
    return memory, failed, asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of load, for each flow")
    parser.add_argument("--flow", choices=["python", "model"], action="append", help="only this one")
    arguments = parser.parse_args()
    rows, verdicts = [], []
    with workshop() as folder, model_server("--latency-ms", "200") as url:
        for number, name in enumerate(arguments.flow or ["python", "model"]):
            flow = write_flow(folder, {"python": THREE_NODES, "model": ONE_MODEL_NODE}[name], name)
            port, log = 18711 + number, folder / f"log-{name}"
            command = [*serve_command(flow, port), "--no-cache", "--log", str(log), "--log-sample", "0.1"]
            with server(command, port, **model_environ(url)) as (pid, _):
                memory, failed, asked = endure(name, pid, port, arguments.minutes)
            middle = memory[len(memory) // 2]
            sizes = [f"{memory[len(memory) // 10]:.1f} MB", f"{middle:.1f} MB", f"{memory[-1]:.1f} MB"]
            rows.append([name, f"{arguments.minutes:g}", f"{asked:,}", failed, *sizes])
            verdicts += [(f"{name}: growth of memory over the second half", memory[-1] - middle, MOST_GROWTH_MB, "MB")]
            verdicts += [(f"{name}: failed requests", failed, 0, "requests")]
    headers = ["flow", "minutes", "requests", "failed", "memory after a tenth", "half way", "at the end"]
    table("Four fifths of what it can do", headers, rows)
    for found in verdicts:
        verdict(*found)
    return int(any(value > limit for _, value, limit, _ in verdicts))


if __name__ == "__main__":
    sys.exit(main())
