"""`kill -9` at random moments, then resume: the same result as undisturbed, nothing finished run again.

python benchmarks/resume.py [--tries 10] [--rows 400]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import time
from pathlib import Path

from _measure import GENAIOPS, table, verdict, workshop, write_flow, write_rows

FLOW = {
    "flow.dag.yaml": 'inputs:\n  text: {type: string}\noutputs:\n  out: {type: string, reference: "${note.output}"}\n'
    'nodes:\n- {name: note, type: python, source: {type: code, path: note.py}, inputs: {text: "${inputs.text}"}}\n'
    "- {name: count, type: python, aggregation: true, source: {type: code, path: count.py},"
    ' inputs: {outs: "${note.output}"}}\n',
    "note.py": "import os, time\nfrom promptflow.core import tool\n\n@tool\ndef note(text: str) -> str:\n"
    "    with open(os.environ['NOTES'], 'a') as notes:\n        notes.write(text.split()[2] + '\\n')\n"
    "    time.sleep(0.02)\n    return text.strip()\n",
    "count.py": "from promptflow.core import log_metric, tool\n\n@tool\ndef count(outs: list) -> int:\n"
    "    log_metric('rows', len(outs))\n    log_metric('characters', sum(map(len, outs)))\n    return len(outs)\n",
}


def outcome(path: Path) -> tuple[object, ...]:
    """What a run gave: metrics, and the outputs of each row."""
    lines = [json.loads(line) for line in (path / "outcomes.jsonl").read_text().splitlines()]
    return json.loads((path / "metrics.json").read_text()), {line["row"]: line["outputs"] for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--rows", type=int, default=400)
    asked = parser.parse_args()
    rng = random.Random(1)
    lines, wrong = [], 0
    with workshop() as folder:
        flow, data = write_flow(folder, FLOW), write_rows(folder / "rows.jsonl", asked.rows)
        notes = folder / "notes"
        environ = {**os.environ, "NOTES": str(notes)}
        base = [*GENAIOPS, "flow", "run", str(flow), "--data", str(data), "--concurrency", "8", "--json"]
        subprocess.run([*base, "--name", "whole"], env=environ, check=True, capture_output=True)
        expected = outcome(folder / "state" / "runs" / "whole")
        for number in range(asked.tries):
            notes.unlink()
            name = f"try-{number}"
            path = folder / "state" / "runs" / name
            command = subprocess.Popen(
                [*base, "--name", name], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while not notes.exists():
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.02 * asked.rows / 8))
            command.kill()
            command.wait()
            finished = {json.loads(line)["row"] for line in (path / "outcomes.jsonl").read_bytes().split(b"\n")[:-1]}
            time.sleep(0.5)
            before = len(notes.read_text().split())
            subprocess.run(
                [*GENAIOPS, "flow", "run", "--resume", name, "--json"], env=environ, check=True, capture_output=True
            )
            again = [int(word) for word in notes.read_text().split()[before:]]
            same = outcome(path) == expected
            twice = len(finished.intersection(again))
            wrong += (not same) + twice
            lines.append((number, len(finished), len(again), before - len(finished), twice, "yes" if same else "NO"))
    head = ["try", "finished", "run on resume", "lost in flight", "finished run again", "same result"]
    table("kill -9 and resume", head, lines)
    verdict("differences", wrong, 0, "")


if __name__ == "__main__":
    main()
