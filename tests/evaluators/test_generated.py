"""Flows that we write for plain Python: many evaluations use them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from genaiops.evaluators import (
    eval_functions,
    write_adapter_flow,
    write_contract_flow,
    write_entry_flow,
    write_row_flow,
)


def function_in(folder: Path) -> list:
    (folder / "eval_it.py").write_text("def eval_it(x):\n    return x\n")
    return list(eval_functions(folder))


WRITERS: dict[str, Callable[[Path, Path], Path]] = {
    "entry": lambda target, home: write_entry_flow(target, "score:right", code=home),
    "rows": lambda target, home: write_row_flow(target, function_in(home), inputs=["x"], folders=[home]),
    "contract": lambda target, home: write_contract_flow(target, function_in(home)[0], workdir=home, folders=[home]),
    "adapter": lambda target, home: write_adapter_flow(target, "autoevals:ExactMatch", inputs=["x"], options={}),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_flow_that_is_there_already_is_not_touched(write: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "made", tmp_path)
    before = {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.iterdir()}

    write(tmp_path / "made", tmp_path)

    assert {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_whoever_reads_a_flow_while_it_is_written_sees_all_of_one(tmp_path: Path) -> None:
    texts = set()
    for entry in ("score:right", "score:other"):
        file = write_entry_flow(tmp_path / entry.partition(":")[2], entry, code=tmp_path) / "flow.flex.yaml"
        texts.add(file.read_text())
    file = write_entry_flow(tmp_path / "made", "score:right", code=tmp_path) / "flow.flex.yaml"
    is_over = threading.Event()

    def write() -> None:
        for number in range(400):
            write_entry_flow(tmp_path / "made", ("score:right", "score:other")[number % 2], code=tmp_path)
        is_over.set()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = set()
    while not is_over.is_set():
        seen.add(file.read_text())
    for writer in writers:
        writer.join()

    assert seen <= texts
