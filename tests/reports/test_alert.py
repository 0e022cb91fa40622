"""An alert in every form of a report: whether quality fell, by how much, on how many rows, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from genaiops.gates import judge_alert, judge_experiment, load_evidence, read_alert, read_policy, record_verdict
from genaiops.gates import record_alert as put_on_record
from genaiops.reports import write_reports
from tests.gates.folders import passes, write_experiment
from tests.reports.html_reading import read_page

WATCHED = {"metrics": {"accuracy": {"margin": 0.05}}}
DELIVERY = {"sent": False, "host": "chat.example", "attempts": 4, "status": 503, "error": "it answered 503 <b>"}


def alerted(
    folder: Path,
    scores: Sequence[float | None],
    accepted: Sequence[float | None] | None = None,
    *,
    block: Mapping[str, Any] = WATCHED,
    gate: Mapping[str, Any] | None = None,
    delivery: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Reports of an experiment over production requests whose alert was judged."""
    production = write_experiment(folder / "production", {"logged": {"accuracy": scores}}, default="logged", **options)
    level = write_experiment(folder / "level", {"logged": {"accuracy": accepted}}) if accepted is not None else None
    verdict = judge_alert(load_evidence(production), read_alert(block), load_evidence(level) if level else None)
    put_on_record(production, verdict, delivery)
    if gate is not None:
        record_verdict(production, judge_experiment(production, read_policy(gate)))
    write_reports(production, folder / "reports")
    return folder / "reports"


@pytest.fixture(scope="module")
def fell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 of 80 against 56 of 70: Newcombe's interval of the difference is −0.334 to −0.052."""
    return alerted(tmp_path_factory.mktemp("fell"), passes(48, 80), passes(56, 70), delivery=DELIVERY)


@pytest.mark.parametrize("page", ["report.html", "report-static/index.html"])
def test_the_page_says_that_quality_fell_by_how_much_and_on_how_many_rows(fell: Path, page: str) -> None:
    seen = read_page(fell / page)

    words = seen.words
    assert words.index("Quality fell below the accepted level.") < words.index("What to do next")
    assert "▼ fell 0.800 70 rows 0.600 80 requests" in words
    assert "accuracy: −0.200, interval −0.334 to −0.052, fell −0.200 −0.334 to −0.052 0.05" in words  # drawn, written
    assert "No gate judged it" not in words
    assert next(found for tag, found in seen.elements if tag == "html")["data-tone"] == "worse"
    assert {"chip worse", "point worse"} <= set(seen.attributes("class"))


def test_a_message_that_did_not_arrive_is_told_as_text(fell: Path) -> None:
    words = read_page(fell / "report.html").words

    assert "The message did not reach chat.example in 4 tries: it answered 503 <b>." in words


def test_the_title_of_a_tab_and_of_a_comment_say_it(fell: Path) -> None:
    comment = (fell / "comment.md").read_text(encoding="utf-8")

    assert "<title>demo · alert</title>" in (fell / "report.html").read_text(encoding="utf-8")
    assert comment.splitlines()[1] == "## ❌ demo: Quality fell below the accepted level."
    assert "| accuracy | train | 🔽 fell | 0.8 | 0.6 | −0.200 | −0.334 to −0.052 | 0.05 | 80 | 70 |" in comment


def test_the_shortest_comment_still_has_the_alert(fell: Path) -> None:
    text = (fell / "comment-short.md").read_text(encoding="utf-8")

    assert "🔽 fell" in text
    assert len(text) <= 4000


def test_every_check_of_an_alert_is_a_test_of_its_own_name(tmp_path: Path) -> None:
    """A gate with the same demand has tests too: servers show tests of one name as one."""
    block = {"metrics": {"accuracy": {"margin": 0.05, "min": 0.7}}}
    folder = alerted(
        tmp_path, passes(48, 80), passes(56, 70), block=block, gate={"metrics": {"accuracy": {"min": 0.3}}}
    )

    root = ElementTree.parse(folder / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root.findall("testsuite")}
    assert (suites["demo: gate"].get("failures"), suites["demo: alert"].get("failures")) == ("0", "1")
    (failed,) = (case for case in suites["demo: alert"] if case.find("failure") is not None)
    assert failed.get("classname") == "demo.alert.accepted_level"
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_the_record_for_programs_has_every_check_of_the_alert(fell: Path) -> None:
    alert = json.loads((fell / "report.json").read_text(encoding="utf-8"))["alert"]

    (check,) = (each for each in alert["checks"] if each["rule"] == "accepted level")
    assert (alert["result"], alert["words"]) == ("failed", "quality fell below the accepted level")
    assert (check["details"]["rows"], check["details"]["accepted_rows"]) == (80, 70)


def test_quality_that_held_is_told_in_its_own_words_and_colour(tmp_path: Path) -> None:
    folder = alerted(tmp_path, passes(1880, 2000), passes(1880, 2000))

    seen = read_page(folder / "report.html")
    assert "Quality holds." in seen.words
    assert "● held 0.940" in seen.words
    assert next(found for tag, found in seen.elements if tag == "html")["data-tone"] == "fine"
    assert "🟢 held" in (folder / "summary.md").read_text(encoding="utf-8")


def test_that_nothing_is_proven_is_no_good_news(tmp_path: Path) -> None:
    """15 of 20 against 56 of 70: a change of 2.802·√(0.75·0.25/20 + 0.8·0.2/70) = 0.303 would have shown."""
    folder = alerted(tmp_path, passes(15, 20), passes(56, 70))

    seen = read_page(folder / "report.html")
    assert "No fall is proven, but nothing proves that quality held." in seen.words
    assert "? cannot tell a change of 0.303 would have shown" in seen.words
    assert "Score more requests" in seen.words
    assert next(found for tag, found in seen.elements if tag == "html")["data-tone"] == "unsure"
    assert "❔ cannot tell" in (folder / "summary.md").read_text(encoding="utf-8")


def test_without_an_accepted_level_the_report_says_how_to_get_one(tmp_path: Path) -> None:
    folder = alerted(tmp_path, passes(15, 20))

    words = read_page(folder / "report.html").words
    assert "It cannot be told whether quality fell." in words
    assert "There is no accepted level yet (champion)" in words
    assert "genaiops gate --promote" in words
    assert "Write down what good enough means" not in words


def test_failed_requests_are_an_alarm_but_no_fall_of_quality(tmp_path: Path) -> None:
    folder = alerted(tmp_path, passes(1880, 2000), passes(1880, 2000), failed={"logged": 200})

    words = read_page(folder / "report.html").words
    assert "Too many requests failed." in words
    assert "✕ broken logged on train: 200 of 2,200 rows failed" in words
    assert "● held 0.940" in words


def test_a_gate_that_passed_does_not_hide_an_alarm(tmp_path: Path) -> None:
    folder = alerted(tmp_path, passes(48, 80), passes(56, 70), gate={"metrics": {"accuracy": {"min": 0.3}}})

    seen = read_page(folder / "report.html")
    assert "The gate passed. Quality fell below the accepted level." in seen.words
    assert next(found for tag, found in seen.elements if tag == "html")["data-tone"] == "worse"
    assert "Release it" not in seen.words
    assert "<title>demo · passed · alert</title>" in (folder / "report.html").read_text(encoding="utf-8")


def test_less_of_a_bad_thing_is_a_rise(tmp_path: Path) -> None:
    long, short = [9.0, 8.0, 10.0] * 20, [3.0, 2.0, 4.0] * 20
    production = write_experiment(tmp_path / "p", {"logged": {"length": short}}, lower_is_better=["length"])
    level = write_experiment(tmp_path / "l", {"logged": {"length": long}}, lower_is_better=["length"])
    policy = read_alert({"metrics": {"length": {"margin": 1}}})
    put_on_record(production, judge_alert(load_evidence(production), policy, load_evidence(level)))

    write_reports(production, tmp_path / "r", ["page"])

    assert "▲ rose 9.000 60 rows 3.000 60 requests length: −6.000" in read_page(tmp_path / "r" / "report.html").words


def test_a_record_with_the_short_alert_only_is_drawn_too(tmp_path: Path) -> None:
    """A folder that was copied without its `alert.json`, or one of an earlier version."""
    extra = {"alert": {"result": "failed", "reasons": ["accuracy <fell>."], "delivery": None}}
    folder = write_experiment(tmp_path / "e", {"logged": {"accuracy": passes(1, 2)}}, extra=extra)

    write_reports(folder, tmp_path / "r")

    words = read_page(tmp_path / "r" / "report.html").words
    assert "Quality fell below the accepted level." in words
    assert "accuracy <fell>." in words
    assert "accuracy \\<fell\\>." in (tmp_path / "r" / "comment.md").read_text(encoding="utf-8")


def test_an_experiment_that_nobody_watches_shows_no_alert(reports: Path) -> None:
    assert "accepted level" not in read_page(reports / "report.html").words
    assert not re.search("accepted level", (reports / "comment.md").read_text(encoding="utf-8"))
