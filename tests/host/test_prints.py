from __future__ import annotations

import os
import threading
from contextvars import copy_context
from pathlib import Path

from genaiops.host._prints import MarkedStream, current_row


def written(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1]


def open_stream(path: Path) -> MarkedStream:
    return MarkedStream("<test>", os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def test_each_line_carries_the_mark_of_the_row_that_wrote_it(tmp_path: Path) -> None:
    stream = open_stream(tmp_path / "out")

    def row(name: str) -> None:
        current_row.set(name)
        print("one", end=" ", file=stream)
        print("two\nthree", file=stream)

    threads = [threading.Thread(target=copy_context().run, args=(row, f"1\x1f{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = written(tmp_path / "out")
    assert sorted(lines) == sorted(f"\x1e1\x1f{n}\x1f{text}" for n in range(4) for text in ("one two", "three"))


def test_a_line_without_an_end_waits_for_it_or_for_the_flush(tmp_path: Path) -> None:
    stream = open_stream(tmp_path / "out")
    stream.write("half")
    before = written(tmp_path / "out")

    stream.flush()

    assert (before, written(tmp_path / "out")) == ([], ["half"])


def test_half_a_surrogate_pair_is_escaped(tmp_path: Path) -> None:
    stream = open_stream(tmp_path / "out")

    stream.write("bad \ud800 text\n")

    assert written(tmp_path / "out") == [r"bad \ud800 text"]
