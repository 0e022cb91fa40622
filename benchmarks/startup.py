"""How much CPU passes before the first row starts (with a model: until its reply is there), and what `--help` costs.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
from pathlib import Path

from _measure import (
    GENAIOPS,
    ONE_MODEL_NODE,
    PYTHON,
    measure,
    model_environ,
    model_server,
    table,
    verdict,
    workshop,
    write_flow,
    write_rows,
)

# The first row notes the CPU that its own process and the command's have used by then.
TOOL = """\
from promptflow.core import tool

@tool
def note(text: str) -> str:
    import os, time
    fields = open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()
    command = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    with open(os.environ["NOTES"], "w") as notes:
        notes.write(f"{time.process_time()} {command}")
    return text
"""
NODE = '- {name: note, type: python, source: {type: code, path: note.py}, inputs: {text: "${inputs.text}"}}\n'
PYTHON_FLOW = {
    "flow.dag.yaml": 'inputs:\n  text: {type: string}\noutputs:\n  out: {type: string, reference: "${note.output}"}\n'
    f"nodes:\n{NODE}",
    "note.py": TOOL,
}
# Here it waits for the reply, so that everything a model call loads is counted.
AFTER = NODE.replace("${inputs.text}", "${ask.output}")
MODEL_FLOW = {**ONE_MODEL_NODE, "flow.dag.yaml": ONE_MODEL_NODE["flow.dag.yaml"] + AFTER, "note.py": TOOL}
TRIES = 5


def first_row(flow: Path, data: Path, environ: dict[str, str], notes: Path) -> tuple[float, float, float]:
    """CPU seconds until the first row starts: of the host, of the command, together; the median of some tries."""
    found = []
    for _ in range(TRIES):
        measure(
            [*GENAIOPS, "flow", "run", str(flow), "--data", str(data), "--no-cache", "--json"],
            environ={**environ, "NOTES": str(notes)},
        )
        host, command = map(float, notes.read_text().split())
        found.append((host + command, host, command))
    total, host, command = sorted(found)[TRIES // 2]
    return host, command, total


def main() -> None:
    with workshop() as folder, model_server() as url:
        data = write_rows(folder / "rows.jsonl", 1)
        notes = folder / "notes"
        plain = first_row(write_flow(folder, PYTHON_FLOW, "plain"), data, {}, notes)
        model = first_row(write_flow(folder, MODEL_FLOW, "model"), data, model_environ(url), notes)
        usage = statistics.median(measure([*GENAIOPS, "--help"]).cpu_s for _ in range(TRIES))
        bare = statistics.median(measure([PYTHON, "-c", "pass"]).cpu_s for _ in range(TRIES))
        loop = statistics.median(measure([PYTHON, "-c", "import asyncio"]).cpu_s for _ in range(TRIES))
    rows = [
        ("python -c pass", "", "", bare),
        ("python -c 'import asyncio'", "", "", loop),
        ("genaiops --help", "", "", usage),
        ("first row of a Python flow", *plain),
        ("first reply of a model flow", *model),
    ]
    table("Start, CPU seconds", ["", "host", "command", "together"], rows)
    verdict("--help", usage, 0.2, "s")
    verdict("first row of a Python flow", plain[2], 0.7, "s")
    verdict("first reply of a model flow", model[2], 1.6, "s")


if __name__ == "__main__":
    main()
