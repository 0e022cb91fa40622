"""A verdict for a terminal, a pull request, and a CI server's test view."""

from __future__ import annotations

import re
from typing import Final

from genaiops.gates._alert_words import alert_words
from genaiops.gates._verdict import Check, Verdict
from genaiops.junit import JUnitTest, junit_xml
from genaiops.plain_text import plain

_MARKS: Final = {"passed": "✓", "failed": "✗", "not judged": "–"}


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
        lines.append(plain(f"Judged: {verdict.candidate}{against}"))
    order = {"failed": 0, "not judged": 1, "passed": 2}
    ordered = sorted(verdict.checks, key=lambda each: order[each.result])
    lines += [f"  {_MARKS[check.result]} {plain(check.words)}" for check in ordered]
    if not verdict.checks:
        lines += [f"  {plain(reason)}" for reason in verdict.reasons]
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
    tests = [
        JUnitTest(
            name=check.name,
            group=f"{suite}.{check.rule.replace(' ', '_')}",
            result="skipped" if check.result == "not judged" else check.result,
            words=check.words,
            kind=check.rule,
        )
        for check in verdict.checks
    ]
    if not tests:
        words = " ".join(verdict.reasons) or "Nothing was judged."
        tests = [
            JUnitTest(
                name="gate", group=suite, result="failed" if verdict.result == "failed" else "skipped", words=words
            )
        ]
    return junit_xml({suite: tests})


def _line(check: Check) -> str:
    mark = {"passed": "✅", "failed": "❌", "not judged": "⚪"}[check.result]
    return f"| {mark} | {_cell(check.name)} | {_cell(check.words)} |"


def _cell(text: str) -> str:
    """Names come from files of users: no pipe, no tag, no link, no new line of theirs may shape the page."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|#@])", r"\\\1", " ".join(plain(text).split()))
    return escaped.replace("://", "​://")
