"""CPU a row of a Python flow with three nodes, durable record and traces included, at 1,000 and at 100,000 rows.

The yardstick is a plain loop that calls the same functions and writes a line of JSON for each row.

    python benchmarks/engine.py [--rows 1000 100000]
"""

from __future__ import annotations

import argparse

from _measure import GENAIOPS, PYTHON, THREE_NODES, measure, table, verdict, workshop, write_flow, write_rows

LOOP = """
import json, sys
with open(sys.argv[1]) as rows, open(sys.argv[2], "w") as out:
    for number, line in enumerate(rows):
        text = json.loads(line)["text"]
        clean = text.strip().lower()
        words = clean.split()[:3]
        joined = " ".join(words)
        nodes = {"clean": {"output": clean}, "split": {"output": words}, "join": {"output": joined}}
        line = {"row": number, "inputs": {"text": text}, "outputs": {"out": joined}, "nodes": nodes}
        out.write(json.dumps(line) + "\\n")
        out.flush()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000])
    counts = parser.parse_args().rows
    lines = []
    with workshop() as folder:
        flow = write_flow(folder, THREE_NODES)
        one = measure([*GENAIOPS, "flow", "run", str(flow), "--data", str(write_rows(folder / "1.jsonl", 1)), "--json"])
        for count in counts:
            data = write_rows(folder / f"{count}.jsonl", count)
            loop = measure([PYTHON, "-c", LOOP, str(data), str(folder / "out.jsonl")])
            ours = measure([*GENAIOPS, "flow", "run", str(flow), "--data", str(data), "--json"])
            assert ours.record["rows"]["completed"] == count
            whole_ms = 1000 * ours.cpu_s / count
            row_ms = 1000 * (ours.cpu_s - one.cpu_s) / count
            loop_ms = 1000 * loop.cpu_s / count
            lines.append((count, ours.wall_s, ours.cpu_s, whole_ms, row_ms, loop_ms, row_ms / loop_ms, ours.rss_mb))
    head = ["rows", "wall s", "cpu s", "cpu ms/row", "without start", "plain loop", "ratio", "RSS MB"]
    table("Engine: three Python nodes, record and traces", head, lines)
    for line in lines:
        verdict(f"CPU a row at {line[0]:,} rows, start included", line[3], 1.0, "ms")
    if len(lines) > 1:
        growth = lines[-1][4] / max(lines[0][4], 0.01)
        verdict(f"CPU a row at {lines[-1][0]:,} rows against {lines[0][0]:,}, start apart", growth, 1.5, "x")


if __name__ == "__main__":
    main()
