"""JUnit as a reader of its own counts it."""

from __future__ import annotations

from io import BytesIO
from typing import Literal
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from genaiops.junit import JUnitTest, junit_xml

RESULTS: list[Literal["passed", "failed", "skipped"]] = ["passed", "failed", "skipped"]
TESTS = st.builds(
    JUnitTest,
    name=st.text(max_size=8),
    group=st.text(max_size=8),
    result=st.sampled_from(RESULTS),
    words=st.text(max_size=8),
    kind=st.text(max_size=4),
    seconds=st.none() | st.floats(0, 1e6),
)


@given(suites=st.dictionaries(st.text(max_size=6), st.lists(TESTS, max_size=4), max_size=3))
def test_a_reader_finds_every_test_with_its_result_and_the_totals_that_it_counts(
    suites: dict[str, list[JUnitTest]],
) -> None:
    text = junit_xml(suites)

    document = JUnitXml.fromfile(BytesIO(text.encode()))
    told = [(suite.tests, suite.failures, suite.skipped, suite.errors, suite.time) for suite in document]
    document.update_statistics()
    assert told == [(suite.tests, suite.failures, suite.skipped, suite.errors, suite.time) for suite in document]
    root = ElementTree.fromstring(text)
    for element, tests in zip(root.findall("testsuite"), suites.values(), strict=True):
        marks = [{child.tag for child in case} & {"failure", "skipped"} for case in element.findall("testcase")]
        expected = {"passed": set(), "failed": {"failure"}, "skipped": {"skipped"}}
        assert marks == [expected[test.result] for test in tests]
