"""JUnit for CI servers."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from junitparser import JUnitXml

from genaiops.reports import write_reports
from tests.gates.folders import passes, write_experiment
from tests.reports.sample import Sample, write_sample


def suites(file: Path) -> dict[str, ElementTree.Element]:
    root = ElementTree.parse(file).getroot()
    return {str(suite.get("name")): suite for suite in root.findall("testsuite")}


def test_every_check_and_every_run_is_a_test(reports: Path) -> None:
    found = suites(reports / "junit.xml")

    assert int(found["web_classification: gate"].get("failures", 0)) >= 1
    assert found["web_classification: runs"].get("tests") == "6"
    assert found["web_classification: runs"].get("failures") == "0"


def test_totals_are_those_that_a_reader_of_junit_counts(reports: Path, hostile: Path) -> None:
    for folder in (reports, hostile):
        found = JUnitXml.fromfile(str(folder / "junit.xml"))
        told = [(suite.tests, suite.failures, suite.skipped, suite.errors, suite.time) for suite in found]

        found.update_statistics()

        assert told == [(suite.tests, suite.failures, suite.skipped, suite.errors, suite.time) for suite in found]


def test_no_two_tests_have_one_name(reports: Path) -> None:
    """Servers show tests of one name as one."""
    for suite in suites(reports / "junit.xml").values():
        names = [(case.get("classname"), case.get("name")) for case in suite.findall("testcase")]
        assert len(set(names)) == len(names)


def test_only_what_the_schema_of_jenkins_allows_is_written(reports: Path, hostile: Path) -> None:
    """Elements, attributes and required ones of junit-10.xsd in jenkinsci/xunit-plugin."""
    allowed = {
        "testsuites": {"name", "time", "tests", "failures", "errors"},
        "testsuite": {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id",
                      "package", "file", "log", "url"},
        "testcase": {"name", "time", "classname", "group"},
        "failure": {"type", "message"},
        "skipped": {"type", "message"},
        "system-out": set(),
    }  # fmt: skip
    required = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
    for folder in (reports, hostile):
        for element in ElementTree.parse(folder / "junit.xml").getroot().iter():
            assert set(element.attrib) <= allowed[element.tag]
            assert required.get(element.tag, set()) <= set(element.attrib)
            if element.tag == "testsuite":
                assert re.fullmatch(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?", element.attrib["time"])


def test_run_without_a_completed_row_fails(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"ok": []}}, failed={"variant_0": 5})

    write_reports(folder, tmp_path / "r", ["junit"])

    assert suites(tmp_path / "r" / "junit.xml")["demo: runs"].get("failures") == "1"


def test_experiment_without_a_gate_is_skipped_not_passed(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"ok": passes(3, 4)}})

    write_reports(folder, tmp_path / "r", ["junit"])

    assert suites(tmp_path / "r" / "junit.xml")["demo: gate"].get("skipped") == "1"


def test_hostile_texts_are_valid_xml(hostile: Path, tmp_path: Path) -> None:
    assert suites(hostile / "junit.xml")
    svg = hostile / "report-static" / "cost-quality.svg"
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    del tmp_path


def test_failures_are_told_with_their_rows(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=40, failing=0.2, variants=("variant_0",), datasets=("one",)))

    write_reports(folder, tmp_path / "r", ["junit"])

    text = (tmp_path / "r" / "junit.xml").read_text(encoding="utf-8")
    assert "RateLimitError" in text
    assert "(rows " in text
