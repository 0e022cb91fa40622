"""The experiment for the test view of a CI server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from genaiops.junit import JUnitTest, junit_xml
from genaiops.plain_text import plural
from genaiops.reports._story import Story, label


def junit_report(story: Story) -> str:
    """JUnit XML: one test for each check of the gate, for each check of the alert, and for each run.

    A run fails when none of its rows completed; that too many failed is for the gate to say. What was not judged is
    skipped, never passed.
    """
    suites = {"gate": _tests_of(story, story.verdict, "gate", "No gate judged it.")}
    if story.alert:
        suites["alert"] = _tests_of(story, story.alert, "alert", "Nothing could be judged.")
    suites["runs"] = (_test_of_run(story, run) for run in story.runs)
    return junit_xml({f"{story.name}: {part}": tests for part, tests in suites.items()})


def _tests_of(story: Story, verdict: Mapping[str, Any], part: str, nothing: str) -> Iterator[JUnitTest]:
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
        yield JUnitTest(
            name=" · ".join(str(each) for each in parts if each),
            group=_group(story, _rule(part, check)),
            result=_result(check.get("result")),
            words=str(check.get("words")),
            kind=str(check.get("rule")),
        )
    if not checks:
        words = " ".join(str(reason) for reason in verdict.get("reasons", ())) or nothing
        yield JUnitTest(name="verdict", group=_group(story, part), result=_result(verdict.get("result")), words=words)


def _result(word: Any) -> Literal["passed", "failed", "skipped"]:
    return word if word in ("passed", "failed") else "skipped"


def _rule(part: str, check: Mapping[str, Any]) -> str:
    """A gate and an alert may make the same demand: servers show tests of one name as one."""
    return str(check.get("rule")) if part == "gate" else f"{part}.{check.get('rule')}"


def _test_of_run(story: Story, run: Mapping[str, Any]) -> JUnitTest:
    rows = run.get("rows") or {}
    failed = int(rows.get("failed") or 0)
    lines = [f"{plural(int(rows.get('completed') or 0), 'row')} completed, {failed} failed."]
    mine = [each for each in story.failures if each.variant == label(run)]
    for failure in mine[:10]:
        numbers = [str(row) for dataset, row in failure.rows if dataset == run.get("dataset")][:20]
        if numbers:
            lines.append(f"{failure.kind}: {failure.message[:300]} (rows {', '.join(numbers)})")
    return JUnitTest(
        name=f"{label(run)} on {run.get('dataset')}",
        group=_group(story, "runs"),
        result="passed" if rows.get("completed") else "failed",
        words="\n".join(lines),
        kind="no row completed",
        seconds=run.get("duration_s"),
    )


def _group(story: Story, part: Any) -> str:
    return f"{story.name}.{str(part).replace(' ', '_')}"
