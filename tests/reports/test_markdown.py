"""Markdown for summaries and comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.reports import COMMENT_CHARACTERS, SHORT_CHARACTERS, markdown_report, read_story
from tests.reports.sample import Sample, write_sample


def test_comment_begins_with_the_verdict_and_a_mark_to_find_it_again(reports: Path) -> None:
    lines = (reports / "comment.md").read_text(encoding="utf-8").splitlines()

    assert lines[0] == "<!-- genaiops web_classification -->"
    assert lines[1] == "## ❌ web\\_classification: The gate failed."


def test_summary_has_what_matters_in_its_order(reports: Path) -> None:
    text = (reports / "summary.md").read_text(encoding="utf-8")

    headings = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    assert headings == ["What to do next", "Against the default variant", "Metrics", "Weakest parts of the data",
                        "Where losses begin", "Failures", "Cost and time"]  # fmt: skip
    assert "🔽 worse" in text
    assert "begin in `summarize_text_content`" in text


def test_nothing_is_left_out_where_there_is_room(reports: Path) -> None:
    assert "Left out" not in (reports / "comment.md").read_text(encoding="utf-8")


def test_short_comment_fits_and_says_what_was_left_out(reports: Path) -> None:
    text = (reports / "comment-short.md").read_text(encoding="utf-8")

    assert len(text) <= 4000
    assert "_Left out because this place takes no more:" in text
    assert "The gate failed." in text


@pytest.mark.parametrize("most", [SHORT_CHARACTERS, 12_000, COMMENT_CHARACTERS])
def test_no_size_is_ever_passed(tmp_path: Path, most: int) -> None:
    variants = tuple(f"variant_{n}" for n in range(40))
    story = read_story(write_sample(tmp_path, Sample(rows=8, variants=variants, hostile=True)))

    text = markdown_report(story, most=most, marker=True)

    assert len(text.encode("utf-16-le", "replace")) // 2 <= most
    assert text.startswith("<!-- genaiops")
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}) == 1


@given(st.integers(900, 9000))
def test_any_size_is_kept_in_bytes(experiment: Path, most: int) -> None:
    assert len(markdown_report(read_story_once(experiment), most=most, in_bytes=True).encode()) <= most


_stories: dict[Path, object] = {}


def read_story_once(folder: Path):  # type: ignore[no-untyped-def]
    if folder not in _stories:
        _stories[folder] = read_story(folder)
    return _stories[folder]


def test_text_of_models_shapes_nothing(hostile: Path) -> None:
    text = (hostile / "summary.md").read_text(encoding="utf-8")

    bare = re.sub(r"\\.", "", text)
    assert "<script" not in bare
    assert "<img" not in bare
    assert "](" not in bare
    assert "http://" not in text
    assert "@everyone" not in text
    assert not re.search(r"[#!]\d", text)  # numbers of issues and pull requests
    assert "\x1b" not in text
