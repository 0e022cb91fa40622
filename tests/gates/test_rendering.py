"""Verdicts for people and for CI servers."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from genaiops.gates import (
    Check,
    Verdict,
    judge_experiment,
    read_policy,
    record_verdict,
    verdict_junit,
    verdict_markdown,
    verdict_text,
)
from tests.gates.folders import passes, write_experiment

HOSTILE = 'x|y<script>alert(1)</script>[a](http://evil.example/)@team\x1b[31m\x00"&'

MIXED = Verdict(
    result="failed",
    reasons=("accuracy is below 0.8.",),
    candidate="variant_0",
    checks=(
        Check(rule="floor", result="failed", words="accuracy is below 0.8.", metric="accuracy", dataset="train"),
        Check(rule="latency", result="passed", words="fast enough."),
        Check(rule="segment", result="not judged", words="3 rows: too few.", metric="accuracy", segment="lang = fi"),
    ),
)


def test_text_shows_failures_first() -> None:
    lines = verdict_text(MIXED).splitlines()

    assert lines[0] == "Gate: failed"
    assert [line.strip()[0] for line in lines[2:]] == ["✗", "–", "✓"]


def test_markdown_has_the_reason_and_every_check() -> None:
    text = verdict_markdown(MIXED)

    assert text.startswith("### ❌ Gate failed")
    assert text.count("\n| ") == 4  # the heading and three checks


def test_junit_counts_failures_and_skips() -> None:
    root = ElementTree.fromstring(verdict_junit(MIXED, suite="demo"))

    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert next(iter(suite)).get("name") == "accuracy (floor) [train]"


def test_gate_that_was_not_judged_is_no_passed_test() -> None:
    root = ElementTree.fromstring(verdict_junit(Verdict(result="not judged", reasons=("No gate.",))))

    assert root.find("testsuite/testcase/skipped") is not None


def test_hostile_names_shape_nothing() -> None:
    check = Check(rule="floor", result="failed", words=HOSTILE, metric=HOSTILE, variant=HOSTILE)
    verdict = Verdict(result="failed", reasons=(HOSTILE,), checks=(check,), candidate=HOSTILE)

    markdown, text, junit = verdict_markdown(verdict), verdict_text(verdict), verdict_junit(verdict, suite=HOSTILE)

    assert "<script" not in markdown.replace("\\<", "")
    assert "http://" not in markdown
    assert "\x1b" not in markdown + text + junit
    assert ElementTree.fromstring(junit) is not None
    assert len([line for line in markdown.splitlines() if line.startswith("| ❌")]) == 1


def test_verdict_survives_its_file(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(9, 10)}})
    verdict = judge_experiment(folder, read_policy({"metrics": {"accuracy": 0.95}}))

    file = record_verdict(folder, verdict)

    assert Verdict.from_json(json.loads(file.read_text(encoding="utf-8"))) == verdict
    stored = json.loads((folder / "experiment.json").read_text(encoding="utf-8"))["verdict"]
    assert stored == {"result": "failed", "reasons": list(verdict.reasons)}
    assert sorted(path.name for path in folder.iterdir()) == ["experiment.json", "row_scores.jsonl", "verdict.json"]
