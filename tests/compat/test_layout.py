"""Runs in prompt flow's folder layout, both ways (flow-format.md §8.7, shapes checked against prompt flow 1.18.5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.compat import export_promptflow_layout, import_promptflow_run
from genaiops.errors import DataError
from genaiops.runs import RowCounts, RunRecord
from genaiops.settings import load_settings

ERROR = {
    "kind": "ToolExecutionError",
    "type": "ValueError",
    "message": "Execution failure in 'h': (ValueError) three",
    "node": "h",
    "file": "/flows/f/h.py",
    "line": 5,
    "hint": None,
    "traceback": "Traceback …\nValueError: three\n",
}


def node(status: str, output: Any = None, error: Any = None) -> dict[str, Any]:
    form = {"status": status, "inputs": {"n": 1}, "output": output, "duration_s": 0.25, "started_s": 0.5, "kept": False}
    return form | {"tokens": {"input": 3, "output": 4}} | ({"error": error} if error else {})


def make_record(folder: Path) -> RunRecord:
    folder.mkdir()
    outcomes = [
        {
            "schema_version": 1,
            "row": row,
            "status": "failed" if row == 2 else "completed",
            "inputs": {"n": row + 1},
            "outputs": {} if row == 2 else {"half": (row + 1) / 2},
            "error": ERROR if row == 2 else None,
            "nodes": {"h": node("failed", error=ERROR) if row == 2 else node("completed", (row + 1) / 2)},
            "duration_s": 1.5,
            "tokens": {"input": 3, "output": 4, "cached": 0},
        }
        for row in range(4)
    ]
    lines = "".join(json.dumps(outcome) + "\n" for outcome in outcomes)
    (folder / "outcomes.jsonl").write_text(lines, encoding="utf-8")
    record = RunRecord(
        id="r1",
        path=folder,
        status="completed",
        flow={"source": str(folder), "name": "f", "kind": "graph"},
        rows=RowCounts(total=4, completed=3, failed=1),
        metrics={"total": 3.5},
        aggregation={"nodes": {"agg": node("completed", [0.5, 1.0, 2.0])}},
        created="2026-11-22T16:03:30+00:00",
    )
    record.save()
    return record


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return export_promptflow_layout(make_record(tmp_path / "record"), tmp_path / "r1", snapshot=False)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_outputs_hold_completed_rows_with_their_numbers(exported: Path) -> None:
    lines = (exported / "flow_outputs" / "output.jsonl").read_text(encoding="utf-8").splitlines()

    assert [json.loads(line) for line in lines] == [
        {"line_number": 0, "half": 0.5},
        {"line_number": 1, "half": 1.0},
        {"line_number": 3, "half": 2.0},
    ]
    assert len((exported / "inputs.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    assert len((exported / "outputs.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_a_row_has_an_artifact_of_its_own(exported: Path) -> None:
    line = read(exported / "flow_artifacts" / "000000000_000000000.jsonl")

    info = line["run_info"]
    assert list(line) == ["line_number", "run_info", "start_time", "end_time", "name", "description", "status", "tags"]
    assert (info["run_id"], info["parent_run_id"], info["root_run_id"], info["index"]) == ("r1_0", "r1", "r1", 0)
    assert info["inputs"] == {"n": 1, "line_number": 0}
    assert (info["start_time"], line["start_time"]) == ("2026-11-22T16:03:30Z", "2026-11-22T16:03:30")
    assert info["system_metrics"] == {
        "duration": 1.5,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }


def test_nodes_have_artifacts_too_and_aggregation_has_no_row(exported: Path) -> None:
    failed = read(exported / "node_artifacts" / "h" / "000000002.jsonl")
    reduced = read(exported / "node_artifacts" / "agg" / "000000000.jsonl")

    assert (failed["NodeName"], failed["line_number"], failed["status"]) == ("h", 2, "Failed")
    assert failed["run_info"]["run_id"] == "r1_h_2"
    assert (reduced["line_number"], reduced["run_info"]["index"]) == (None, None)
    assert reduced["run_info"]["run_id"] == "r1_agg_reduce"


def test_errors_are_counted_and_listed(exported: Path) -> None:
    error = read(exported / "error.json")

    assert error["message"] == (
        "Failed to run 1/4 lines. First error message is: Execution failure in 'h': (ValueError) three"
    )
    assert error["innerError"]["innerError"]["code"] == "BulkRunException"
    [line] = error["additionalInfo"][0]["info"]["errors"]
    assert line["line_number"] == 2
    assert line["error"]["innerError"] == {"code": "ToolExecutionError", "innerError": None}
    details = line["error"]["additionalInfo"][0]
    assert details["type"] == "ToolExecutionErrorDetails"
    assert (details["info"]["type"], details["info"]["message"], details["info"]["lineno"]) == (
        "ValueError",
        "three",
        5,
    )


def test_metrics_and_batch_size_are_files(exported: Path) -> None:
    assert read(exported / "metrics.json") == {"total": 3.5}
    assert read(exported / "meta.json") == {"batch_size": 1}


def test_a_folder_with_something_in_it_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not empty"):
        export_promptflow_layout(RunRecord.load(tmp_path / "record"), exported)


def test_a_run_of_prompt_flow_becomes_a_record(exported: Path, tmp_path: Path) -> None:
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})

    record = import_promptflow_run(exported, settings)

    assert (record.id, record.status, record.rows) == ("r1", "failed", RowCounts(total=4, completed=3, failed=1))
    assert record.metrics == {"total": 3.5}
    assert record.tokens == {"input": 12, "output": 16, "cached": 0}
    outcomes = list(RunRecord.load(record.path).outcomes())
    assert [outcome["status"] for outcome in outcomes] == ["completed", "completed", "failed", "completed"]
    assert outcomes[0]["inputs"] == {"n": 1}
    assert outcomes[2]["error"]["kind"] == "ToolExecutionError"
    assert outcomes[2]["error"]["type"] == "ValueError"
    assert (outcomes[2]["error"]["node"], outcomes[2]["error"]["line"]) == ("h", 5)
    assert outcomes[2]["nodes"]["h"]["status"] == "failed"
    assert record.failures[0].kind == "ToolExecutionError"


def test_importing_twice_is_refused(exported: Path, tmp_path: Path) -> None:
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})
    import_promptflow_run(exported, settings)

    with pytest.raises(DataError, match="already"):
        import_promptflow_run(exported, settings)
    assert import_promptflow_run(exported, settings, name="again").id == "again"


def test_a_run_without_artifacts_is_read_from_its_outputs(tmp_path: Path) -> None:
    source = tmp_path / "old"
    (source / "flow_outputs").mkdir(parents=True)
    (source / "flow_outputs" / "output.jsonl").write_text('{"line_number": 3, "answer": "x"}\n', encoding="utf-8")
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})

    record = import_promptflow_run(source, settings)

    assert [(o["row"], o["outputs"]) for o in record.outcomes()] == [(3, {"answer": "x"})]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither flow_artifacts nor flow_outputs"):
        import_promptflow_run(tmp_path, load_settings(cwd=tmp_path))


def test_a_torn_file_is_named_with_its_line(tmp_path: Path) -> None:
    source = tmp_path / "torn"
    (source / "flow_artifacts").mkdir(parents=True)
    (source / "flow_artifacts" / "000000000_000000000.jsonl").write_text('{"line_number": 0, "run_', encoding="utf-8")
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})

    with pytest.raises(DataError, match="not JSON") as caught:
        import_promptflow_run(source, settings)

    assert caught.value.line == 1
    assert not (tmp_path / "state" / "runs" / "torn").exists()
