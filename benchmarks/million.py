"""One million rows of a Python flow: memory of all processes while they run.

python benchmarks/million.py [--rows 1000000]
"""

from __future__ import annotations

import argparse

from _measure import GENAIOPS, THREE_NODES, measure, table, verdict, workshop, write_flow, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    with workshop() as folder:
        flow = write_flow(folder, THREE_NODES)
        lines = []
        for rows in (count // 100, count):
            data = write_rows(folder / f"{rows}.jsonl", rows)
            ours = measure([*GENAIOPS, "flow", "run", str(flow), "--data", str(data), "--json"])
            assert ours.record["rows"]["completed"] == rows
            lines.append((rows, ours.wall_s, 1000 * ours.cpu_s / rows, ours.rss_mb, ours.processes))
    table("Rows and memory", ["rows", "wall s", "cpu ms/row", "RSS MB", "processes"], lines)
    verdict(f"memory of all processes at {count} rows", lines[-1][3], 300, "MB")


if __name__ == "__main__":
    main()
