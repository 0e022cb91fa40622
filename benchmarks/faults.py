"""Model servers that refuse, break off, hang and limit: no failed row, and hardly a request too many.

python benchmarks/faults.py [--rows 500]
"""

from __future__ import annotations

import argparse

from _measure import (
    GENAIOPS,
    ONE_MODEL_NODE,
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

CASES = {
    "nothing": (),
    "20 requests a second": ("--rate-per-s", "20"),
    "20 % 429, Retry-After 1": ("--share-429", "0.2"),
    "20 % 429, 5 % 500, 5 % cut off, 1 % dropped, 1 % hanging": (
        *("--share-429", "0.2", "--share-500", "0.05", "--share-cut", "0.05"),
        *("--share-drop", "0.01", "--share-hang", "0.01"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    count = parser.parse_args().rows
    lines, failed, limited = [], 0, 0.0
    with workshop() as folder:
        flow, data = write_flow(folder, ONE_MODEL_NODE), write_rows(folder / "rows.jsonl", count)
        command = [*GENAIOPS, "flow", "run", str(flow), "--data", str(data), "--no-cache", "--json"]
        for name, options in CASES.items():
            with model_server("--latency-ms", "50", *options) as url:
                ours = measure(command, environ=model_environ(url), check=False)
                seen = server_stats(url)
            rows = ours.record["rows"]
            share = seen["requests"] / max(1, seen["succeeded"])
            failed += rows["failed"]
            limited = share if options[:1] == ("--rate-per-s",) else limited
            lines.append((name, ours.wall_s, rows["completed"], rows["failed"], seen["requests"], share))
    head = ["the server", "wall s", "completed", "failed", "requests", "requests per success"]
    table(f"{count} rows of 50 ms", head, lines)
    verdict("failed rows", failed, 0, "")
    verdict("requests per success at a limit of 20 a second", limited, 1.10, "")


if __name__ == "__main__":
    main()
