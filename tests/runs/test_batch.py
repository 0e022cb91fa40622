"""One flow over one dataset, through real hosts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from genaiops.connections import ConnectionStore
from genaiops.errors import ConnectionSettingsError, DataError, FlowDefinitionError, GenaiopsError, SettingsError
from genaiops.runs import RunEvent, RunRecord, RunSpec, find_run, list_runs, resume_run, run_batch, run_batches
from genaiops.settings import Settings
from tests.collector import collector
from tests.runs.conftest import DOUBLE, FlowMaker, kinds, outputs

Run = Callable[..., RunRecord]
MakeRows = Callable[..., Path]

COUNT = """\
- {name: count, type: python, aggregation: true, source: {type: code, path: count.py}, inputs: {ys: '${work.output}'}}
"""
COUNT_CODE = """
from promptflow.core import tool, log_metric
@tool
def count(ys: list) -> int:
    log_metric("rows", len(ys))
    log_metric("weighted", sum(place * y for place, y in enumerate(ys)))
    return len(ys)
"""


def test_every_row_becomes_an_outcome_in_order(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    record = run(make_flow(DOUBLE), make_rows(300))

    lines = [json.loads(line) for line in record.outcomes_path.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(300))
    assert all(line["outputs"] == {"y": 2 * line["row"]} for line in lines)
    assert lines[7]["inputs"] == {"x": 7}
    assert lines[7]["nodes"]["work"]["output"] == 14
    assert (record.status, record.exit_code, record.rows.completed) == ("completed", 0, 300)


def test_a_failing_row_is_kept_with_its_place_and_the_others_still_run(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    flow = make_flow("@tool\ndef work(x: int) -> int:\n    if x % 4 == 1: raise ValueError(f'no {x}')\n    return x\n")

    record = run(flow, make_rows(10))

    assert kinds(record) == dict.fromkeys((1, 5, 9), "ToolExecutionError")
    (failure,) = record.failures
    assert (failure.kind, failure.count, failure.row, failure.node) == ("ToolExecutionError", 3, 1, "work")
    assert "no 1" in failure.message
    assert (failure.file, failure.line) == (str(flow / "work.py"), 4)
    assert (record.status, record.exit_code) == ("failed", 1)


def test_a_share_of_failed_rows_can_be_allowed(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    flow = make_flow("@tool\ndef work(x: int) -> int:\n    return 1 // (x % 4)\n")

    record = run(flow, make_rows(8), max_failed=0.25)

    assert (record.status, record.rows.failed) == ("completed", 2)


def test_aggregation_sees_completed_rows_by_number(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = """
    import time
    @tool
    def work(x: int) -> int:
        if x == 2: raise ValueError()
        time.sleep(0.05 if x == 0 else 0)
        return 10 * x
    """
    record = run(make_flow(code, more=COUNT, count=COUNT_CODE), make_rows(4), max_failed=1)

    # Rows 0, 1, 3 give 0, 10, 30: weighted by their places 0, 1, 2.
    assert record.metrics == {"rows": 3, "weighted": 70}
    assert json.loads((record.path / "metrics.json").read_text()) == record.metrics
    assert record.aggregation["nodes"]["count"]["output"] == 3


def test_an_aggregation_that_fails_keeps_the_rows_and_fails_the_run(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    code = (
        "from promptflow.core import tool, log_metric\n@tool\ndef count(ys: list):\n    log_metric('a', 1)\n    1 / 0\n"
    )

    record = run(make_flow(DOUBLE, more=COUNT, count=code), make_rows(3))

    assert (record.status, record.rows.completed, record.metrics) == ("failed", 3, {"a": 1})
    assert record.aggregation["error"]["type"] == "ZeroDivisionError"
    error = record.summary()["error"]
    assert (error["node"], error["type"], error["line"]) == ("count", "ZeroDivisionError", 5)


def test_nothing_is_started_or_written_when_the_mapping_is_wrong(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    with pytest.raises(DataError) as caught:
        run(make_flow(DOUBLE), make_rows(3), mapping={"x": "${data.z}"})

    assert (caught.value.kind, caught.value.exit_code) == ("ApplyInputMappingError", 2)
    assert list_runs(settings) == []
    assert not (settings.state / "runs").exists()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"flow": "nowhere"}, FlowDefinitionError, "There is no flow"),
        ({"data": "nowhere.jsonl"}, DataError, "does not exist"),
        ({"concurrency": 0}, SettingsError, "at least 1"),
        ({"data": None}, SettingsError, "needs data"),
        ({"variant": "${work.other}"}, FlowDefinitionError, "does not use variants"),
        ({"source_run": "nothing"}, DataError, "no run"),
        ({"imports": "some"}, SettingsError, "expected one of"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_anything_starts(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, change: dict[str, object], error: type, text: str
) -> None:
    asked = {"flow": make_flow(DOUBLE), "data": make_rows(3), **change}

    with pytest.raises(GenaiopsError, match=text) as caught:
        run_batch(RunSpec(**asked), settings)  # type: ignore[arg-type]

    assert isinstance(caught.value, error)
    assert caught.value.exit_code == 2


def test_a_bad_row_stops_before_the_start_or_is_left_out_and_counted(
    make_flow: FlowMaker, tmp_path: Path, run: Run
) -> None:
    flow, data = make_flow(DOUBLE), tmp_path / "rows.jsonl"
    data.write_text('{"x": 0}\n{"x": \n{"x": 2}\n')

    with pytest.raises(DataError) as caught:
        run(flow, data)
    record = run(flow, data, on_bad_row="skip")

    assert (caught.value.file, caught.value.line) == (str(data), 2)
    assert outputs(record) == {0: 0, 2: 4}
    assert (record.rows.total, record.rows.skipped, record.status) == (3, 1, "completed")
    assert "1 row cannot be read" in record.warnings[0]


def test_rows_that_get_a_default_in_place_of_a_column_are_told(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    """They would be measured as if they had been asked what the dataset asks."""
    flow = make_flow(DOUBLE, inputs="x: {type: int, default: 7}")
    data = make_rows([{"x": 1}, {"y": 2}, {"x": 3}, {"y": 4}])

    record = run(flow, data, mapping={"x": "${data.x}"})

    assert outputs(record) == {0: 2, 1: 14, 2: 6, 3: 14}
    assert record.warnings == (f"{data}:2: 2 of 4 rows have no column 'x'; the input 'x' takes its default there.",)


def test_the_limit_takes_the_first_rows(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    record = run(make_flow(DOUBLE), make_rows(50), limit=3)

    assert outputs(record) == {0: 0, 1: 2, 2: 4}
    assert record.rows.total == 3


def test_a_run_can_feed_on_another_ones_outputs(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    first = run(make_flow("@tool\ndef work(x: int) -> int:\n    return 6 // (x - 1)\n"), make_rows(4), max_failed=1)
    judge = make_flow(
        "@tool\ndef work(x: int, truth: int) -> list:\n    return [x, truth]\n",
        name="judge",
        inputs="x: {type: int}\n  truth: {type: int}",
    )
    text = (
        (judge / "flow.dag.yaml")
        .read_text()
        .replace("{x: '${inputs.x}'}", "{x: '${inputs.x}', truth: '${inputs.truth}'}")
    )
    (judge / "flow.dag.yaml").write_text(text)

    record = run(judge, None, source_run=first.id, mapping={"x": "${run.outputs.y}", "truth": "${run.inputs.x}"})

    # 6 // -1, 6 // 1, 6 // 2; row 1 divides by zero and has no output.
    assert outputs(record) == {0: [-6, 0], 2: [6, 2], 3: [3, 3]}
    assert (record.rows.total, record.rows.skipped, record.source_run) == (4, 1, first.id)


def test_two_hosts_share_the_rows(make_flow: FlowMaker, make_rows: MakeRows, run: Run) -> None:
    code = "import os, time\n@tool\ndef work(x: int) -> int:\n    time.sleep(0.005)\n    return os.getpid()\n"

    record = run(make_flow(code), make_rows(200), processes=2, concurrency=4)

    assert record.rows.completed == 200
    assert len(set(outputs(record).values())) == 2


def test_async_rows_share_one_loop_and_what_they_keep_between_rows(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run
) -> None:
    code = """
    import asyncio
    lock = []
    @tool
    async def work(x: int) -> int:
        if not lock: lock.append(asyncio.Event())
        if x == 39: lock[0].set()
        await lock[0].wait()
        return id(asyncio.get_running_loop())
    """
    record = run(make_flow(code), make_rows(40), concurrency=40)

    assert record.rows.completed == 40
    assert len(set(outputs(record).values())) == 1


def test_flow_code_runs_in_its_folder_with_its_variables(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    code = """
    import os
    from pathlib import Path
    from helper import NAME
    @tool
    def work(x: int) -> list:
        return [NAME, Path("note.txt").read_text(), *map(os.environ.get, ("FROM_FLOW", "FROM_RUN", "PLAIN"))]
    """
    flow = make_flow(code, helper="NAME = 'helper of the flow'\n")
    (flow / "note.txt").write_text("a note")
    (flow / "flow.dag.yaml").write_text(
        (flow / "flow.dag.yaml").read_text() + "environment_variables: {FROM_FLOW: 1.5, FROM_RUN: flow, PLAIN: flow}\n"
    )
    around = dataclasses.replace(settings, environ={**settings.environ, "PLAIN": "process", "FROM_FLOW": "process"})

    record = run_batch(RunSpec(flow=flow, data=make_rows(1), environment_variables={"FROM_RUN": "run"}), around)

    assert outputs(record)[0] == ["helper of the flow", "a note", "1.5", "run", "flow"]


def test_what_flow_code_prints_is_in_the_log_with_its_row_and_without_secrets(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    code = """
    import os, sys
    print("loading")
    @tool
    def work(x: int) -> str:
        print("row says", x, os.environ["MY_API_KEY"])
        os.write(1, b"raw words\\n")
        return os.environ["MY_API_KEY"]
    """
    around = dataclasses.replace(settings, environ={**settings.environ, "MY_API_KEY": "very-secret-words"})

    record = run_batch(RunSpec(flow=make_flow(code), data=make_rows(2)), around)

    log = (record.path / "logs.txt").read_text()
    assert "[row 1] row says 1 ******" in log
    assert "raw words" in log
    written = b"".join(path.read_bytes() for path in record.path.rglob("*") if path.is_file())
    assert b"very-secret-words" not in written
    assert outputs(record)[0] == "******"


def test_spans_of_each_row_are_written_unless_turned_off(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    flow, data = make_flow(DOUBLE), make_rows(20)

    traced = run(flow, data)
    off = run_batch(
        RunSpec(flow=flow, data=data),
        dataclasses.replace(settings, environ={**settings.environ, "PF_DISABLE_TRACING": "true"}),
    )
    some = run(flow, make_rows(400, "many.jsonl"), trace_share=0.25)

    assert _rows_traced(traced) == set(range(20))
    assert not (off.path / "traces.jsonl").exists()
    assert 60 <= len(_rows_traced(some)) <= 140


def _rows_traced(record: RunRecord) -> set[int]:
    rows = set()
    for line in (record.path / "traces.jsonl").read_text().splitlines():
        for scope in json.loads(line)["resourceSpans"][0]["scopeSpans"]:
            for span in scope["spans"]:
                values = {item["key"]: item["value"] for item in span["attributes"]}
                if "row" in values:
                    rows.add(int(values["row"]["intValue"]))
    return rows


def test_runs_are_found_by_id_by_its_beginning_by_folder_and_as_the_latest(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    flow, data = make_flow(DOUBLE), make_rows(2)
    first, second = run(flow, data, name="first one"), run(flow, data, labels={"cell": "a"})

    assert first.id == "first_one"
    for name in ("first_one", "first", first.path):
        assert find_run(name, settings).id == "first_one"
    assert find_run("latest", settings).id == second.id
    assert [record.id for record in list_runs(settings)] == [second.id, "first_one"]
    assert RunRecord.load(second.path) == second
    with pytest.raises(DataError, match="already"):
        run(flow, data, name="first one")


def test_runs_of_one_flow_share_a_host(make_flow: FlowMaker, make_rows: MakeRows, settings: Settings) -> None:
    flow = make_flow("import os\n@tool\ndef work(x: int) -> int:\n    return os.getpid()\n")
    data = make_rows(5)

    records = run_batches([RunSpec(flow=flow, data=data, name=f"r{n}") for n in range(3)], settings)

    assert [record.id for record in records] == ["r0", "r1", "r2"]
    assert len({pid for record in records for pid in outputs(record).values()}) == 1


def test_events_tell_start_progress_and_end(make_flow: FlowMaker, make_rows: MakeRows, settings: Settings) -> None:
    events: list[RunEvent] = []

    run_batch(RunSpec(flow=make_flow(DOUBLE), data=make_rows(5)), settings, on_event=events.append)

    assert (events[0].kind, events[-1].kind) == ("started", "finished")
    assert (events[-1].total, events[-1].completed) == (5, 5)


def test_a_dataset_that_changed_cannot_be_resumed(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    record = run(make_flow("@tool\ndef work(x: int) -> int:\n    return 1 // x\n"), make_rows(3))
    make_rows(4)

    with pytest.raises(DataError, match="dataset has changed"):
        resume_run(record.id, settings)


def test_a_run_that_is_complete_is_not_run_again(
    make_flow: FlowMaker, make_rows: MakeRows, run: Run, settings: Settings
) -> None:
    record = run(make_flow(DOUBLE), make_rows(3))

    assert resume_run(record.id, settings) == record


def model_flow(folder: Path) -> Path:
    folder.mkdir()
    (folder / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: string}\noutputs:\n  y: {type: string, reference: '${ask.output}'}\nnodes:\n"
        "- {name: ask, type: llm, api: chat, connection: chat, source: {type: code, path: ask.jinja2},\n"
        "   inputs: {x: '${inputs.x}', model: m}}\n"
    )
    (folder / "ask.jinja2").write_text("user:\n{{x}}\n")
    return folder


def test_model_calls_and_tokens_are_counted_and_simulated_ones_marked(
    make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    store = ConnectionStore.of({"chat": {"type": "simulated", "reply": "Paris"}})

    record = run_batch(RunSpec(flow=model_flow(tmp_path / "ask"), data=make_rows(6)), settings, store=store)

    assert outputs(record) == dict.fromkeys(range(6), "Paris")
    assert (record.model_calls, record.simulated) == (6, True)
    assert record.tokens["input"] > 0


def test_a_budget_of_calls_stops_cleanly_and_can_be_resumed(
    make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    store = ConnectionStore.of({"chat": {"type": "simulated", "reply": "Paris", "latency_ms": 20}})
    spec = RunSpec(flow=model_flow(tmp_path / "ask"), data=make_rows(60), max_calls=10, concurrency=2, keep=False)

    stopped = run_batch(spec, settings, store=store)
    record = resume_run(stopped, settings, store=store, changes={"max_calls": None})

    assert (stopped.status, stopped.exit_code) == ("interrupted", 130)
    assert stopped.stopped is not None
    assert stopped.stopped["reason"] == "budget"
    assert (stopped.rows.completed, stopped.model_calls) == (10, 10)
    assert (record.status, record.rows.completed, record.model_calls) == ("completed", 60, 60)


def test_connections_that_lack_values_are_all_named_before_anything_starts(
    make_rows: MakeRows, settings: Settings, tmp_path: Path
) -> None:
    flow = model_flow(tmp_path / "ask")
    text = (flow / "flow.dag.yaml").read_text()
    node = text[text.index("- {name: ask") :]
    (flow / "flow.dag.yaml").write_text(
        text
        + node.replace("ask,", "more,", 1).replace("chat,\n", "chat,").replace("connection: chat", "connection: other")
    )

    with pytest.raises(GenaiopsError) as caught:
        run_batch(RunSpec(flow=flow, data=make_rows(2)), settings)

    assert caught.value.exit_code == ConnectionSettingsError.exit_code
    assert "CHAT_API_KEY" in str(caught.value)
    assert "OTHER_API_KEY" in str(caught.value)


def test_images_of_rows_come_from_the_datas_folder_and_from_nowhere_else(
    make_flow: FlowMaker, tmp_path: Path, run: Run
) -> None:
    flow = make_flow("@tool\ndef work(x) -> int:\n    return len(x)\n", inputs="x: {type: image}")
    folder = tmp_path / "somewhere" / "else"
    folder.mkdir(parents=True)
    image = b"\x89PNG\r\n\x1a\n" + b"0" * 20
    (folder / "cat.png").write_bytes(image)
    (tmp_path / "private.png").write_bytes(image)
    rows = ["cat.png", {"data:image/png;path": "cat.png"}, {"data:image/png;path": "../../private.png"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"x": row}) + "\n" for row in rows))

    record = run(flow, folder / "rows.jsonl")

    assert outputs(record) == {0: len(image), 1: len(image)}
    assert kinds(record) == {2: "InvalidImageInput"}
    saved = next(record.outcomes())["inputs"]["x"]["data:image/png;path"]
    assert (record.path / "images" / saved).read_bytes() == image


AT_ONCE = """
import threading
meeting, lock, there, most = threading.Barrier(3), threading.Lock(), 0, 0

@tool
def work(x: int) -> int:
    global there, most
    with lock:
        there += 1
        most = max(most, there)
    meeting.wait(60)
    with lock:
        there -= 1
    return most
"""


def test_a_variable_of_prompt_flow_says_how_many_rows_run_at_once(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    """Rows meet in threes, so with fewer at once none would finish."""
    three = dataclasses.replace(settings, environ={**settings.environ, "PF_WORKER_COUNT": "3"})

    record = run_batch(RunSpec(flow=make_flow(AT_ONCE), data=make_rows(9)), three)

    assert record.rows.completed == 9
    assert max(outputs(record).values()) == 3


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PF_WORKER_COUNT", "many"),
        ("PF_WORKER_COUNT", "0"),
        ("PF_LINE_TIMEOUT_SEC", "soon"),
        ("PF_BATCH_TIMEOUT_SEC", "-1"),
    ],
)
def test_a_variable_of_prompt_flow_that_means_nothing_is_refused(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings, variable: str, text: str
) -> None:
    odd = dataclasses.replace(settings, environ={**settings.environ, variable: text})

    with pytest.raises(SettingsError, match=f"{variable} holds '{text}'"):
        run_batch(RunSpec(flow=make_flow(DOUBLE), data=make_rows(1)), odd)


def test_a_variable_of_prompt_flow_says_how_long_a_row_may_take(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    code = "import asyncio\n@tool\nasync def work(x: int) -> int:\n    await asyncio.sleep(600 * x)\n    return x\n"
    short = dataclasses.replace(settings, environ={**settings.environ, "PF_LINE_TIMEOUT_SEC": "2"})

    record = run_batch(RunSpec(flow=make_flow(code), data=make_rows(2)), short)

    assert kinds(record) == {1: "LineExecutionTimeoutError"}


def test_spans_go_to_a_back_end_too_without_secrets(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    key = "a-planted-secret-0123456789"
    code = f"""
    from promptflow.tracing import trace
    @trace
    def seen(text):
        return text
    @tool
    def work(x: int):
        return seen('{key}')
    """
    store = ConnectionStore.of({"chat": {"type": "open_ai", "api_key": key}})
    with collector() as (url, posted):
        around = dataclasses.replace(settings, environ={**settings.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url})
        record = run_batch(RunSpec(flow=make_flow(code), data=make_rows(40)), around, store=store)

    def names(lines: Iterable[bytes]) -> list[str]:
        forms = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"] for line in lines]
        return sorted(span["spanId"] for spans in forms for span in spans)

    written = (record.path / "traces.jsonl").read_bytes().splitlines()
    assert names(found.body for found in posted) == names(written)
    assert len(names(written)) == 3 * 40
    assert not any(key.encode() in text for text in (*written, *(found.body for found in posted)))


def test_a_back_end_that_is_not_there_costs_nothing_but_a_warning(
    make_flow: FlowMaker, make_rows: MakeRows, settings: Settings
) -> None:
    gone = {**settings.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

    record = run_batch(RunSpec(flow=make_flow(DOUBLE), data=make_rows(3)), dataclasses.replace(settings, environ=gone))

    assert record.rows.completed == 3
    assert "http://127.0.0.1:9/v1/traces cannot be reached" in record.warnings[0]
