"""The experiment for the test view of a CI server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from genaiops.plain_text import plain, plural
from genaiops.reports._story import Story, label


def junit_report(story: Story) -> str:
    """JUnit XML: one test for each check of the gate, for each check of the alert, and for each run.

    A run fails when none of its rows completed; that too many failed is for the gate to say. What was not judged is
    skipped, never passed.
    """
    from junitparser import JUnitXml, TestSuite

    document = JUnitXml()
    gate = TestSuite(plain(f"{story.name}: gate"))
    for case in _cases(story, story.verdict, "gate", "No gate judged it."):
        gate.add_testcase(case)
    runs = TestSuite(plain(f"{story.name}: runs"))
    for run in story.runs:
        runs.add_testcase(_run_case(story, run))
    document.add_testsuite(gate)
    if story.alert:
        alert = TestSuite(plain(f"{story.name}: alert"))
        for case in _cases(story, story.alert, "alert", "Nothing could be judged."):
            alert.add_testcase(case)
        document.add_testsuite(alert)
    document.add_testsuite(runs)
    text: bytes = document.tostring()
    return text.decode("utf-8")


def _cases(story: Story, verdict: Mapping[str, Any], part: str, nothing: str) -> Iterator[Any]:
    """One test for each check of a gate's or an alert's verdict."""
    from junitparser import Failure, Skipped, TestCase

    checks = verdict.get("checks") or []
    for check in checks:
        parts = [
            check.get("metric") or check.get("rule"),
            check.get("evaluator"),
            check.get("segment"),
            check.get("variant"),
            check.get("dataset"),
        ]
        case = TestCase(
            plain(" · ".join(str(each) for each in parts if each)), classname=_class(story, _rule(part, check))
        )
        words = plain(str(check.get("words")))
        if check.get("result") == "failed":
            case.result = [Failure(words, type_=str(check.get("rule")))]
        elif check.get("result") != "passed":
            case.result = [Skipped(words)]
        case.system_out = words
        yield case
    if not checks:
        case = TestCase("verdict", classname=_class(story, part))
        words = plain(" ".join(str(reason) for reason in verdict.get("reasons", ())) or nothing)
        if verdict.get("result") == "failed":
            case.result = [Failure(words)]
        elif verdict.get("result") != "passed":
            case.result = [Skipped(words)]
        yield case


def _rule(part: str, check: Mapping[str, Any]) -> str:
    """A gate and an alert may make the same demand: servers show tests of one name as one."""
    return str(check.get("rule")) if part == "gate" else f"{part}.{check.get('rule')}"


def _run_case(story: Story, run: Mapping[str, Any]) -> Any:
    from junitparser import Failure, TestCase

    rows = run.get("rows") or {}
    case = TestCase(
        plain(f"{label(run)} on {run.get('dataset')}"), classname=_class(story, "runs"), time=run.get("duration_s")
    )
    failed = int(rows.get("failed") or 0)
    mine = [each for each in story.failures if each.variant == label(run)]
    lines = [f"{plural(int(rows.get('completed') or 0), 'row')} completed, {failed} failed."]
    for failure in mine[:10]:
        numbers = [str(row) for dataset, row in failure.rows if dataset == run.get("dataset")][:20]
        if numbers:
            lines.append(f"{failure.kind}: {failure.message[:300]} (rows {', '.join(numbers)})")
    words = plain("\n".join(lines))
    if not rows.get("completed"):
        case.result = [Failure(words, type_="no row completed")]
    case.system_out = words
    return case


def _class(story: Story, part: Any) -> str:
    return plain(f"{story.name}.{str(part).replace(' ', '_')}")
