"""Experiments: cells side by side against the model calls alone, an unchanged one again, a variant of the last node.

    python benchmarks/experiment.py [--rows 250] [--latency-ms 1000] [--concurrency 32]

1. Two variants, two datasets, two evaluators (one of them a judge that calls the model for each row). The yardstick is
   the plainest asyncio loop that makes as many calls with as many in flight: four runs of `--concurrency` rows each.
2. The same again with nothing changed, five times without reports and five times with them: no call, and at most a
   second and a millisecond a row (the median). Nothing waits there, so that a busy machine shows at once.
3. Four model nodes in a row, then a second variant of the last: a quarter of the calls.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from _measure import (
    GENAIOPS,
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
import asyncio, sys, aiohttp

async def main(url, calls, width):
    gate = asyncio.Semaphore(width)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def one(number):
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Row number {number}"}]}
            async with gate, session.post(url + "/v1/chat/completions", json=body) as reply:
                return (await reply.json())["choices"][0]["message"]["content"]
        await asyncio.gather(*(one(number) for number in range(calls)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
NODE = """\
- name: {name}
  type: llm
  api: chat
  connection: bench
  source: {{type: code, path: ask.jinja2}}
  inputs: {{text: "{text}", tag: {name}, model: gpt-4o, temperature: 0, max_tokens: 50}}
"""
VARIANT = """\
      v{number}:
        node:
          type: llm
          api: chat
          connection: bench
          source: {{type: code, path: ask.jinja2}}
          inputs: {{text: "{text}", tag: v{number}, model: gpt-4o, temperature: 0, max_tokens: 50}}
"""
ASK = "system:\nAnswer shortly.\n\nuser:\n{{tag}}: {{text}}\n"
GRADE = {
    "flow.dag.yaml": """\
inputs:
  text: {type: string}
  answer: {type: string}
outputs:
  longer: {type: int, reference: "${grade.output}"}
nodes:
- {name: grade, type: python, source: {type: code, path: grade.py},
   inputs: {text: "${inputs.text}", answer: "${inputs.answer}"}}
- {name: sum_up, type: python, aggregation: true, source: {type: code, path: sum_up.py},
   inputs: {grades: "${grade.output}"}}
""",
    "grade.py": "from promptflow.core import tool\n\n@tool\ndef grade(text: str, answer: str) -> int:\n"
    "    return int(len(answer) > len(text))\n",
    "sum_up.py": "from promptflow.core import tool, log_metric\n\n@tool\ndef sum_up(grades: list):\n"
    "    log_metric('longer', sum(grades) / len(grades))\n",
}
JUDGE = {
    "flow.dag.yaml": "inputs:\n  text: {type: string}\noutputs:\n"
    '  verdict: {type: string, reference: "${judge.output}"}\nnodes:\n'
    + NODE.format(name="judge", text="${inputs.text}"),
    "ask.jinja2": ASK,
}
_AGAIN = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=250)
    parser.add_argument("--latency-ms", type=float, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    asked = parser.parse_args()
    with workshop() as folder:
        side_by_side(folder, asked.rows, asked.latency_ms, asked.concurrency)
        last_of_four(folder, min(asked.rows, 100))


def side_by_side(folder: Path, rows: int, latency_ms: float, concurrency: int) -> None:
    """Figures 1 and 2."""
    use_case = make_use_case(folder / "grid", nodes=1, datasets=2, rows=rows, evaluators=("grade", "judge"))
    command = [*GENAIOPS, "run", str(use_case), "--concurrency", str(concurrency), "--no-report", "--json"]
    lines = []
    with model_server("--latency-ms", str(latency_ms)) as url:
        first = measure(command, environ=model_environ(url))
        seen = server_stats(url)
        lines.append(line("2 variants, 2 datasets, 2 evaluators", first, seen))
        again = [measure(command, environ=model_environ(url)) for _ in range(_AGAIN)]
        drawing = [word for word in command if word != "--no-report"] + ["--report-dir", str(folder / "reports")]
        drawn = [measure(drawing, environ=model_environ(url)) for _ in range(_AGAIN)]
        after = server_stats(url)
        more_calls = after["requests"] - seen["requests"]
        lines += [again_line("the same again", again, more_calls), again_line("with reports", drawn, more_calls)]
    with model_server("--latency-ms", str(latency_ms)) as url:
        loop = measure([PYTHON, "-c", LOOP, url, str(seen["requests"]), str(4 * concurrency)])
        alone = server_stats(url)
        lines.append(line(f"plain loop, {4 * concurrency} at once", loop, alone))
    table(f"{rows} rows a dataset, {latency_ms:g} ms a call", ["", "wall s", "cpu s", "calls", "in flight", "s"], lines)
    expected = 4 * rows * 2  # an answer and a judgement for each row of each run
    verdict("calls", seen["requests"], expected, "")
    verdict("wall, of the model calls alone", first.wall_s / alone["seconds"], 1.15, "times")
    verdict("first call to last answer, of the model calls alone", seen["seconds"] / alone["seconds"], 1.15, "times")
    verdict("calls of the same again", more_calls, 0, "")
    bound_s = round(1 + 0.001 * 4 * rows, 3)
    verdict("wall of the same again", median(used.wall_s for used in again), bound_s, "s")
    verdict("wall of the same again with reports", median(used.wall_s for used in drawn), bound_s, "s")


def last_of_four(folder: Path, rows: int) -> None:
    """Figure 3."""
    use_case = make_use_case(folder / "chain", nodes=4, datasets=1, rows=rows, evaluators=())
    command = [*GENAIOPS, "run", str(use_case), "--no-report", "--json"]
    with model_server("--latency-ms", "5") as url:
        first = measure([*command, "--variants", "defaults"], environ=model_environ(url))
        before = server_stats(url)["requests"]
        second = measure([*command, "--variants", "last.v1"], environ=model_environ(url))
        more = server_stats(url)["requests"] - before
    table(
        f"four model nodes, {rows} rows",
        ["", "wall s", "calls"],
        [("defaults", first.wall_s, before), ("second variant of the last node", second.wall_s, more)],
    )
    verdict("calls of the second variant, of the first", more / before, 0.25, "times")


def make_use_case(folder: Path, *, nodes: int, datasets: int, rows: int, evaluators: tuple[str, ...]) -> Path:
    """A chain of model nodes, the last with two variants, over datasets of different rows."""
    names = [f"n{number}" for number in range(nodes - 1)]
    texts = ["${inputs.text}", *(f"${{{name}.output}}" for name in names)]
    flow = 'inputs:\n  text: {type: string}\noutputs:\n  answer: {type: string, reference: "${last.output}"}\nnodes:\n'
    flow += "".join(NODE.format(name=name, text=text) for name, text in zip(names, texts, strict=False))
    flow += "- {name: last, use_variants: true}\nnode_variants:\n  last:\n    default_variant_id: v0\n    variants:\n"
    flow += "".join(VARIANT.format(number=number, text=texts[-1]) for number in range(2))
    write_flow(folder, {"flow.dag.yaml": flow, "ask.jinja2": ASK}, "flows/chain")
    write_flow(folder, GRADE, "flows/grade")
    write_flow(folder, JUDGE, "flows/judge")
    experiment = "name: bench\nflow: flows/chain\ndatasets:\n"
    for number in range(datasets):
        source = write_rows(folder / f"rows{number}.jsonl", rows)
        source.write_text(source.read_text(encoding="utf-8").replace("Row", f"Row {number}"), encoding="utf-8")
        experiment += f"- {{name: d{number}, source: rows{number}.jsonl, mappings: {{text: '${{data.text}}'}}}}\n"
    if evaluators:
        experiment += "evaluators:\n"
    for name in evaluators:
        # The judge is asked about the answer of each variant; answers of the stand-in repeat the question.
        answer = ", answer: '${run.outputs.answer}'" if name == "grade" else ""
        text = "${data.text}" if name == "grade" else "${run.outputs.answer}"
        experiment += f"- {{name: {name}, flow: flows/{name}, mappings: {{text: '{text}'{answer}}}}}\n"
    (folder / "experiment.yaml").write_text(experiment, encoding="utf-8")
    return folder


def again_line(name: str, runs: list[Usage], calls: float) -> tuple[object, ...]:
    """A line of the table for the same thing several times."""
    walls = sorted(used.wall_s for used in runs)
    spread = f"{walls[0]:.2f} to {walls[-1]:.2f}"
    return name, spread, median(used.cpu_s for used in runs), calls, "", ""


def line(name: str, used: Usage, seen: dict[str, float]) -> tuple[object, ...]:
    """A line of the table."""
    return name, used.wall_s, used.cpu_s, seen["requests"], seen["max_in_flight"], seen["seconds"]


if __name__ == "__main__":
    main()
