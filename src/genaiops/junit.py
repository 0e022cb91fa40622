"""JUnit XML, as the test views of CI servers read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from genaiops.plain_text import plain
from genaiops.records import record


@record(frozen=True, kw_only=True)
class JUnitTest:
    """One test.

    Args:
        name: What servers show.
        group: Where they show it: parts with points between. Tests of one group and name are one test to them.
        result: What was not judged is skipped, never passed.
        words: Why.
        kind: Of a failure: what was not held.
        seconds: How long it took.
    """

    name: str
    group: str
    result: Literal["passed", "failed", "skipped"]
    words: str = ""
    kind: str = ""
    seconds: float | None = None


def junit_xml(suites: Mapping[str, Iterable[JUnitTest]]) -> str:
    """The document.

    Args:
        suites: Name to tests.

    Source:
        junit-10.xsd of the xunit plug-in of Jenkins.
    """
    document = Element("testsuites")
    for name, tests in suites.items():
        document.append(_suite(name, list(tests)))
    text: bytes = tostring(document, encoding="utf-8")
    return text.decode("utf-8")


def _suite(name: str, tests: list[JUnitTest]) -> Element:
    """A suite with its totals; those of the whole document are for servers to add up."""
    results = [test.result for test in tests]
    totals = {
        "tests": len(tests),
        "errors": 0,
        "failures": results.count("failed"),
        "skipped": results.count("skipped"),
        "time": round(sum(test.seconds or 0.0 for test in tests), 3),
    }
    suite = Element("testsuite", {"name": plain(name), **{key: str(value) for key, value in totals.items()}})
    suite.extend(map(_case, tests))
    return suite


def _case(test: JUnitTest) -> Element:
    time = {} if test.seconds is None else {"time": str(float(test.seconds))}
    case = Element("testcase", {"name": plain(test.name), "classname": plain(test.group), **time})
    words = plain(test.words)
    message = {"message": words} if words else {}
    if test.result == "failed":
        SubElement(case, "failure", {**message, **({"type": plain(test.kind)} if test.kind else {})})
    elif test.result == "skipped":
        SubElement(case, "skipped", message)
    if words:
        SubElement(case, "system-out").text = words
    return case
