"""What to do next, from what was found: the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from genaiops.plain_text import plural
from genaiops.reports._alert import alert_sentence, alert_tone
from genaiops.reports._format import between, money, number, percent, signed
from genaiops.reports._story import Story, label

_TONES: Final = ("worse", "unsure", "fine")


class Advice(NamedTuple):
    """One thing to do, why, and where in the report it shows."""

    title: str
    text: str
    anchor: str


def advise(story: Story) -> list[Advice]:
    """At most six things to do, the most urgent first."""
    found = [
        *_fallen(story),
        *_failures(story),
        *_regressions(story),
        *_gains(story),
        *_undecided(story),
        *_sources(story),
    ]
    if story.verdict.get("result") == "passed" and not {"failures", "alert"} & {each.anchor for each in found}:
        text = "Every demand of the gate held. A person's decision goes on record with `genaiops approve`."
        found.insert(0, Advice("Release it, or have it approved", text, "gate"))
    elif story.verdict.get("result") == "not judged" and story.runs and not story.alert:
        text = "Nothing can stop a bad release yet. Add a gate block with a floor for the metric that matters most."
        found.append(Advice("Write down what good enough means", text, "gate"))
    return found[:6]


def headline(story: Story) -> str:
    """The verdict as one sentence; with an alert a second one, or that alone when no gate judged."""
    alert = alert_sentence(story)
    if alert is None or not story.runs:
        return _gate_headline(story)
    return alert if story.verdict.get("result") not in ("passed", "failed") else f"{_gate_headline(story)} {alert}"


def tone(story: Story) -> str:
    """The colour of the whole: the worse of gate and alert; a gate that judged nothing has none."""
    gate = {"failed": "worse", "passed": "fine"}.get(str(story.verdict.get("result")))
    return min((found for found in (gate, alert_tone(story)) if found), key=_TONES.index, default="unsure")


def _gate_headline(story: Story) -> str:
    result = story.verdict.get("result")
    if not story.runs:
        return "Nothing was run, so nothing is known."
    if result == "passed":
        return "The gate passed."
    if result == "failed":
        return "The gate failed."
    worse = [each for each in story.result.get("comparisons", ()) if each.get("verdict") == "worse"]
    better = [each for each in story.result.get("comparisons", ()) if each.get("verdict") == "better"]
    if better and not worse:
        return f"{_names(story, better)} {_is(story, better)} better. No gate judged it."
    if worse and not better:
        return f"{_names(story, worse)} {_is(story, worse)} worse. No gate judged it."
    return "Measured, but no gate judged it."


def variant_name(story: Story, name: Any) -> str:
    """The label of a variant that is named by its label or by its run."""
    run = story.run(str(name))
    return label(run) if run else str(name)


def _fallen(story: Story) -> Iterator[Advice]:
    """What an alert asks for: a look at the rows when it rang, a level when there is none to compare with."""
    checks = story.alert.get("checks") or ()
    if story.alert.get("result") == "failed":
        fallen = [str(check["metric"]) for check in checks if check.get("result") == "failed" and check.get("metric")]
        what = f"{', '.join(dict.fromkeys(fallen))}: " if fallen else ""
        text = (
            f"{what}sort the rows below by score. A bad release is rolled back; where the requests themselves have "
            "changed and the new level is right, accept it: `genaiops approve`, with `baseline: approved`."
        )
        yield Advice("Look at the requests that lost", text, "alert")
    elif any(check.get("rule") == "accepted level" and check.get("metric") is None for check in checks):
        text = "Without one nothing can be compared: run the use case and accept it with `genaiops gate --promote`."
        yield Advice("Accept a level", text, "alert")
    elif alert_tone(story) == "unsure":
        text = "So few requests show only a large fall. Score more of them, or accept a larger loss."
        yield Advice("Score more requests", text, "alert")


def _failures(story: Story) -> Iterator[Advice]:
    failed = sum(int((run.get("rows") or {}).get("failed") or 0) for run in story.runs)
    if not failed or not story.failures:
        return
    first = story.failures[0]
    node = f" in {first.node}" if first.node else ""
    share = f"{len(first.rows)} of {plural(failed, 'failed row')}"
    yield Advice(f"Mend {first.kind}{node}", f"{share} end with it: {first.message[:160]}", "failures")


def _regressions(story: Story) -> Iterator[Advice]:
    """One step for each node at which a variant's losses begin most often, whatever the metric."""
    found: dict[tuple[str, str], list[str]] = {}
    for regression in story.result.get("regressions", ()):
        nodes = sorted(regression.get("by_node", ()), key=lambda node: -int(node.get("count") or 0))
        total = sum(int(node.get("count") or 0) for node in nodes)
        if nodes and total > 1:
            key = (variant_name(story, regression.get("candidate")), str(nodes[0].get("node")))
            where = f" on {regression['dataset']}" if regression.get("dataset") else ""
            found.setdefault(key, []).append(
                f"{nodes[0].get('count')} of {total} for {regression.get('metric')}{where}"
            )
    for (candidate, node), shares in found.items():
        rest = f" and {len(shares) - 3} more" if len(shares) > 3 else ""
        text = (
            f"Rows that {candidate} loses first differ from the default variant there: {'; '.join(shares[:3])}{rest}."
        )
        yield Advice(f"Look at {node}", text, "regressions")


def _gains(story: Story) -> Iterator[Advice]:
    comparisons = story.result.get("comparisons", ())
    candidates = dict.fromkeys(variant_name(story, each.get("candidate")) for each in comparisons)
    for candidate in candidates:
        own = [each for each in comparisons if variant_name(story, each.get("candidate")) == candidate]
        better = [each for each in own if each.get("verdict") == "better"]
        if better and all(each.get("verdict") != "worse" for each in own):
            best = max(better, key=lambda each: abs(each.get("difference") or 0))
            text = (
                f"{best.get('metric')} {signed(best.get('difference'))} ({between(best.get('low'), best.get('high'))})"
            )
            yield Advice(f"Make {candidate} the default", f"{text}{_price(story, candidate)}.", "variants")


def _price(story: Story, candidate: str) -> str:
    """What the candidate costs a row against the default variant, where both are known."""
    costs = {name: cost_per_row(story, name) for name in (story.baseline, candidate) if name}
    before, after = costs.get(story.baseline or ""), costs.get(candidate)
    if not before or after is None or abs(after - before) < before * 0.005:
        return ""
    return f", at {percent(abs(after - before), before)} {'more' if after > before else 'less'} cost a row"


def cost_per_row(story: Story, variant: str) -> float | None:
    """Dollars for a completed row of a variant, None when a run's cost is not known."""
    runs = [run for run in story.runs if label(run) == variant]
    rows = sum(int((run.get("rows") or {}).get("completed") or 0) for run in runs)
    costs = [float(cost) for run in runs if isinstance(cost := run.get("cost_usd"), (int, float))]
    return sum(costs) / rows if rows and len(costs) == len(runs) else None


def _undecided(story: Story) -> Iterator[Advice]:
    open_ones = [each for each in story.result.get("comparisons", ()) if each.get("verdict") == "cannot tell"]
    telling = [each for each in open_ones if each.get("needed_rows")]
    if telling:
        nearest = min(telling, key=lambda each: int(each["needed_rows"]))
        more = int(nearest["needed_rows"]) - int(nearest.get("pairs") or 0)
        candidate = variant_name(story, nearest.get("candidate"))
        rest = f" {plural(len(open_ones) - 1, 'other comparison')} cannot be told either." if len(open_ones) > 1 else ""
        text = (
            f"{nearest.get('metric')} of {candidate} on {nearest.get('dataset')}: about {plural(more, 'more row')}"
            f"{_effort(story, candidate, more)} would tell.{rest}"
        )
        yield Advice("Add rows where the data cannot tell", text, "variants")
    floor = story.result.get("noise_floor") or {}
    margins = [each.get("margin") for each in story.result.get("comparisons", ()) if each.get("margin")]
    smallest = floor.get("floor")
    if isinstance(smallest, (int, float)) and margins and min(margins) < smallest:
        text = (
            f"An unchanged application moves so much between repeats that changes below {number(smallest)} cannot be "
            f"seen; the margin is {number(min(margins))}. Use more rows or repeats, or accept a larger margin."
        )
        yield Advice("The margin is finer than the noise", text, "method")


def _effort(story: Story, candidate: str, rows: int) -> str:
    cost = cost_per_row(story, candidate)
    return f" ({money(cost * rows)})" if cost else ""


def _sources(story: Story) -> Iterator[Advice]:
    source = story.result.get("source")
    if source in ("recorded", "simulated", "mixed"):
        told = {
            "recorded": "The replies are recordings: good for checking code, silent about a model that has changed.",
            "simulated": "A simulated model answered: the figures say nothing about a real one.",
            "mixed": "Some replies are recorded or simulated, some live.",
        }[source]
        yield Advice("Run it live before a release", told, "method")


def _names(story: Story, comparisons: list[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(variant_name(story, each.get("candidate")) for each in comparisons))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(story: Story, comparisons: list[Mapping[str, Any]]) -> str:
    return "is" if len({variant_name(story, each.get("candidate")) for each in comparisons}) == 1 else "are"
