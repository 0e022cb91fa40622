"""A verdict for a terminal, a pull request, and a CI server's test view."""

from __future__ import annotations

import re
from typing import Final

from genaiops.gates._alert_words import alert_words
from genaiops.gates._verdict import Check, Verdict

_MARKS: Final = {"passed": "✓", "failed": "✗", "not judged": "–"}
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def verdict_text(verdict: Verdict) -> str:
    """Plain lines for a terminal: the result, what failed, what held, what could not be judged."""
    return _text(f"Gate: {verdict.result}", verdict)


def alert_text(verdict: Verdict) -> str:
    """The same for an alert."""
    words = alert_words(verdict)
    none = "" if verdict.result != "passed" else "none, " if words.startswith("quality") else "none; "
    return _text(f"Alert: {none}{words}", verdict)


def _text(title: str, verdict: Verdict) -> str:
    lines = [title]
    if verdict.candidate:
        against = f", against {verdict.baseline}" if verdict.baseline else ""
        lines.append(_plain(f"Judged: {verdict.candidate}{against}"))
    order = {"failed": 0, "not judged": 1, "passed": 2}
    ordered = sorted(verdict.checks, key=lambda each: order[each.result])
    lines += [f"  {_MARKS[check.result]} {_plain(check.words)}" for check in ordered]
    if not verdict.checks:
        lines += [f"  {_plain(reason)}" for reason in verdict.reasons]
    return "\n".join(lines) + "\n"


def verdict_markdown(verdict: Verdict, *, level: int = 3) -> str:
    """A heading, the failures as sentences, and a table of every check.

    Args:
        verdict: What to draw.
        level: Depth of the heading, 1 to 6.
    """
    titles = {"passed": "✅ Gate passed", "failed": "❌ Gate failed", "not judged": "⚪ Gate: not judged"}
    parts = [f"{'#' * level} {titles[verdict.result]}", ""]
    failed = [check for check in verdict.checks if check.result == "failed"]
    parts += [f"- {_cell(check.words)}" for check in failed] or [f"- {_cell(words)}" for words in verdict.reasons[:5]]
    if verdict.checks:
        parts += ["", "| | check | found |", "|---|---|---|"]
        parts += [_line(check) for check in sorted(verdict.checks, key=lambda each: each.passed)]
    return "\n".join(parts) + "\n"


def verdict_junit(verdict: Verdict, *, suite: str = "gate") -> str:
    """JUnit XML with one test a check; what was not judged is skipped, not passed.

    Args:
        verdict: What to draw.
        suite: The name of the test suite, for example the experiment's.
    """
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    tests = TestSuite(_plain(suite))
    for check in verdict.checks:
        case = TestCase(_plain(check.name), classname=f"{_plain(suite)}.{check.rule.replace(' ', '_')}")
        if check.result == "failed":
            case.result = [Failure(_plain(check.words), type_=check.rule)]
        elif check.result == "not judged":
            case.result = [Skipped(_plain(check.words))]
        case.system_out = _plain(check.words)
        tests.add_testcase(case)
    if not verdict.checks:
        case = TestCase("gate", classname=_plain(suite))
        words = _plain(" ".join(verdict.reasons) or "Nothing was judged.")
        case.result = [Failure(words)] if verdict.result == "failed" else [Skipped(words)]
        tests.add_testcase(case)
    document = JUnitXml()
    document.add_testsuite(tests)
    text: bytes = document.tostring()
    return text.decode("utf-8")


def _line(check: Check) -> str:
    mark = {"passed": "✅", "failed": "❌", "not judged": "⚪"}[check.result]
    return f"| {mark} | {_cell(check.name)} | {_cell(check.words)} |"


def _cell(text: str) -> str:
    """Names come from files of users: no pipe, no tag, no link, no new line of theirs may shape the page."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|#@])", r"\\\1", " ".join(_plain(text).split()))
    return escaped.replace("://", "​://")


def _plain(text: str) -> str:
    """Without control characters: they move a terminal's cursor and are not allowed in XML."""
    return _CONTROL.sub("", text)
