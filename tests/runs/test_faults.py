"""Hosts that die, rows that hang, processes that are killed: nothing finished is lost, nothing else fails with it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from genaiops.errors import HostError, SettingsError
from genaiops.runs import RunRecord, RunSpec, resume_run, run_batch
from genaiops.settings import Settings
from tests.runs.conftest import DOUBLE, FlowMaker, kinds, outputs
from tests.slowness import seconds_here

Run = Callable[..., RunRecord]
MakeRows = Callable[..., Path]

# Notes each row it runs in a file, and takes a moment for it; rows from HOLD on take for ever.
NOTING = """
import os, time

@tool
def work(x: int) -> int:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{x}\\n")
    time.sleep(float(os.environ.get("NAP", "0.02")) if x < int(os.environ.get("HOLD", "1000")) else 600)
    return 2 * x
"""

DRIVER = """
import sys
from pathlib import Path
from genaiops.runs import RunSpec, run_batch
from genaiops.settings import load_settings

flow, data, state, concurrency = sys.argv[1:]
record = run_batch(
    RunSpec(flow=flow, data=data, name="the-run", concurrency=int(concurrency)), load_settings(),
    on_event=lambda event: print(event.kind, event.completed, flush=True),
)
sys.exit(record.exit_code)
"""


def start_run(flow: Path, data: Path, settings: Settings, notes: Path, concurrency: int = 4) -> subprocess.Popen[bytes]:
    environ = {**settings.environ, "NOTES": str(notes)}
    command = [sys.executable, "-c", DRIVER, str(flow), str(data), str(settings.state), str(concurrency)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, cwd=flow.parent)


def wait_for_rows(file: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the file has so many lines."""
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        if file.is_file() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not get that far")


def with_notes(settings: Settings, notes: Path, **more: str) -> Settings:
    return dataclasses.replace(settings, environ={**settings.environ, "NOTES": str(notes), **more})


@pytest.mark.parametrize("rows_before", [1, 30, 90])
def test_a_killed_run_resumes_and_runs_nothing_twice_that_had_finished(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path, rows_before: int
) -> None:
    flow, data, notes = make_flow(NOTING), make_rows(100), tmp_path / "notes"
    # It must not be done before it is killed, however late we notice how far it is.
    process = start_run(flow, data, with_notes(settings, notes, HOLD="95"), notes)
    wait_for_rows(notes, rows_before, process)

    process.kill()
    process.wait()
    path = settings.state / "runs" / "the-run"
    finished = {json.loads(line)["row"] for line in (path / "outcomes.jsonl").read_bytes().split(b"\n")[:-1]}
    time.sleep(0.3)  # the host notices that its parent is gone
    ran_before = len(notes.read_text().split())
    killed = RunRecord.load(path)
    record = resume_run("the-run", with_notes(settings, notes))

    assert (killed.status, killed.is_running()) == ("running", False)
    assert (record.status, record.rows.completed, record.rows.total) == ("completed", 100, 100)
    assert outputs(record) == {row: 2 * row for row in range(100)}
    again = [int(word) for word in notes.read_text().split()[ran_before:]]
    assert finished.isdisjoint(again)
    assert sorted(finished | set(again)) == list(range(100))


def test_a_finished_row_is_on_disk_though_no_other_finishes_after_it(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    """Four rows hang, so nothing comes behind the twelve that finish: only time can make the run write them down."""
    flow, data, notes = make_flow(NOTING), make_rows(100), tmp_path / "notes"
    process = start_run(flow, data, with_notes(settings, notes, HOLD="12"), notes)
    outcomes = settings.state / "runs" / "the-run" / "outcomes.jsonl"
    wait_for_rows(outcomes, 12, process)

    process.kill()
    process.wait()

    assert sorted(json.loads(line)["row"] for line in outcomes.read_bytes().splitlines()) == list(range(12))


def test_a_finished_row_is_on_disk_before_the_next_one_finishes(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second row waits until the outcome of the first has been brought to the disk."""
    seen = tmp_path / "on-disk"
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        outcomes = next((tmp_path / "state" / "runs").glob("*/outcomes.jsonl"), None)
        if outcomes is not None and os.fstat(descriptor).st_ino == outcomes.stat().st_ino and outcomes.stat().st_size:
            seen.touch()

    monkeypatch.setattr(os, "fsync", watched)
    code = f"""
    import os, time
    @tool
    def work(x: int) -> int:
        while x and not os.path.exists({str(seen)!r}):
            time.sleep(0.01)
        return x
    """

    record = run(make_flow(code), make_rows(2), row_timeout_s=90)

    assert record.rows.completed == 2


def test_ctrl_c_ends_within_two_seconds_and_can_be_resumed(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    flow, data, notes = make_flow(NOTING), make_rows(100), tmp_path / "notes"
    process = start_run(flow, data, with_notes(settings, notes, HOLD="0"), notes)
    wait_for_rows(notes, 1, process)

    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    code = process.wait(timeout=60)
    took = time.monotonic() - started

    assert code == 130
    assert took < seconds_here(2.0)
    stopped = RunRecord.load(settings.state / "runs" / "the-run")
    assert stopped.status == "interrupted"
    assert resume_run(stopped, with_notes(settings, notes)).rows.completed == 100


def test_a_host_that_is_killed_costs_no_row(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    code = NOTING + '    if x == 20 and not os.path.exists("killed"): open("killed", "w"); os.kill(os.getpid(), 9)\n'
    flow, data = make_flow(code.replace("    return 2 * x\n", "") + "    return 2 * x\n"), make_rows(60)

    record = run_batch(RunSpec(flow=flow, data=data), with_notes(settings, tmp_path / "notes"))

    assert record.status == "completed"
    assert outputs(record) == {row: 2 * row for row in range(60)}
    assert record.hosts["rows_retried"] >= 1


def test_a_row_that_ends_its_process_fails_alone(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = "import os\n@tool\ndef work(x: int) -> int:\n    if x in (3, 31): os._exit(9)\n    return 2 * x\n"

    record = run(make_flow(code), make_rows(40))

    assert kinds(record) == {3: "ProcessCrashError", 31: "ProcessCrashError"}
    assert len(outputs(record)) == 38
    assert (record.status, record.exit_code) == ("failed", 1)


def test_a_row_that_hangs_is_given_up_and_the_others_go_on(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = (
        "import time\n@tool\ndef work(x: int) -> int:\n    while x == 5: pass\n    time.sleep(0.01)\n    return 2 * x\n"
    )

    record = run(make_flow(code), make_rows(60), row_timeout_s=3.0)

    assert kinds(record) == {5: "LineExecutionTimeoutError"}
    assert len(outputs(record)) == 59


def test_an_async_row_that_waits_for_ever_is_cancelled(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = """
    import asyncio
    @tool
    async def work(x: int) -> int:
        await asyncio.sleep(600 if x == 1 else 0.01)
        return 2 * x
    """

    record = run(make_flow(code), make_rows(10), row_timeout_s=2.0)

    assert kinds(record) == {1: "LineExecutionTimeoutError"}
    assert record.hosts["started"] == 1


def test_a_run_whose_time_is_over_fails_what_is_left_and_keeps_what_finished(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    code = "import time\n@tool\ndef work(x: int) -> int:\n    time.sleep(0 if x < 3 else 600)\n    return 2 * x\n"

    record = run(make_flow(code), make_rows(40), timeout_s=seconds_here(4.0), concurrency=2)

    assert outputs(record) == {0: 0, 1: 2, 2: 4}
    assert set(kinds(record).values()) == {"BatchExecutionTimeoutError"}
    assert record.rows.failed == 37
    assert (record.status, record.stopped["reason"] if record.stopped else None) == ("failed", "timeout")


def test_a_torn_last_line_is_dropped_and_its_row_runs_again(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    record = run(make_flow(DOUBLE), make_rows(10))
    lines = record.outcomes_path.read_bytes().splitlines(keepends=True)
    record.outcomes_path.write_bytes(b"".join(lines[:6]) + lines[6][:40])
    (record.path / "run.json").write_text(
        (record.path / "run.json").read_text().replace('"status": "completed"', '"status": "running"')
    )

    again = resume_run(record.id, settings)

    assert outputs(again) == {row: 2 * row for row in range(10)}
    assert again.rows == record.rows
    assert len(again.outcomes_path.read_bytes().splitlines()) == 10


def test_failed_rows_run_again_on_resume_and_the_latest_outcome_counts(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    code = """
    import os
    @tool
    def work(x: int) -> int:
        return x if x % 3 or os.path.exists("ok") else 1 // 0
    """
    flow = make_flow(code)
    first = run(flow, make_rows(9))
    (flow / "ok").touch()

    second = resume_run(first.id, settings)

    assert (first.rows.failed, first.status) == (3, "failed")
    assert (second.rows.failed, second.rows.completed, second.status) == (0, 9, "completed")
    assert [item["row"] for item in second.outcomes()] == list(range(9))
    assert second.failures == ()


def test_a_second_process_is_refused_while_the_first_works(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    process = start_run(make_flow(NOTING), make_rows(500), settings, notes, concurrency=1)
    try:
        wait_for_rows(notes, 2, process)

        with pytest.raises(SettingsError, match="in use by another process"):
            resume_run("the-run", with_notes(settings, notes))
    finally:
        process.kill()
        process.wait()


def test_a_host_that_cannot_load_dies_with_its_last_words(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    flow = make_flow("import os, sys\nprint('last words', flush=True)\nos._exit(3)\n" + DOUBLE)

    with pytest.raises(HostError, match="last words"):
        run(flow, make_rows(3))


def test_a_host_that_always_dies_ends_the_run(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = "import os\n@tool\ndef work(x: int) -> int:\n    os._exit(9)\n"

    record = run(make_flow(code), make_rows(400), concurrency=1)

    assert record.status == "failed"
    assert record.stopped is not None
    assert record.stopped["reason"] == "host-dies"


def test_no_process_is_left_behind(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    flow = make_flow("import os\n@tool\ndef work(x: int) -> int:\n    return os.getpid()\n")
    threads = set(threading.enumerate())  # other tests of this process may have left some

    record = run_batch(RunSpec(flow=flow, data=make_rows(50), processes=2), settings)

    pids = set(outputs(record).values())
    assert len(pids) <= 2
    assert not any(_is_alive(pid) for pid in pids)
    # A thread that has done its work may need a moment to be gone.
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)
    assert set(threading.enumerate()) <= threads


def _is_alive(pid: Any) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask_flow(folder: Path) -> Path:
    folder.mkdir()
    (folder / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: string}\noutputs:\n  y: {type: string, reference: '${ask.output}'}\nnodes:\n"
        "- {name: ask, type: llm, api: chat, connection: chat, source: {type: code, path: ask.jinja2},\n"
        "   inputs: {x: '${inputs.x}', model: m, temperature: 0.3}}\n"
    )
    (folder / "ask.jinja2").write_text("user:\n{{x}}\n")
    return folder


@contextlib.contextmanager
def model_server(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "genaiops.testing.model_server", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


def with_chat(settings: Settings, url: str, key: str) -> Settings:
    more = {"CHAT_API_KEY": key, "CHAT_API_BASE": f"{url}/v1"}
    return dataclasses.replace(settings, environ={**settings.environ, **more})


def seen_by(url: str) -> dict[str, Any]:
    """What the server has seen: `requests`, `seconds` from the first to the last, …."""
    with urlopen(f"{url}/stats") as reply:
        return dict(json.loads(reply.read()))


def test_a_refused_key_stops_the_run_with_one_message_and_can_be_resumed_with_another(
    make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    flow, data = ask_flow(tmp_path / "ask"), make_rows(200)
    with model_server("--key", "the-right-key", "--latency-ms", "20") as url:
        stopped = run_batch(RunSpec(flow=flow, data=data), with_chat(settings, url, "a-wrong-key"))
        asked = seen_by(url)["requests"]
        record = resume_run(stopped, with_chat(settings, url, "the-right-key"))

    assert (stopped.status, stopped.exit_code) == ("failed", 1)
    assert stopped.stopped is not None
    assert stopped.stopped["reason"] == "model-refused"
    assert "a-wrong-key" not in json.dumps(stopped.to_json())
    assert asked < 200
    assert (record.status, record.rows.completed) == ("completed", 200)


@pytest.mark.parametrize(
    ("options", "variables"), [({"budget_rpm": 600}, {}), ({"processes": 2}, {"GENAIOPS_RPM": "600"})]
)
def test_a_budget_of_requests_is_kept_by_all_hosts_together(
    make_rows: MakeRows, settings: Settings, tmp_path: Path, options: dict[str, Any], variables: dict[str, str]
) -> None:
    """Ten a second: the eleven calls after the first take 1.1 s, or six after the first in each of two hosts 1 s."""
    flow, data = ask_flow(tmp_path / "ask"), make_rows(12)
    with model_server() as url:
        around = with_chat(settings, url, "some-long-key")
        around = dataclasses.replace(around, environ={**around.environ, **variables})
        record = run_batch(RunSpec(flow=flow, data=data, **options), around)
        seen = seen_by(url)

    assert (record.rows.completed, seen["requests"]) == (12, 12)
    assert seen["seconds"] >= 0.9


def test_faults_of_a_model_server_cost_no_row(make_rows: MakeRows, settings: Settings, tmp_path: Path) -> None:
    flow, data = ask_flow(tmp_path / "ask"), make_rows(150)
    shares = ("--share-429", "0.1", "--share-500", "0.05", "--share-cut", "0.05", "--share-drop", "0.02")
    with model_server(*shares, "--retry-after-s", "0.2", "--latency-ms", "20") as url:
        record = run_batch(RunSpec(flow=flow, data=data), with_chat(settings, url, "some-long-key"))

    assert (record.status, record.rows.completed) == ("completed", 150)
    assert record.models["retries"] > 0


def test_a_tool_that_hangs_beside_async_ones_is_left_behind_with_its_host(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    # Rows take long enough that there are some left when the time of the one that hangs is over.
    code = "import asyncio\n@tool\nasync def work(x: int) -> int:\n    await asyncio.sleep(0.1)\n    return 2 * x\n"
    more = "- {name: after, type: python, source: {type: code, path: after.py}, inputs: {x: '${work.output}'}}\n"
    after = (
        "from promptflow.core import tool\n@tool\ndef after(x: int) -> int:\n    while x == 10: pass\n    return x\n"
    )

    record = run(make_flow(code, more=more, after=after), make_rows(400), row_timeout_s=3.0, concurrency=8)

    assert kinds(record) == {5: "LineExecutionTimeoutError"}
    assert record.rows.completed == 399
    assert record.hosts["started"] == 2


def test_a_loop_that_is_blocked_is_noticed_from_outside(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genaiops.runs._lanes._SILENCE_S", 3.0)
    code = "import time\n@tool\nasync def work(x: int) -> int:\n    time.sleep(60 if x == 2 else 0)\n    return x\n"

    record = run(make_flow(code), make_rows(5), row_timeout_s=0.5)

    assert kinds(record) == {2: "LineExecutionTimeoutError"}
    assert record.rows.completed == 4


def test_a_run_inside_of_a_running_loop_works_as_in_a_notebook(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    flow, data = make_flow(DOUBLE), make_rows(3)

    async def cell() -> RunRecord:
        return run(flow, data)

    assert asyncio.run(cell()).rows.completed == 3


@pytest.mark.parametrize("where", ["loading", "aggregation"])
def test_ctrl_c_is_heard_while_the_flow_loads_or_aggregates(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, tmp_path: Path, where: str
) -> None:
    notes = tmp_path / "notes"
    dawdle = "import os, time\nopen(os.environ['NOTES'], 'a').write('1\\n')\ntime.sleep(600)\n"
    if where == "loading":
        flow = make_flow(dawdle + DOUBLE)
    else:
        more = "- {name: sum, type: python, aggregation: true, source: {type: code, path: sum.py},\n"
        more += "   inputs: {y: '${work.output}'}}\n"
        body = dawdle.replace("\n", "\n    ").rstrip()
        flow = make_flow(
            DOUBLE, more=more, sum=f"from promptflow.core import tool\n@tool\ndef sum(y: list):\n    {body}\n"
        )
    process = start_run(flow, make_rows(4), settings, notes)
    wait_for_rows(notes, 1, process)

    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)

    assert time.monotonic() - started < seconds_here(2.0)
    folder = settings.state / "runs" / "the-run"
    assert folder.exists() == (where == "aggregation")
    if where == "aggregation":
        record = RunRecord.load(folder)
        assert (record.status, record.rows.completed) == ("interrupted", 4)
