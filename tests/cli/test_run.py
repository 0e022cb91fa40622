"""`genaiops run` and what follows it, from the command line: JSON, exit codes, files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genaiops.testing import ModelServer, ModelServerOptions
from tests.experiments.test_execute import make
from tests.experiments.usecase import make_use_case, write, write_rows

CHAIN = """
inputs:
  url: {type: string}
outputs:
  category: {type: string, reference: "${last.output}"}
nodes:
- name: first
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: m, temperature: 0, text: "${inputs.url}", tag: one}
  connection: chat
  api: chat
- {name: last, use_variants: true}
node_variants:
  last:
    default_variant_id: v0
    variants:
"""
VARIANT = """      v{n}:
        node:
          type: llm
          source: {{type: code, path: ask.jinja2}}
          inputs: {{deployment_name: m, temperature: 0, text: "${{first.output}}", tag: "v{n}"}}
          connection: chat
          api: chat
"""
EXPERIMENT = """
name: web
flow: main
connections:
- {name: chat, connection_type: OpenAIConnection, api_key: "${api_key}", base_url: "http://127.0.0.1:9/v1"}
datasets:
- {name: train, source: train.jsonl, mappings: {url: "${data.url}"}}
evaluators:
- name: contains
  mappings: {prediction: "${run.outputs.category}", truth: "${data.url}"}
"""


class Served:
    """A model server in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.server = ModelServer(ModelServerOptions(**options))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served(latency_ms=50)
    yield server
    server.close()


def project(folder: Path, rows: int = 6) -> Path:
    use_case = make(folder, EXPERIMENT)
    write(use_case / "flows/main/flow.dag.yaml", CHAIN + "".join(VARIANT.format(n=n) for n in range(2)))
    write(use_case / "flows/main/ask.jinja2", "user:\n{{tag}} {{text}}\n")
    write_rows(use_case / "data/train.jsonl", [{"url": f"page {n}"} for n in range(rows)])
    return use_case


def environ(folder: Path, served: Served | None = None) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "BUILD_ID", "GITHUB_RUN_ID")}
    env |= {"GENAIOPS_HOME": str(folder / "state"), "NO_COLOR": "1"}
    if served is not None:
        url = served.server.url.rstrip("/")
        env |= {"CHAT_API_KEY": "k-secret-k", "CHAT_BASE_URL": url if url.endswith("/v1") else f"{url}/v1"}
    return env


def genaiops(folder: Path, *words: str, served: Served | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from genaiops.cli import main; sys.exit(main())", *words]
    return subprocess.run(command, cwd=folder, env=environ(folder, served), capture_output=True, text=True, timeout=110)


def form(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_published_form_is_printed_and_a_shared_prefix_is_paid_once(tmp_path: Path, served: Served) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", "--env", "dev", "--json", served=served)

    result = form(done)
    assert done.returncode == 0, done.stderr
    assert {"experiment", "env", "runs", "scores", "comparisons", "verdict", "reports", "model_calls", "kept"} <= set(
        result
    )
    assert (result["experiment"], result["env"], result["verdict"]["result"]) == ("web", "dev", "not judged")
    assert set(result["runs"][0]) >= {"id", "variant", "parameters", "dataset", "rows"}
    assert set(result["scores"][0]) >= {"evaluator", "run", "dataset", "metrics"}
    assert set(result["scores"][0]["metrics"]["contains"]) >= {"value", "low", "high", "rows", "failed"}
    assert set(result["comparisons"][0]) >= {
        "metric",
        "baseline",
        "candidate",
        "difference",
        "low",
        "high",
        "p_value",
        "verdict",
    }
    assert result["model_calls"] == 6 + 6 + 6  # the first node once, the last one twice
    assert result["kept"] == 6
    assert all(Path(path).is_file() for path in result["reports"])
    assert (tmp_path / "reports/web_result.csv").is_file()


def test_an_unchanged_experiment_calls_no_model_and_an_edit_of_the_last_node_only_that(
    tmp_path: Path, served: Served
) -> None:
    use_case = project(tmp_path)
    words = ("run", "web", "--json", "--no-report", "--variants", "defaults")
    genaiops(tmp_path, *words, served=served)

    again = form(genaiops(tmp_path, *words, served=served))
    flow = use_case / "flows/main/flow.dag.yaml"
    flow.write_text(flow.read_text().replace('tag: "v0"', 'tag: "edited"'))
    edited = form(genaiops(tmp_path, *words, served=served))

    assert (again["model_calls"], again["kept"]) == (0, 12)
    assert (edited["model_calls"], edited["kept"]) == (6, 6)


@pytest.mark.skipif(sys.platform != "linux", reason="hosts are forked on Linux only")
def test_the_hosts_of_an_experiment_are_forked(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    use_case = make_use_case(tmp_path / "web", EXPERIMENT)
    write(
        use_case / "flows/main/classify.py",
        "import os\nfrom pathlib import Path\nfrom promptflow.core import tool\n\n@tool\ndef classify(url: str):\n"
        "    return Path(f'/proc/{os.getppid()}/cmdline').read_text()\n",
    )

    result = form(genaiops(tmp_path, "run", "web", "--json", "--no-report"))

    lines = (Path(result["runs"][0]["path"]) / "outcomes.jsonl").read_text().splitlines()
    parents = {json.loads(line)["outputs"]["category"] for line in lines}
    assert [parent.split("\0")[1:4] for parent in parents] == [["-m", "genaiops.host", "nursery"]]


def test_a_dry_run_shows_the_plan_and_calls_nothing(tmp_path: Path, served: Served) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", "--dry-run", "--json", served=served)

    estimate = form(done)["plan"]["estimate"]
    assert (done.returncode, served.server.stats.requests) == (0, 0)
    assert (estimate["runs"], estimate["rows"], estimate["model_calls"], estimate["shared_calls"]) == (2, 12, 18, 6)
    assert not (tmp_path / "state/experiments").exists()


def test_counts_read_right_in_the_plan_and_in_the_result_of_one_row(tmp_path: Path, served: Served) -> None:
    project(tmp_path)

    planned = genaiops(tmp_path, "run", "web", "--dry-run", "--limit", "1", served=served)
    done = genaiops(tmp_path, "run", "web", "--no-report", "--limit", "1", served=served)

    said = planned.stderr + done.stderr + done.stdout
    assert "2 runs, 2 rows, " in planned.stderr
    assert "(1 row)" in planned.stderr
    assert not re.findall(r".*\b1 (?:runs|rows|model calls|evaluations|combinations|more rows)\b.*", said)


def test_a_recording_replays_without_key_and_network_and_says_so(tmp_path: Path, served: Served) -> None:
    project(tmp_path)
    words = ("run", "web", "--json", "--no-report", "--no-cache")
    live = form(genaiops(tmp_path, *words, "--model-calls", "record", served=served))
    requests = served.server.stats.requests

    done = genaiops(tmp_path, *words, "--model-calls", "replay")

    replayed = form(done)
    assert (done.returncode, replayed["source"], served.server.stats.requests) == (0, "recorded", requests)
    assert [s["metrics"] for s in replayed["scores"]] == [s["metrics"] for s in live["scores"]]


def test_missing_variables_are_told_before_anything_starts(tmp_path: Path) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", "--json")

    assert done.returncode == 2
    assert "CHAT_API_KEY" in done.stderr
    assert "CHAT_API_KEY" in form(done)["error"]["message"]
    assert not (tmp_path / "state/experiments").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--variants", "last.v7"), "last.v0, last.v1"),
        (("--plan", "gird"), "Did you mean 'grid'?"),
        (("--set", "last.tga=1"), "Did you mean 'tag'?"),
        (("--file", "experiment-other.yaml"), "experiment.yaml"),
    ],
)
def test_wrong_words_are_exit_code_2_with_what_is_right(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", *words)

    assert done.returncode == 2
    assert told in done.stderr


def test_a_budget_ends_with_a_valid_partial_result(tmp_path: Path, served: Served) -> None:
    project(tmp_path, rows=20)

    done = genaiops(tmp_path, "run", "web", "--json", "--no-report", "--no-cache", "--max-calls", "24", served=served)

    result = form(done)
    assert done.returncode == 0, done.stderr
    assert 12 <= result["model_calls"] <= 24 + 8  # what was under way when the limit was met
    assert "24 calls" in result["partial"]
    assert len(result["scores"]) == 2
    assert result["comparisons"][0]["pairs"] >= 4


def test_an_interrupted_experiment_is_resumed_and_pays_only_for_the_rest(tmp_path: Path) -> None:
    served = Served(latency_ms=400)
    try:
        project(tmp_path, rows=12)
        words = ["run", "web", "--json", "--no-report", "--no-cache", "--concurrency", "2", "--variants", "defaults"]
        command = [sys.executable, "-c", "import sys; from genaiops.cli import main; sys.exit(main())", *words]
        env = environ(tmp_path, served)
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while served.server.stats.succeeded < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        first = json.loads(out)

        again = form(genaiops(tmp_path, "run", "--resume", "latest", "--json", "--no-report", served=served))

        assert (process.returncode, first["status"]) == (130, "interrupted"), err
        assert again["status"] == "completed"
        assert again["runs"][0]["rows"] == {"total": 12, "completed": 12, "failed": 0, "skipped": 0}
        assert again["scores"][0]["metrics"]["contains"]["rows"] == 12
        assert served.server.stats.succeeded < 2 * 24
    finally:
        served.close()


GATE = "gate:\n  metrics:\n    contains: {min: %s, judge: mean}\n"


def test_the_plan_says_which_files_count_and_that_no_runtime_is_needed(tmp_path: Path) -> None:
    folder = make(tmp_path)
    write(folder / "experiment.prod.yaml", "runtime: compute-1\n")

    prod = genaiops(tmp_path, "run", "web", "--env", "prod", "--dry-run")
    other = genaiops(tmp_path, "run", "web", "--env", "qa", "--dry-run")

    assert "from experiment.yaml and experiment.prod.yaml\n" in prod.stderr
    assert "the runtime 'compute-1' is one of Azure's and not needed" in prod.stderr
    assert "from experiment.yaml alone; overlays are there for prod\n" in other.stderr


def test_a_baseline_that_does_not_exist_is_refused_before_anything_is_paid(tmp_path: Path, served: Served) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", "--baseline", "nosuch", "--json", "--no-report", served=served)

    assert done.returncode == 2
    assert "There is no experiment 'nosuch' to compare with." in done.stderr
    assert form(done)["runs"] == []
    assert served.server.stats.requests == 0


def test_why_rows_were_not_scored_is_said(tmp_path: Path) -> None:
    folder = make(tmp_path)
    grade = folder / "flows/grade/grade.py"
    broken = 'if groundtruth == "C":\n        raise ValueError("no such grade")\n    return'
    grade.write_text(grade.read_text().replace("return", broken), encoding="utf-8")

    done = genaiops(tmp_path, "run", "web", "--variants", "defaults", "--no-report")

    assert "not scored, because" in done.stdout
    assert "no such grade" in done.stdout


def test_the_gate_says_no_with_exit_code_3_and_can_judge_again(tmp_path: Path, served: Served) -> None:
    use_case = project(tmp_path)
    experiment = use_case / "experiment.yaml"
    text = experiment.read_text()
    experiment.write_text(text + GATE % "1.1")

    refused = genaiops(tmp_path, "run", "web", "--json", "--no-report", served=served)
    experiment.write_text(text + GATE % "0.5")
    passed = genaiops(tmp_path, "gate", "latest", "--promote", "--json")
    held = genaiops(tmp_path, "gate", "latest", "--baseline", "champion", "--json")
    # The block `baseline` of the use case counts where the gate names none.
    experiment.write_text(f"{text}{GATE % '0.5'}baseline: champion\n")
    again = genaiops(tmp_path, "run", "web", "--variants", "defaults", "--json", "--no-report", served=served)

    assert (
        json.loads(
            (
                Path(form(again)["runs"][0]["path"]).parents[1] / "experiments" / form(again)["id"] / "verdict.json"
            ).read_text()
        )["baseline"]
        == form(refused)["id"]
    )
    assert (refused.returncode, form(refused)["verdict"]["result"]) == (3, "failed")
    assert (passed.returncode, form(passed)["result"]) == (0, "passed")
    assert form(held)["baseline"] == form(refused)["id"]


def test_a_broken_gate_is_found_before_anything_starts(tmp_path: Path) -> None:
    use_case = project(tmp_path)
    experiment = use_case / "experiment.yaml"
    experiment.write_text(experiment.read_text() + "gate:\n  metrics:\n    contains: {mn: 0.5}\n")

    done = genaiops(tmp_path, "run", "web", "--model-calls", "replay")

    assert done.returncode == 2
    assert "'mn'" in done.stderr
    assert ":13: " in done.stderr


def test_approval_is_on_record(tmp_path: Path, served: Served) -> None:
    project(tmp_path)
    genaiops(tmp_path, "run", "web", "--no-report", served=served)

    missing = genaiops(tmp_path, "approve", "latest", "--check")
    given = genaiops(tmp_path, "approve", "latest", "--by", "ada", "--reason", "looked at the rows", "--json")
    there = genaiops(tmp_path, "approve", "latest", "--check")

    assert (missing.returncode, given.returncode, there.returncode) == (4, 0, 0)
    assert form(given)["by"] == "ada"


def test_history_is_listed_shown_compared_exported_and_imported(tmp_path: Path, served: Served) -> None:
    project(tmp_path)
    first = form(genaiops(tmp_path, "run", "web", "--json", "--no-report", served=served))

    listed = form(genaiops(tmp_path, "runs", "list", "--json"))
    shown = form(genaiops(tmp_path, "runs", "show", "latest", "--json"))
    compared = form(genaiops(tmp_path, "runs", "compare", "latest", "latest", "--variant", "last.v1", "--json"))
    exported = genaiops(tmp_path, "runs", "export", "latest", "x.zip")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.git").mkdir()
    imported = genaiops(tmp_path / "elsewhere", "runs", "import", "../x.zip", "--json")
    there = form(genaiops(tmp_path / "elsewhere", "runs", "show", "latest", "--json"))

    assert [entry["id"] for entry in listed["experiments"]] == [first["id"]]
    assert shown["id"] == first["id"]
    assert (compared["compared"], compared["differing"]) == (6, 6)
    assert (exported.returncode, imported.returncode) == (0, 0)
    assert there["scores"] == first["scores"]
    assert Path(there["runs"][0]["path"]).is_relative_to(tmp_path / "elsewhere")


def test_scores_are_made_again_without_the_application(tmp_path: Path, served: Served) -> None:
    project(tmp_path)
    first = form(genaiops(tmp_path, "run", "web", "--json", "--no-report", served=served))
    requests = served.server.stats.requests

    again = form(genaiops(tmp_path, "evaluate", "latest", "--json", "--no-report"))
    by_ids = genaiops(
        tmp_path, "evaluate", "--run-id", str([run["id"] for run in first["runs"]]), "--json", "--no-report"
    )

    assert [s["metrics"] for s in again["scores"]] == [s["metrics"] for s in first["scores"]]
    assert len(form(by_ids)["runs"]) == 2
    assert served.server.stats.requests == requests


def test_a_use_case_where_runs_are_expected_is_told_its_option(tmp_path: Path) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "evaluate", "web")

    assert done.returncode == 2
    assert "genaiops evaluate latest --use-case web" in done.stderr


def test_no_secret_is_written_anywhere(tmp_path: Path, served: Served) -> None:
    project(tmp_path)

    done = genaiops(tmp_path, "run", "web", "--json", served=served)

    assert done.returncode == 0
    assert "k-secret-k" not in done.stdout + done.stderr
    for file in [*(tmp_path / "state").rglob("*"), *(tmp_path / "reports").rglob("*")]:
        assert not file.is_file() or b"k-secret-k" not in file.read_bytes(), file


def test_a_registered_dataset_gets_a_version_only_when_it_changed(tmp_path: Path) -> None:
    use_case = project(tmp_path)
    words = ("dataset", "register", "web", "--json")

    first, second = form(genaiops(tmp_path, *words)), form(genaiops(tmp_path, *words))
    write_rows(use_case / "data/train.jsonl", [{"url": "changed"}])
    third = form(genaiops(tmp_path, *words))

    found = [(entry["version"], entry["is_new"]) for form_ in (first, second, third) for entry in form_["datasets"]]
    assert found == [(1, True), (1, False), (2, True)]


def test_why_rows_failed_is_said_in_full_with_what_to_do(tmp_path: Path) -> None:
    """Nobody listens at the address that the use case names."""
    project(tmp_path, rows=1)
    env = environ(tmp_path) | {"CHAT_API_KEY": "k"}
    command = [sys.executable, "-c", "import sys; from genaiops.cli import main; sys.exit(main())"]

    words = [*command, "run", "web", "--variants", "defaults", "--no-report"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 1
    assert "The address cannot be reached" in done.stdout
    assert re.search(r"Gave up after \d tries", done.stdout)
    hints = [line for line in done.stdout.splitlines() if line.startswith("  hint:")]
    assert len(hints) == 1
    assert "http://127.0.0.1:9/v1" in hints[0]


def test_a_warning_that_every_run_gives_is_told_once(tmp_path: Path, served: Served) -> None:
    use_case = project(tmp_path, rows=1)
    file = use_case / "experiment.yaml"
    file.write_text(file.read_text().replace('url: "${data.url}"}}', 'url: "${data.url}", lang: fi}}'))

    done = genaiops(tmp_path, "run", "web", "--no-report", served=served)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("The mapping names 'lang', which is no input of the flow.") == 1
