"""Small flows and datasets on disk; runs go through real hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from genaiops.runs import RunRecord, RunSpec, run_batch
from genaiops.settings import Settings, load_settings

FlowMaker = Callable[..., Path]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state"), "PATH": "/usr/bin:/bin"})


@pytest.fixture
def make_flow(tmp_path: Path) -> FlowMaker:
    """A graph with one Python node `work(x)`, and whatever else the flow file shall say."""

    def make(code: str, *, name: str = "flow", inputs: str = "x: {type: int}", more: str = "", **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        head = f"inputs:\n  {inputs}\noutputs:\n  y: {{type: object, reference: '${{work.output}}'}}\n"
        node = "- {name: work, type: python, source: {type: code, path: work.py}, inputs: {x: '${inputs.x}'}}\n"
        (folder / "flow.dag.yaml").write_text(f"{head}nodes:\n{node}{dedent(more)}", encoding="utf-8")
        (folder / "work.py").write_text("from promptflow.core import tool\n" + dedent(code), encoding="utf-8")
        for file, text in files.items():
            (folder / f"{file}.py").write_text(dedent(text), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def make_rows(tmp_path: Path) -> Callable[..., Path]:
    def make(rows: int | Sequence[Mapping[str, Any]], name: str = "rows.jsonl") -> Path:
        values = [{"x": index} for index in range(rows)] if isinstance(rows, int) else rows
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
        return path

    return make


@pytest.fixture
def run(settings: Settings) -> Callable[..., RunRecord]:
    def start(flow: Path, data: Path | None, **options: Any) -> RunRecord:
        return run_batch(RunSpec(flow=flow, data=data, **options), settings)

    return start


DOUBLE = """
@tool
def work(x: int) -> int:
    return 2 * x
"""


def outputs(record: RunRecord) -> dict[int, Any]:
    """The output `y` of each row that completed."""
    return {item["row"]: item["outputs"]["y"] for item in record.outcomes() if item["status"] == "completed"}


def kinds(record: RunRecord) -> dict[int, str]:
    """The kind of error of each row that failed."""
    return {item["row"]: item["error"]["kind"] for item in record.outcomes() if item["status"] == "failed"}
