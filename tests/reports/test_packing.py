"""Rows for the page's script."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from genaiops.reports import read_story
from genaiops.reports._packing import Packed, pack_rows
from tests.reports.sample import Sample, write_sample


def unpacked(packed: Packed) -> dict[str, Any]:
    text = packed.text
    if packed.encoding == "deflate":
        text = zlib.decompress(base64.b64decode(text)).decode("utf-8")
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_small_experiments_stay_readable_in_the_source(experiment: Path) -> None:
    packed = pack_rows(read_story(experiment), budget=1_000_000)

    assert packed.encoding == "json"
    assert "<" not in packed.text
    assert "pages.example" in packed.text


def test_outputs_as_the_default_variants_are_not_said_twice(tmp_path: Path) -> None:
    story = read_story(write_sample(tmp_path, Sample(rows=20, failing=0.0)))

    found = unpacked(pack_rows(story, budget=1_000_000))

    place = found["variants"].index("variant_1")
    for row, cells in ((row, row[4]) for row in found["rows"]):
        truth = next(each for each in story.rows if (each.dataset, each.number) == (found["datasets"][row[0]], row[1]))
        same = truth.cells["variant_0"].outputs == truth.cells["variant_1"].outputs
        assert (cells[place][1] == 0) == same


@pytest.mark.parametrize("budget", [400_000, 120_000, 40_000])
def test_texts_are_cut_before_rows_are_left_out(tmp_path: Path, budget: int) -> None:
    story = read_story(write_sample(tmp_path, Sample(rows=150, gibberish=True, text_words=40)))

    packed = pack_rows(story, budget=budget)

    assert len(packed.text) <= budget
    assert packed.rows == len(unpacked(packed)["rows"])
    if budget >= 120_000:
        assert packed.rows == 300


def test_rows_that_say_most_are_kept_when_not_all_fit(tmp_path: Path) -> None:
    story = read_story(write_sample(tmp_path, Sample(rows=150, gibberish=True, text_words=40)))

    found = unpacked(pack_rows(story, budget=20_000))

    failed = sum(row.change == "failed" for row in story.rows)
    assert 0 < len(found["rows"]) < 300
    assert sum(row[2] == "failed" for row in found["rows"]) == min(failed, len(found["rows"]))


def test_cut_texts_say_what_was_cut(tmp_path: Path) -> None:
    story = read_story(write_sample(tmp_path, Sample(rows=2, variants=("variant_0",), text_words=2000)))

    found = unpacked(pack_rows(story, budget=1_000_000))

    assert "more characters)" in json.dumps(found)
