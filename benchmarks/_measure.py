"""What the benchmarks share: flows and data, processes and what they use, tables."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PYTHON = sys.executable
GENAIOPS = [PYTHON, "-c", "import sys; from genaiops.cli import main; sys.exit(main())"]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")

THREE_NODES = {
    "flow.dag.yaml": """\
inputs:
  text: {type: string}
  n: {type: int, default: 3}
outputs:
  out: {type: string, reference: "${join.output}"}
nodes:
- {name: clean, type: python, source: {type: code, path: clean.py}, inputs: {text: "${inputs.text}"}}
- {name: split, type: python, source: {type: code, path: split.py},
   inputs: {text: "${clean.output}", n: "${inputs.n}"}}
- {name: join, type: python, source: {type: code, path: join.py}, inputs: {words: "${split.output}"}}
""",
    "clean.py": "from promptflow.core import tool\n\n@tool\ndef clean(text: str) -> str:\n"
    "    return text.strip().lower()\n",
    "split.py": "from promptflow.core import tool\n\n@tool\ndef split(text: str, n: int) -> list:\n"
    "    return text.split()[:n]\n",
    "join.py": "from promptflow.core import tool\n\n@tool\ndef join(words: list) -> str:\n    return ' '.join(words)\n",
}

ONE_MODEL_NODE = {
    "flow.dag.yaml": """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  api: chat
  connection: bench
  source: {type: code, path: ask.jinja2}
  inputs: {text: "${inputs.text}", model: gpt-4o, temperature: 0, max_tokens: 50}
""",
    "ask.jinja2": "system:\nAnswer shortly.\n\nuser:\n{{text}}\n",
}


@dataclass(frozen=True)
class Usage:
    """What a command used.

    Args:
        wall_s: From start to exit.
        cpu_s: Of the command and all its children.
        rss_mb: The most that all its processes held at one moment, sampled; megabytes.
        processes: The most processes at one moment.
        output: Standard output.
        code: Exit code.
    """

    wall_s: float
    cpu_s: float
    rss_mb: float
    processes: int
    output: str
    code: int

    @property
    def record(self) -> dict[str, Any]:
        """What `--json` printed."""
        return json.loads(self.output)


def measure(command: Sequence[str], *, environ: dict[str, str] | None = None, check: bool = True) -> Usage:
    """Run a command to its end and measure it with all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environ or {})}
    )
    sampler = _Sampler(process.pid)
    output, errors = process.communicate()
    wall_s = time.perf_counter() - started
    sampler.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if check and process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors.decode()[-2000:]}")
    return Usage(wall_s, cpu_s, sampler.rss_mb, sampler.processes, output.decode(), process.returncode)


class _Sampler(threading.Thread):
    """Adds up the memory of a process and its descendants, twenty times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._stopped = threading.Event()
        self.rss_mb = 0.0
        self.processes = 0
        if sys.platform == "linux":
            self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            pids = descendants(self._pid)
            self.rss_mb = max(self.rss_mb, sum(map(_rss_mb, pids)))
            self.processes = max(self.processes, len(pids))

    def stop(self) -> None:
        self._stopped.set()
        if self.is_alive():
            self.join()


def descendants(pid: int) -> list[int]:
    """A process and all that it has started, directly or not."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in task.read_text().split()]
    return found


def _rss_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except (OSError, IndexError):
        return 0.0


def cpu_of(pid: int) -> float:
    """Seconds of processor time that one process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """A temporary folder that is also where runs are kept."""
    with tempfile.TemporaryDirectory(prefix="genaiops-bench-") as name:
        folder = Path(name)
        before = os.environ.get("GENAIOPS_HOME")
        os.environ["GENAIOPS_HOME"] = str(folder / "state")
        try:
            yield folder
        finally:
            os.environ.pop("GENAIOPS_HOME") if before is None else os.environ.update(GENAIOPS_HOME=before)


def write_flow(folder: Path, files: dict[str, str], name: str = "flow") -> Path:
    """A flow on disk."""
    flow = folder / name
    flow.mkdir(parents=True)
    for file, text in files.items():
        (flow / file).write_text(text, encoding="utf-8")
    return flow


def write_rows(path: Path, count: int) -> Path:
    """So many rows with a text each."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"text": f"  Row number {number} of the DATA set, with some more words  "}) + "\n")
    return path


@contextlib.contextmanager
def model_server(*options: str) -> Iterator[str]:
    """The loopback model server as a process of its own; gives its address."""
    command = [PYTHON, "-m", "genaiops.testing.model_server", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


def server_stats(url: str) -> dict[str, Any]:
    """What the model server has seen."""
    from urllib.request import urlopen

    with urlopen(f"{url}/stats") as reply:
        return json.loads(reply.read())


def model_environ(url: str) -> dict[str, str]:
    """Variables that make the connection `bench` lead to the server."""
    return {"BENCH_API_KEY": "not-a-secret-at-all", "BENCH_API_BASE": f"{url}/v1", "NO_PROXY": "127.0.0.1"}


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns."""
    cells = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    print(f"\n{title}")
    for row in [list(headers), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def verdict(name: str, value: float, limit: float, unit: str) -> None:
    """Say whether a figure is within its bound."""
    _say(value <= limit, name, f"{value:.3g} {unit}".rstrip(), f"at most {limit:g}")


def at_least(name: str, value: float, least: float, unit: str = "") -> None:
    """Say whether a figure reaches its bound."""
    _say(value >= least, name, f"{value:.3g} {unit}".rstrip(), f"at least {least:g}")


def _say(is_met: bool, name: str, figure: str, bound: str) -> None:
    print(f"{'ok  ' if is_met else 'MISS'} {name}: {figure} ({bound})")
