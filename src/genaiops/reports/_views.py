"""The parts of the page, ready to be drawn: tables of metrics, segments, runs, nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from genaiops.plain_text import plural
from genaiops.reports._advice import cost_per_row, variant_name
from genaiops.reports._format import between, duration, money, number, percent, signed
from genaiops.reports._story import Story, label
from genaiops.reports._svg import (
    Point,
    Scale,
    axis_plot,
    bar_plot,
    cost_quality_chart,
    frontier,
    interval_plot,
    scale_over,
)

TONES: Final = {"better": "better", "not worse": "fine", "worse": "worse", "cannot tell": "unsure"}


class MetricLine(NamedTuple):
    """One variant in the table of a metric."""

    variant: str
    is_baseline: bool
    form: Mapping[str, Any]
    plot: Markup
    comparison: Mapping[str, Any] | None
    difference_plot: Markup | None
    tone: str


class MetricPart(NamedTuple):
    """A metric on one dataset, all variants."""

    dataset: str
    lines: Sequence[MetricLine]
    winner: str | None


class MetricTable(NamedTuple):
    """One metric of one evaluator, dataset by dataset, on one scale."""

    metric: str
    evaluator: str
    higher_is_better: bool
    axis: Markup
    difference_axis: Markup | None
    parts: Sequence[MetricPart]


class FigureTable(NamedTuple):
    """What an evaluator sums up without an interval: lines of (metric, dataset, one cell for each variant)."""

    evaluator: str
    variants: Sequence[str]
    lines: Sequence[tuple[str, str, Sequence[tuple[Mapping[str, Any], float | None] | None]]]


class SegmentTable(NamedTuple):
    """One metric by the values of one column."""

    metric: str
    evaluator: str
    dataset: str
    column: str
    variants: Sequence[str]
    axis: Markup
    lines: Sequence[tuple[str, Sequence[tuple[Mapping[str, Any], Markup] | None]]]


_Scores = Sequence[Mapping[str, Any]]


def metric_tables(story: Story) -> list[MetricTable]:
    """The metrics that have intervals or are compared, in the experiment's order."""
    return [
        _metric_table(story, evaluator, metric, scores)
        for (evaluator, metric), scores in _by_metric(story).items()
        if not _is_bare(story, evaluator, metric, scores)
    ]


def figure_tables(story: Story) -> list[FigureTable]:
    """The metrics without an interval, one table for each evaluator."""
    groups: dict[str, list[tuple[str, _Scores]]] = {}
    for (evaluator, metric), scores in _by_metric(story).items():
        if _is_bare(story, evaluator, metric, scores):
            groups.setdefault(evaluator, []).append((metric, scores))
    return [_figure_table(story, evaluator, metrics) for evaluator, metrics in groups.items()]


def _by_metric(story: Story) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for score in story.result.get("scores", ()):
        for metric in score.get("metrics", {}):
            groups.setdefault((str(score.get("evaluator")), metric), []).append(score)
    return groups


def _is_bare(story: Story, evaluator: str, metric: str, scores: _Scores) -> bool:
    known = any(score["metrics"][metric].get("low") is not None for score in scores)
    return not known and not _compared(story, evaluator, metric)


def _compared(story: Story, evaluator: str, metric: str) -> list[Mapping[str, Any]]:
    return [
        each
        for each in story.result.get("comparisons", ())
        if (each.get("metric"), each.get("evaluator", evaluator)) == (metric, evaluator)
    ]


def _datasets(scores: _Scores) -> list[str]:
    return list(dict.fromkeys(str(score.get("dataset")) for score in scores))


def _metric_table(story: Story, evaluator: str, metric: str, scores: _Scores) -> MetricTable:
    forms = [score["metrics"][metric] for score in scores]
    unit = all(form.get("kind") == "rate" for form in forms)
    scale = scale_over(
        [form.get(key) for form in forms for key in ("value", "low", "high")],
        low=0.0 if unit else None,
        high=1.0 if unit else None,
    )
    own = _compared(story, evaluator, metric)
    ends = [each.get(key) for each in own for key in ("difference", "low", "high")]
    up = bool(forms[0].get("higher_is_better", True))
    bands = [(-1 if up else 1) * (each.get("margin") or 0) for each in own]
    differences = scale_over([0.0, *ends, *bands]) if own else None
    parts = [
        MetricPart(
            dataset,
            _metric_lines(
                story,
                metric,
                [score for score in scores if str(score.get("dataset")) == dataset],
                [each for each in own if each.get("dataset", dataset) == dataset],
                (scale, differences),
            ),
            _winner(story, evaluator, metric, dataset),
        )
        for dataset in _datasets(scores)
    ]
    return MetricTable(metric, evaluator, up, axis_plot(scale), axis_plot(differences) if differences else None, parts)


def _metric_lines(
    story: Story, metric: str, scores: _Scores, comparisons: _Scores, scales: tuple[Scale, Scale | None]
) -> list[MetricLine]:
    compared = {variant_name(story, each.get("candidate")): each for each in comparisons}
    order = {name: place for place, name in enumerate(story.variants)}

    def place(score: Mapping[str, Any]) -> tuple[int, int]:
        run = story.run(str(score.get("run")))
        return order.get(label(run), 99), int(run.get("repeat") or 0)

    named = [(_label(story, score), score["metrics"][metric]) for score in sorted(scores, key=place)]
    baseline = next((form.get("value") for name, form in named if name == story.baseline), None)
    return [_metric_line(story, name, form, scales[0], baseline, compared.get(name), scales[1]) for name, form in named]


def _figure_table(story: Story, evaluator: str, metrics: Sequence[tuple[str, _Scores]]) -> FigureTable:
    names = dict.fromkeys(_label(story, score) for _, scores in metrics for score in scores)
    variants = sorted(names, key=lambda name: story.variants.index(name) if name in story.variants else 99)
    lines = []
    for metric, scores in metrics:
        for dataset in _datasets(scores):
            forms = {
                _label(story, score): score["metrics"][metric]
                for score in scores
                if str(score.get("dataset")) == dataset
            }
            before = (forms.get(story.baseline or "") or {}).get("value")
            cells = [
                (form, _moved(form.get("value"), before) if name != story.baseline else None)
                if (form := forms.get(name))
                else None
                for name in variants
            ]
            lines.append((metric, dataset, cells))
    return FigureTable(evaluator, variants, lines)


def _moved(value: Any, before: Any) -> float | None:
    known = isinstance(value, (int, float)) and isinstance(before, (int, float))
    return value - before if known else None


class Standing(NamedTuple):
    """A variant against the default one: verdict -> what has it, in words."""

    variant: str
    found: Sequence[tuple[str, Sequence[str]]]


_ORDER: Final = ("worse", "better", "not worse", "cannot tell")


def standings(story: Story, most: int = 4) -> tuple[list[Standing], int]:
    """What is known of each variant against the default one, those that moved most first, and how many are left out."""
    groups: dict[str, dict[str, dict[str, list[str]]]] = {}
    several = len(_datasets(story.result.get("scores", ()))) > 1
    for each in story.result.get("comparisons", ()):
        metrics = groups.setdefault(variant_name(story, each.get("candidate")), {}).setdefault(
            str(each.get("verdict")), {}
        )
        where = f" on {each.get('dataset')}" if several and each.get("dataset") else ""
        metrics.setdefault(str(each.get("metric")), []).append(f"{signed(each.get('difference'))}{where}")
    found = [
        Standing(
            variant,
            [
                (verdict, [f"{metric} {', '.join(moves)}" for metric, moves in verdicts[verdict].items()])
                for verdict in _ORDER
                if verdict in verdicts
            ],
        )
        for variant, verdicts in groups.items()
    ]
    found.sort(key=lambda each: min(_ORDER.index(verdict) for verdict, _ in each.found) if each.found else 9)
    return found[:most], max(0, len(found) - most)


def _winner(story: Story, evaluator: str, metric: str, dataset: str) -> str | None:
    """Who is best, who is tied with it, and what is left of the lead without the luck of being the best of many."""
    for each in story.result.get("winners") or ():
        if (each.get("evaluator"), each.get("metric"), each.get("dataset")) == (evaluator, metric, dataset):
            others = [str(name) for name in each.get("tied") or () if name != each.get("best")]
            tied = f", statistically tied with {' and '.join(others)}" if others else ", clear of the others"
            luck = f"; without the luck of being the best of {len(story.variants)}: {number(each.get('shrunk'))}"
            return f"Best: {each.get('best')}{tied}{luck if each.get('optimism') else ''}."
    return None


def certainty_text(comparison: Mapping[str, Any]) -> str:
    """What "cannot tell" would take: 310 more rows would tell, $0.84, 4 min."""
    needed = comparison.get("needed_rows")
    if comparison.get("verdict") != "cannot tell" or not needed:
        return ""
    known = comparison.get("certainty") or {}
    more = known.get("rows") or max(0, int(needed) - int(comparison.get("pairs") or 0))
    price = [money(known["cost_usd"])] if known.get("cost_usd") else []
    price += [duration(known["duration_s"])] if known.get("duration_s") else []
    return f"{plural(more, 'more row')} would tell" + (f": {', '.join(price)}" if price else "")


def _metric_line(
    story: Story,
    name: str,
    form: Mapping[str, Any],
    scale: Scale,
    baseline: float | None,
    comparison: Mapping[str, Any] | None,
    differences: Scale | None,
) -> MetricLine:
    is_baseline = name == story.baseline
    tone = "base" if is_baseline or comparison is None else TONES.get(str(comparison.get("verdict")), "unsure")
    words = f"{name}: {number(form.get('value'))}, interval {between(form.get('low'), form.get('high'))}"
    plot = interval_plot(
        scale, form.get("value"), form.get("low"), form.get("high"), tone=tone, words=words, reference=baseline
    )
    drawn = None
    if comparison is not None and differences is not None:
        margin = comparison.get("margin") or 0.0
        better_up = bool(form.get("higher_is_better", True))
        drawn = interval_plot(
            differences,
            comparison.get("difference"),
            comparison.get("low"),
            comparison.get("high"),
            tone=tone,
            words=f"{name} against {story.baseline}: {signed(comparison.get('difference'))}, interval "
            f"{between(comparison.get('low'), comparison.get('high'))}, {comparison.get('verdict')}",
            reference=0.0,
            band=((-margin, 0.0) if better_up else (0.0, margin)) if margin else None,
        )
    return MetricLine(name, is_baseline, form, plot, comparison, drawn, tone)


def segment_tables(story: Story) -> list[SegmentTable]:
    """One table for each metric, dataset and column that splits it."""
    groups: dict[tuple[str, str, str, str], dict[str, Mapping[str, Any]]] = {}
    for score in story.result.get("scores", ()):
        for column, values in (score.get("segments") or {}).items():
            for metric in score.get("metrics", {}):
                key = (str(score.get("evaluator")), metric, str(score.get("dataset")), column)
                groups.setdefault(key, {}).setdefault(_label(story, score), values)
    return [_segment_table(story, *key, held) for key, held in groups.items()]


def _segment_table(
    story: Story, evaluator: str, metric: str, dataset: str, column: str, held: Mapping[str, Mapping[str, Any]]
) -> SegmentTable:
    variants = [name for name in story.variants if name in held] or list(held)
    segments = list(dict.fromkeys(segment for name in variants for segment in held[name]))
    forms = {(segment, name): held[name].get(segment, {}).get(metric) for segment in segments for name in variants}
    scale = scale_over([form.get(key) for form in forms.values() if form for key in ("value", "low", "high")])
    worst = {
        segment: _worst(story, evaluator, metric, [forms[segment, name] for name in variants]) for segment in segments
    }
    lines = []
    for segment in sorted(segments, key=lambda each: worst[each]):
        cells: list[tuple[Mapping[str, Any], Markup] | None] = []
        for name in variants:
            form = forms[segment, name]
            if form is None:
                cells.append(None)
                continue
            rows = plural(int(form.get("rows") or 0), "row")
            words = f"{name}, {column} {segment}: {number(form.get('value'))} on {rows}"
            value, low, high = (form.get(key) for key in ("value", "low", "high"))
            cells.append((form, interval_plot(scale, value, low, high, tone="base", words=words)))
        lines.append((segment, cells))
    return SegmentTable(metric, evaluator, dataset, column, variants, axis_plot(scale), lines)


def _worst(story: Story, evaluator: str, metric: str, forms: Sequence[Mapping[str, Any] | None]) -> float:
    sign = 1 if story.directions.get(f"{evaluator}.{metric}", True) else -1
    values = [sign * form["value"] for form in forms if form and isinstance(form.get("value"), (int, float))]
    return min(values, default=float("inf"))


class _Price(NamedTuple):
    """What the horizontal axis of the chart shows."""

    name: str
    words: Any
    costs: Mapping[str, float]


def cost_quality(story: Story) -> Markup | None:
    """The chart of the first metric against what a row takes; None for one variant or when nothing is known."""
    names = story.score_names or [
        f"{score.get('evaluator')}.{name}"
        for score in story.result.get("scores", ())
        for name in score.get("metrics", {})
    ]
    if len(story.variants) < 2 or not names:
        return None
    evaluator, _, metric = names[0].rpartition(".")
    scores = [each for each in story.result.get("scores", ()) if each.get("evaluator") == evaluator]
    dataset = next((each.get("dataset") for each in scores if metric in each.get("metrics", {})), None)
    forms = {
        _label(story, each): each["metrics"][metric]
        for each in scores
        if metric in each.get("metrics", {}) and each.get("dataset") == dataset
    }
    price = _price(story, forms)
    if price is None:
        return None
    sign = 1 if story.directions.get(names[0], True) else -1
    known = [
        (name, price.costs[name], float(form["value"]))
        for name, form in forms.items()
        if name in price.costs and isinstance(form.get("value"), (int, float))
    ]
    if len(known) < 2:
        return None
    front = frontier((name, cost, sign * quality) for name, cost, quality in known)
    points = [
        Point(name, cost, quality, forms[name].get("low"), forms[name].get("high"), name == story.baseline,
              name in front)
        for name, cost, quality in known
    ]  # fmt: skip
    return cost_quality_chart(
        points, cost_name=price.name, quality_name=f"{metric} on {dataset}", cost_text=price.words
    )


def _price(story: Story, names: Iterable[str]) -> _Price | None:
    """Dollars where all are known; else tokens, which decide them; else the time of a row."""
    variants = list(names)
    dollars = {name: 1000 * cost for name in variants if (cost := cost_per_row(story, name))}
    if len(dollars) == len(variants):
        return _Price("cost of 1,000 rows", money, dollars)
    tokens = {name: spent for name in variants if (spent := _tokens_per_row(story, name))}
    if len(tokens) == len(variants):
        return _Price("tokens of a row", number, tokens)
    times = {
        label(run): float(p50)
        for run in story.runs
        if label(run) in variants and isinstance(p50 := (run.get("latency_s") or {}).get("p50"), (int, float))
    }
    # What recordings and kept results took says nothing about a model.
    return _Price("median time of a row", duration, times) if story.result.get("source") == "live" else None


def _tokens_per_row(story: Story, variant: str) -> float | None:
    """Tokens of a row that keeps nothing; None when all results of a model were kept: those took none."""
    uses = [use for (name, _), use in story.node_use.items() if name == variant]
    if any(use.asks_model and use.kept == use.rows for use in uses):
        return None
    return sum(use.tokens / (use.rows - use.kept) for use in uses if use.kept < use.rows) or None


def regression_lines(story: Story) -> list[dict[str, Any]]:
    """Where rows that got worse first differ: for each variant its nodes, with a bar for each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for regression in story.result.get("regressions", ()):
        nodes = sorted(regression.get("by_node", ()), key=lambda node: -int(node.get("count") or 0))
        total = sum(int(node.get("count") or 0) for node in nodes)
        for node in nodes if total else ():
            lost = int(node.get("count") or 0)
            found.setdefault(variant_name(story, regression.get("candidate")), []).append(
                {
                    **node,
                    "metric": regression.get("metric"),
                    "dataset": _run_dataset(story, regression),
                    "share": f"{lost:,} of {total:,}",
                    "bar": bar_plot(lost / total, f"{lost} of {plural(total, 'row')}", tone="worse"),
                }
            )
    return [{"candidate": candidate, "nodes": nodes} for candidate, nodes in found.items()]


def _run_dataset(story: Story, regression: Mapping[str, Any]) -> str | None:
    """The application's dataset behind the one that the metric was measured on: rows are found by it."""
    named = regression.get("dataset")
    for score in story.result.get("scores", ()):
        if score.get("dataset") == named and score.get("evaluator") == regression.get(
            "evaluator", score.get("evaluator")
        ):
            return str(score.get("run_dataset") or story.run(str(score.get("run"))).get("dataset") or named)
    return named if named in story.datasets else story.datasets[0] if len(story.datasets) == 1 else None


def node_lines(story: Story) -> list[dict[str, Any]]:
    """Time and tokens of each node of each variant, a bar for its share of the variant's time."""
    totals: dict[str, float] = {}
    for (variant, _), use in story.node_use.items():
        totals[variant] = totals.get(variant, 0.0) + use.duration_s
    order = {name: place for place, name in enumerate(story.variants)}
    return [
        {
            "variant": variant,
            "node": node,
            "use": use,
            "mean_s": use.duration_s / use.rows if use.rows else None,
            "kept": percent(use.kept, use.rows),
            "bar": bar_plot(
                use.duration_s / totals[variant] if totals[variant] else 0.0,
                f"{percent(use.duration_s, totals[variant])} of the time of {variant}",
            ),
        }
        for (variant, node), use in sorted(story.node_use.items(), key=lambda item: order.get(item[0][0], 99))
    ]


def _label(story: Story, score: Mapping[str, Any]) -> str:
    run = story.run(str(score.get("run")))
    name = str(score.get("variant_label") or (label(run) if run else score.get("run")))
    repeat = run.get("repeat") or 0
    return f"{name} · repeat {repeat + 1}" if repeat else name
