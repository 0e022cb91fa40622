"""The same report as Markdown: for a job's summary, a pull request's comment, a short description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from genaiops.plain_text import plain, plural
from genaiops.reports._advice import advise, headline, tone, variant_name
from genaiops.reports._alert import AlertView, alert_view
from genaiops.reports._format import between, count, duration, money, number, p_value, percent, signed
from genaiops.reports._story import Story, label

SUMMARY_BYTES: Final = 1_000_000
"""GitHub drops the whole job summary beyond 1 MiB."""
COMMENT_CHARACTERS: Final = 65_000
"""GitHub refuses a comment beyond 65,536 characters."""
SHORT_CHARACTERS: Final = 3_900
"""Azure DevOps refuses a pull request's description beyond 4,000 characters."""

_MARKS: Final = {"fine": "✅", "worse": "❌", "unsure": "⚪"}
_ALERT_MARKS: Final = {"better": "🔼", "fine": "🟢", "worse": "🔽", "unsure": "❔"}
_WORDS: Final = {
    "better": "🔼 better",
    "not worse": "🟢 not worse",
    "worse": "🔽 worse",
    "cannot tell": "❔ cannot tell",
}


class _Block(NamedTuple):
    """A part of the text that is kept or left out as a whole, lines of its table excepted."""

    name: str
    lines: tuple[str, ...]
    table: tuple[str, ...] = ()


def markdown_report(story: Story, *, most: int, in_bytes: bool = False, marker: bool = False) -> str:
    """Verdict, reasons, what to do, metrics, comparisons, losses, failures, cost: as much as fits, the rest named.

    Args:
        story: The experiment.
        most: The largest size that the host takes.
        in_bytes: Whether that is a number of bytes, not of characters.
        marker: Begin with a comment that tells a program which comment to update.

    Returns:
        Markdown in which no text of a model or a file can shape anything.
    """
    blocks = [block for block in _blocks(story) if block.lines or block.table]
    mark = f"<!-- genaiops {re.sub('[^A-Za-z0-9_.]+', '-', story.name)} -->\n" if marker else ""

    def size(text: str) -> int:
        return len(text.encode("utf-8", "replace")) if in_bytes else len(text.encode("utf-16-le", "replace")) // 2

    text, left_out = mark, []
    room = most - 400  # for the line that says what was left out
    for block in blocks:
        fitting = _fit(block, room - size(text), size)
        text += fitting[0]
        if fitting[1]:
            left_out.append(fitting[1])
    if left_out:
        text += f"\n_Left out because this place takes no more: {'; '.join(left_out)}._\n"[:400]
    return text


def _fit(block: _Block, room: int, size: Any) -> tuple[str, str | None]:
    """The block's text as far as it fits, and what was left out of it."""
    head = "\n".join(block.lines) + "\n"
    whole = head + "".join(f"{line}\n" for line in block.table) + "\n"
    if size(whole) <= room:
        return whole, None
    if size(head) > room or len(block.table) < 4:
        return "", block.name
    text, kept = head, 0
    for line in block.table:
        if size(text) + size(line) + 2 > room:
            break
        text += f"{line}\n"
        kept += 1
    if kept < 3:  # a table's head without a row says nothing
        return "", block.name
    return text + "\n", f"{plural(len(block.table) - kept, 'line')} of {block.name}"


def _blocks(story: Story) -> Iterator[_Block]:
    title = f"## {_MARKS[tone(story)]} {_text(story.name)}: {_text(headline(story))}"
    about = [
        _text(story.result.get("env") or ""),
        f"build {_text(story.result['build_id'])}" if story.result.get("build_id") else "",
    ]
    source = story.result.get("source")
    about.append(f"**{_text(source)} replies**" if source not in (None, "live") else "")
    yield _Block("the verdict", (title, "", " · ".join(part for part in about if part), ""))
    alert = alert_view(story)
    is_judged = story.verdict.get("result") in ("passed", "failed")
    reasons = [f"- {_text(reason)}" for reason in story.verdict.get("reasons", ()) if is_judged or alert is None]
    yield _Block("reasons", ("",) if reasons else (), tuple(reasons))
    if alert is not None:
        yield from _alert_blocks(alert)
    steps = [
        f"{place}. **{_text(step.title)}.** {_text(step.text)}" for place, step in enumerate(advise(story), start=1)
    ]
    yield _Block("what to do next", ("### What to do next", "") if steps else (), tuple(steps))
    comparisons = list(_comparisons(story))
    yield _Block("comparisons", ("### Against the default variant", "") if comparisons else (), _table(
        ("metric", "dataset", "variant", "verdict", "difference", "95 % interval", "p", "rows"),
        comparisons,
    ))  # fmt: skip
    metrics = list(_metrics(story))
    yield _Block("metrics", ("### Metrics", "") if metrics else (), _table(
        ("metric", "dataset", "variant", "value", "95 % interval", "rows", "not scored"), metrics))  # fmt: skip
    worst = list(_worst_segments(story))
    yield _Block("segments", ("### Weakest parts of the data", "") if worst else (), _table(
        ("metric", "variant", "part", "value", "95 % interval", "rows"), worst))  # fmt: skip
    losses = list(_losses(story))
    yield _Block("where losses begin", ("### Where losses begin", "") if losses else (), tuple(losses))
    failures = [
        (count(len(each.rows)), _text(each.variant), _text(each.kind), _code(each.node), _text(each.message[:300]))
        for each in story.failures[:50]
    ]
    yield _Block("failures", ("### Failures", "") if failures else (), _table(
        ("rows", "variant", "kind", "node", "message"), failures))  # fmt: skip
    warnings = [f"- {_text(each.get('message'))}" for each in story.result.get("findings", ())[:20]]
    yield _Block("warnings", ("### Warnings", "") if warnings else (), tuple(warnings))
    yield _Block("cost and time", ("### Cost and time", "", _totals(story), ""), _table(
        ("variant", "dataset", "rows", "failed", "calls", "kept", "cost", "p95", "time"), _runs(story)))  # fmt: skip


def _alert_blocks(alert: AlertView) -> Iterator[_Block]:
    """What an alert found: each metric beside its accepted level, then what else was demanded."""
    lines = [
        (
            _text(line.metric), _text(line.dataset), f"{_ALERT_MARKS[line.tone]} {_text(line.word[2:])}",
            number(line.accepted), number(line.value), signed(line.difference), between(line.low, line.high),
            number(line.margin or 0), count(line.rows), count(line.accepted_rows),
        )
        for line in alert.lines
    ]  # fmt: skip
    head = ("### Production against the accepted level", "", f"{_MARKS[alert.tone]} {_text(alert.sentence)}", "")
    yield _Block("production against the accepted level", head, _table(
        ("metric", "dataset", "verdict", "accepted", "in production", "change", "95 % interval", "loss accepted",
         "requests", "rows accepted"), lines))  # fmt: skip
    marks = {"passed": "✅", "failed": "❌"}
    others = [f"- {marks.get(result, '⚪')} {_text(words)}" for result, words in alert.others]
    yield _Block("other demands on production", (), (*others, *([f"- {_text(alert.sent)}"] if alert.sent else [])))


def _comparisons(story: Story) -> Iterator[tuple[str, ...]]:
    order = {"worse": 0, "better": 1, "cannot tell": 2, "not worse": 3}
    for each in sorted(story.result.get("comparisons", ()), key=lambda each: order.get(str(each.get("verdict")), 4)):
        word = _WORDS.get(str(each.get("verdict")), "–")
        if each.get("verdict") == "cannot tell" and each.get("needed_rows"):
            word += f" ({count(each['needed_rows'])} rows would)"
        yield (
            _text(each.get("metric")), _text(each.get("dataset")), _text(variant_name(story, each.get("candidate"))),
            word, signed(each.get("difference")), between(each.get("low"), each.get("high")),
            p_value(each.get("p_adjusted")), count(each.get("pairs")),
        )  # fmt: skip


def _metrics(story: Story) -> Iterator[tuple[str, ...]]:
    for score in story.result.get("scores", ()):
        run = story.run(str(score.get("run")))
        for name, form in score.get("metrics", {}).items():
            variant = _text(score.get("variant_label") or label(run)) + (" (default)" if run.get("is_baseline") else "")
            yield (
                _text(name), _text(score.get("dataset")), variant, number(form.get("value")),
                between(form.get("low"), form.get("high")), count(form.get("rows")), count(form.get("failed")),
            )  # fmt: skip


def _worst_segments(story: Story) -> Iterator[tuple[str, ...]]:
    found = [
        (form.get("value") if story.directions.get(f"{score.get('evaluator')}.{metric}", True) else -form.get("value"),
         score, column, segment, metric, form)
        for score in story.result.get("scores", ())
        for column, values in (score.get("segments") or {}).items()
        for segment, forms in values.items()
        for metric, form in forms.items()
        if isinstance(form.get("value"), (int, float)) and (form.get("rows") or 0) >= 5
    ]  # fmt: skip
    for _, score, column, segment, metric, form in sorted(found, key=lambda each: each[0])[:5]:
        yield (
            _text(metric), _text(score.get("variant_label") or score.get("run")), f"{_text(column)} = {_text(segment)}",
            number(form.get("value")), between(form.get("low"), form.get("high")), count(form.get("rows")),
        )  # fmt: skip


def _losses(story: Story) -> Iterator[str]:
    for regression in story.result.get("regressions", ()):
        nodes = sorted(regression.get("by_node", ()), key=lambda node: -int(node.get("count") or 0))
        total = sum(int(node.get("count") or 0) for node in nodes)
        loser = _text(variant_name(story, regression.get("candidate")))
        for node in nodes:
            number_of, some = int(node.get("count") or 0), ", ".join(str(row) for row in (node.get("rows") or [])[:10])
            yield (
                f"- {number_of:,} of {plural(total, 'row')} on which {loser} loses {_text(regression.get('metric'))} "
                f"begin in {_code(node.get('node'))} ({percent(number_of, total)}): rows {some}"
            )


def _totals(story: Story) -> str:
    calls, kept = (int(story.result.get(key) or 0) for key in ("model_calls", "kept"))
    return (
        f"{plural(calls, 'model call')}, {percent(kept, kept + calls)} of node results kept from before, "
        f"{money(story.result.get('cost_usd'))}, {duration(story.result.get('duration_s'))}."
    )


def _runs(story: Story) -> Sequence[tuple[str, ...]]:
    return [
        (
            _text(label(run)), _text(run.get("dataset")), count((run.get("rows") or {}).get("total")),
            count((run.get("rows") or {}).get("failed")), count(run.get("model_calls")), count(run.get("kept")),
            money(run.get("cost_usd")), duration((run.get("latency_s") or {}).get("p95")),
            duration(run.get("duration_s")),
        )
        for run in story.runs
    ]  # fmt: skip


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if not rows:
        return ()
    return (
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    )


def _text(value: Any) -> str:
    """Text of a file or a model: nothing in it may become a tag, a link, a mention, a table's border or a new line."""
    text = " ".join(plain(str(value if value is not None else "")).split())
    escaped = re.sub(r"([\\`*_{}\[\]<>|#~!])", r"\\\1", text)
    # Hosts turn bare addresses, mentions and numbers of issues into links, after Markdown and whatever is escaped.
    escaped = re.sub(r"(?i)(https?|ftp|www)([:.])", "\\1\u200b\\2", escaped).replace("@", "@\u200b")
    return re.sub(r"([#!])(?=\d)", "\\1\u200b", escaped)


def _code(value: Any) -> str:
    if value is None:
        return "–"
    return "`" + re.sub(r"[`|\s]+", " ", plain(str(value))) + "`"
