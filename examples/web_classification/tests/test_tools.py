"""The Python nodes of the flow do what the flow relies on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("experiment", "accuracy", "labels")]

from fetch_text_content import fetch_text_content  # noqa: E402 - the flow's folders come first
from inspect_label import inspect_label  # noqa: E402
from per_label import f1  # noqa: E402
from read_label import LABELS, read_label  # noqa: E402


def test_a_page_is_read_without_navigation_and_scripts() -> None:
    text = fetch_text_content("/rye-bread.html")

    assert text.startswith("Rye bread")
    assert "sourdough" in text
    assert "Contact" not in text
    assert "window" not in text


def test_only_web_addresses_are_fetched() -> None:
    with pytest.raises(ValueError, match="http"):
        fetch_text_content("file:///etc/hostname")


@pytest.mark.parametrize(("reply", "category"), [("News", "news"), (" job.\n", "job"), ("I do not know", "unknown")])
def test_a_reply_becomes_a_label_or_unknown(reply: str, category: str) -> None:
    assert read_label(reply)["category"] == category


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    """One hit, one false alarm, one miss: precision 1/2, recall 1/2, F1 1/2."""
    assert f1("a", ["a", "a", "b"], ["a", "b", "a"]) == 0.5


def test_an_unknown_label_is_neither_answered_nor_correct() -> None:
    assert inspect_label("news", "unknown") == {"answered": 0, "correct": 0}


def test_every_row_has_its_page_and_a_known_label() -> None:
    for name in ("pages_labels", "pages_new_labels"):
        for line in (USE_CASE / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            assert (USE_CASE / "flows" / "experiment" / "pages" / row["url"].lstrip("/")).is_file()
            assert row["label"] in LABELS
