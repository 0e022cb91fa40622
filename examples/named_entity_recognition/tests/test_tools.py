"""The Python nodes of the flow do what the flow relies on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("standard", "evaluation")]

from cleansing import cleansing  # noqa: E402 - the flow's folders come first
from compare import compare  # noqa: E402


def test_a_reply_is_split_at_commas_and_ands_and_each_name_kept_once() -> None:
    assert cleansing(" Porto, Lisbon and Porto.\nThat is all.") == ["Porto", "Lisbon"]
    assert cleansing("") == []


def test_a_match_ignores_case_and_order() -> None:
    assert compare(["lisbon", "Porto"], "Porto, Lisbon") == {"exact_match": 1, "partial_match": 1}
    assert compare(["Porto", "Madrid"], "Porto, Lisbon") == {"exact_match": 0, "partial_match": 1}
    assert compare([], "Porto") == {"exact_match": 0, "partial_match": 0}


def test_every_right_entity_stands_in_its_text() -> None:
    for line in (USE_CASE / "data" / "eval_data.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert all(entity in row["text"] for entity in row["entities"].split(", "))
