"""What an alert found: quality in production against the level that was accepted, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from genaiops.plain_text import plural
from genaiops.reports._format import between, number, signed
from genaiops.reports._story import Story
from genaiops.reports._svg import interval_plot, scale_over

_WORDS: Final = {
    "failed": "quality fell below the accepted level",
    "passed": "quality holds",
    "not judged": "it cannot be told whether quality fell",
}
"""For records that do not say it themselves."""


class AlertLine(NamedTuple):
    """A metric in production beside its accepted level."""

    metric: str
    evaluator: str | None
    dataset: str | None
    word: str
    tone: str
    value: float | None
    accepted: float | None
    difference: float | None
    low: float | None
    high: float | None
    margin: float | None
    rows: int | None
    accepted_rows: int | None
    detectable: float | None
    plot: Markup | None


class AlertView(NamedTuple):
    """An alert, ready to be drawn.

    Attributes:
        word: alert, no alert or cannot tell, for a title.
        sentence: The same in one sentence.
        tone: Its colour.
        lines: The metrics that were compared with the accepted level.
        others: (result, sentence) of what was not such a comparison.
        reasons: Sentences for people, what failed first.
        sent: What became of the message; empty when none was sent.
    """

    word: str
    sentence: str
    tone: str
    lines: Sequence[AlertLine]
    others: Sequence[tuple[str, str]]
    reasons: Sequence[str]
    sent: str


def alert_view(story: Story) -> AlertView | None:
    """None for an experiment that nobody watches."""
    alert = story.alert
    if not alert:
        return None
    result = str(alert.get("result"))
    checks = list(alert.get("checks") or ())
    compared = _compared(story)
    reasons = [str(words) for words in alert.get("reasons") or ()]
    return AlertView(
        word={"failed": "alert", "passed": "no alert"}.get(result, "cannot tell"),
        sentence=alert_sentence(story) or "",
        tone=alert_tone(story) or "unsure",
        lines=[_line(check, story) for check in compared],
        others=[(str(check.get("result")), str(check.get("words"))) for check in checks if check not in compared]
        or [(result, words) for words in reasons if not checks],
        reasons=reasons,
        sent=_sent(alert.get("delivery")),
    )


def alert_sentence(story: Story) -> str | None:
    """What the alert found, as a sentence; None when nothing is watched."""
    if not story.alert:
        return None
    words = str(story.alert.get("words") or _WORDS.get(str(story.alert.get("result")), _WORDS["not judged"]))
    return f"{words[:1].upper()}{words[1:]}."


def alert_tone(story: Story) -> str | None:
    """Its colour; none where nothing is watched. That nothing is proven either way is no good news."""
    result = story.alert.get("result")
    if result == "passed":
        tones = {alert_word(check)[1] for check in _compared(story)}
        return "unsure" if tones == {"unsure"} else "fine"
    return None if result is None else "worse" if result == "failed" else "unsure"


def _compared(story: Story) -> list[Mapping[str, Any]]:
    """The checks that hold a metric against its accepted level."""
    checks = story.alert.get("checks") or ()
    return [check for check in checks if (check.get("details") or {}).get("accepted_value") is not None]


def alert_word(check: Mapping[str, Any]) -> tuple[str, str]:
    """What a comparison means, with a sign that needs no colour, and its colour."""
    verdict = (check.get("details") or {}).get("verdict")
    if check.get("result") == "failed":
        return ("▼ fell", "worse") if verdict != "cannot tell" or _by_value(check) else ("✕ not proven", "worse")
    if check.get("result") == "not judged" or (verdict == "cannot tell" and not _by_value(check)):
        return "? cannot tell", "unsure"
    return ("▲ rose", "better") if verdict == "better" else ("● held", "fine")


def _by_value(check: Mapping[str, Any]) -> bool:
    """Without scores of rows there is no test: the value itself fell by more than was accepted, or it did not."""
    return "p_value" not in (check.get("details") or {})


def _line(check: Mapping[str, Any], story: Story) -> AlertLine:
    details = check.get("details") or {}
    word, tone = alert_word(check)
    difference, low, high = (check.get(key) for key in ("found", "low", "high"))
    return AlertLine(
        metric=str(check.get("metric")),
        evaluator=check.get("evaluator"),
        dataset=check.get("dataset"),
        word=word,
        tone=tone,
        value=details.get("value"),
        accepted=details.get("accepted_value"),
        difference=difference,
        low=low,
        high=high,
        margin=details.get("margin"),
        rows=details.get("rows"),
        accepted_rows=details.get("accepted_rows"),
        detectable=details.get("smallest_detectable") if tone == "unsure" else None,
        plot=_drawn(check, story, tone, word),
    )


def _drawn(check: Mapping[str, Any], story: Story, tone: str, word: str) -> Markup | None:
    """The difference around zero, on a scale of its own: metrics of one alert need not have one unit."""
    difference, low, high = (check.get(key) for key in ("found", "low", "high"))
    if not isinstance(difference, (int, float)):
        return None
    up = story.directions.get(f"{check.get('evaluator')}.{check.get('metric')}", True)
    margin = float((check.get("details") or {}).get("margin") or 0.0)
    return interval_plot(
        scale_over([0.0, -margin if up else margin, difference, low, high]),
        difference,
        low,
        high,
        tone=tone,
        words=f"{check.get('metric')}: {signed(difference)}, interval {between(low, high)}, {word[2:]}",
        reference=0.0,
        band=((-margin, 0.0) if up else (0.0, margin)) if margin else None,
    )


def _sent(delivery: Mapping[str, Any] | None) -> str:
    if not delivery:
        return ""
    if delivery.get("sent"):
        return f"{delivery.get('host')} was told."
    tries = plural(int(delivery.get("attempts") or 0), "try", "tries")
    return f"The message did not reach {delivery.get('host')} in {tries}: {delivery.get('error')}."


def margin_words(line: AlertLine) -> str:
    """The change for the worse that the use case accepts."""
    return number(line.margin) if line.margin else "none"
