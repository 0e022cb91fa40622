"""The experiment for the test view of a CI server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from genaiops.plain_text import plain, plural
from genaiops.reports._story import Story, label


def junit_report(story: Story) -> str:
    """JUnit XML: one test for each check of the gate, for each check of the alert, and for each run.

    A run fails when none of its rows completed; that too many failed is for the gate to say. What was not judged is
    skipped, never passed.
    """
    document = Element("testsuites")
    document.append(_suite(f"{story.name}: gate", _cases(story, story.verdict, "gate", "No gate judged it.")))
    if story.alert:
        cases = _cases(story, story.alert, "alert", "Nothing could be judged.")
        document.append(_suite(f"{story.name}: alert", cases))
    document.append(_suite(f"{story.name}: runs", (_run_case(story, run) for run in story.runs)))
    text: bytes = tostring(document, encoding="utf-8")
    return text.decode("utf-8")


def _suite(name: str, tests: Iterable[Element]) -> Element:
    """A suite with its totals; those of the whole document are for servers to add up."""
    cases = list(tests)
    failures, skipped = (sum(case.find(tag) is not None for case in cases) for tag in ("failure", "skipped"))
    seconds = round(sum(float(time) for case in cases if (time := case.get("time"))), 3)
    totals = {"tests": len(cases), "errors": 0, "failures": failures, "skipped": skipped, "time": seconds}
    suite = Element("testsuite", {"name": plain(name), **{key: str(value) for key, value in totals.items()}})
    suite.extend(cases)
    return suite


def _cases(story: Story, verdict: Mapping[str, Any], part: str, nothing: str) -> Iterator[Element]:
    """One test for each check of a gate's or an alert's verdict."""
    checks = verdict.get("checks") or []
    for check in checks:
        parts = [
            check.get("metric") or check.get("rule"),
            check.get("evaluator"),
            check.get("segment"),
            check.get("variant"),
            check.get("dataset"),
        ]
        case = _case(" · ".join(str(each) for each in parts if each), _class(story, _rule(part, check)))
        words = plain(str(check.get("words")))
        _judge(case, check.get("result"), words, kind=str(check.get("rule")))
        SubElement(case, "system-out").text = words
        yield case
    if not checks:
        case = _case("verdict", _class(story, part))
        words = plain(" ".join(str(reason) for reason in verdict.get("reasons", ())) or nothing)
        _judge(case, verdict.get("result"), words)
        yield case


def _case(name: str, kind: str, **attributes: str) -> Element:
    return Element("testcase", {"name": plain(name), "classname": kind, **attributes})


def _judge(case: Element, result: Any, words: str, *, kind: str = "") -> None:
    """Mark a test as failed or skipped; one that passed has no mark."""
    about = {"message": words} if words else {}
    if result == "failed":
        SubElement(case, "failure", {**about, **({"type": kind} if kind else {})})
    elif result != "passed":
        SubElement(case, "skipped", about)


def _rule(part: str, check: Mapping[str, Any]) -> str:
    """A gate and an alert may make the same demand: servers show tests of one name as one."""
    return str(check.get("rule")) if part == "gate" else f"{part}.{check.get('rule')}"


def _run_case(story: Story, run: Mapping[str, Any]) -> Element:
    rows = run.get("rows") or {}
    seconds = run.get("duration_s")
    time = {} if seconds is None else {"time": str(float(seconds))}
    case = _case(f"{label(run)} on {run.get('dataset')}", _class(story, "runs"), **time)
    failed = int(rows.get("failed") or 0)
    mine = [each for each in story.failures if each.variant == label(run)]
    lines = [f"{plural(int(rows.get('completed') or 0), 'row')} completed, {failed} failed."]
    for failure in mine[:10]:
        numbers = [str(row) for dataset, row in failure.rows if dataset == run.get("dataset")][:20]
        if numbers:
            lines.append(f"{failure.kind}: {failure.message[:300]} (rows {', '.join(numbers)})")
    words = plain("\n".join(lines))
    if not rows.get("completed"):
        _judge(case, "failed", words, kind="no row completed")
    SubElement(case, "system-out").text = words
    return case


def _class(story: Story, part: Any) -> str:
    return plain(f"{story.name}.{str(part).replace(' ', '_')}")
