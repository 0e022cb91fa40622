"""An experiment on the screen: the plan before it, the results after it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from genaiops.cli._output import money, note, one_line, safe, say, seconds, table
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.experiments import Estimate, ExperimentEvent, ExperimentResult, ExperimentSpec, Prepared, Span
    from genaiops.gates import Verdict

_COLORS = {"better": "green", "not worse": "green", "worse": "red", "cannot tell": "yellow"}
_SHOWN_RUNS = 20
_LONGEST_MESSAGE = 240
_SHOWN_REASONS = 5


def echo_plan(prepared: Prepared) -> None:
    """What will run and what it will take, on standard error so that `--json` stays clean."""
    plan, estimate = prepared.plan, prepared.estimate
    spec = prepared.spec
    where = f" in {spec.env}" if spec.env else ""
    combinations = f"{len(plan.cells)} of {plural(plan.of, 'combination')}"
    note(f"experiment {prepared.id}: {spec.name}{where}, {plan.kind}, {combinations}")
    note(f"  from {_files(spec)}")
    if spec.runtime:
        note(f"  the runtime {spec.runtime!r} is one of Azure's and not needed: flows run on this machine")
    for cell in plan.cells[:_SHOWN_RUNS]:
        note(f"  {cell.label}{'  (baseline)' if cell.is_baseline else ''}")
    if len(plan.cells) > _SHOWN_RUNS:
        note(f"  and {len(plan.cells) - _SHOWN_RUNS} more")
    datasets = ", ".join(f"{dataset.name} ({_rows(prepared, dataset.path)})" for dataset in spec.datasets)
    note(f"  on {datasets}")
    if spec.evaluators:
        note(f"  scored by {', '.join(evaluator.name for evaluator in spec.evaluators)}")
    note(f"  {_estimate_line(estimate)}")


def _files(spec: ExperimentSpec) -> str:
    """The files in force: whoever mistypes an environment should see that its overlay is not among them."""
    if spec.overlay is not None:
        return f"{spec.file.name} and {spec.overlay.name}"
    from genaiops.experiments import overlay_environments

    overlays = overlay_environments(spec.file) if spec.env else []
    return spec.file.name + (f" alone; overlays are there for {', '.join(overlays)}" if overlays else "")


def _rows(prepared: Prepared, path: Path | None) -> str:
    count = prepared.counts.get(path) if path is not None else None
    limit = prepared.request.limit
    return "? rows" if count is None else plural(min(count, limit) if limit else count, "row")


def _estimate_line(estimate: Estimate) -> str:
    most = estimate.model_calls
    calls = "model calls unknown" if most is None else f"{plural(most, 'model call')} at most"
    # Rows of all runs together.
    parts = [
        plural(estimate.runs, "run"),
        plural(estimate.rows, "row"),
        plural(estimate.evaluations, "evaluation"),
        calls,
    ]
    if estimate.evaluation_calls:
        parts.append(f"{estimate.evaluation_calls} by evaluators")
    if estimate.shared_calls:
        parts.append(f"{estimate.shared_calls} shared between combinations")
    if estimate.tokens and estimate.tokens.high:
        parts.append(f"{_span(estimate.tokens, '{:,.0f}')} tokens")
    if estimate.cost_usd and estimate.cost_usd.high:
        parts.append(f"${_span(estimate.cost_usd, '{:.4f}')}")
    if estimate.duration_s:
        parts.append(f"{seconds(estimate.duration_s.low)} to {seconds(estimate.duration_s.high)}")
    basis = f" (from {estimate.basis})" if estimate.tokens and estimate.tokens.high else ""
    return ", ".join(parts) + basis


def _span(span: Span, form: str) -> str:
    return f"{form.format(span.low)} to {form.format(span.high)}"


def echo_event(event: ExperimentEvent, *, quiet: bool) -> None:
    """Warnings always, the end of each run when a person reads."""
    if event.kind == "warning":
        say("warning", event.message, color="yellow")
    elif event.kind in ("run", "evaluation") and not quiet:
        note(f"{event.kind} {event.message}")


def echo_result(
    result: ExperimentResult, verdict: Verdict | None, reports: Sequence[Path], alarm: Verdict | None = None
) -> None:
    """Metrics with intervals, words against the baseline, the verdict, where the rest stands."""
    _echo_metrics(result)
    _echo_failures(result.runs)
    _echo_unscored(result)
    _echo_undecided(result.comparisons)
    _echo_search(result.data.get("search"))
    _echo_regressions(result.data.get("regressions") or ())
    click.echo()
    click.echo(_sum_line(result))
    if result.data.get("partial"):
        say("note", str(result.data["partial"]), color="yellow")
    if verdict is not None:
        from genaiops.gates import verdict_text

        click.echo()
        click.echo(verdict_text(verdict), nl=False)
    if alarm is not None:
        from genaiops.gates import alert_text

        click.echo()
        click.echo(alert_text(alarm), nl=False)
    click.echo()
    if reports:
        click.echo(f"report: {reports[0]}")
    click.echo(f"record: {result.path}")
    if result.status == "interrupted":
        click.echo(f"resume: genaiops run --resume {result.id}")


def _echo_metrics(result: ExperimentResult) -> None:
    shown, others = _metric_rows(result)
    if shown:
        names = [row.metric_and_evaluator for row in shown]
        is_ambiguous = len({metric for metric, _ in names}) < len(set(names))
        headers = ("metric", *(("evaluator",) if is_ambiguous else ()), "dataset", "variant")
        rows = [row.cells(with_evaluator=is_ambiguous) for row in shown]
        _colored_table((*headers, "value", "difference", "verdict"), _without_repeats(rows, len(headers) - 1))
    else:
        runs = [(r["variant_label"], r["dataset"], _row_counts(r["rows"]), str(r["status"])) for r in result.runs]
        table(("variant", "dataset", "rows", "status"), runs)
    if others:
        note(f"also measured, in the report: {', '.join(others)}")


class _MetricRow(NamedTuple):
    evaluator: str
    metric: str
    dataset: str
    is_candidate: bool
    variant: str
    value: str
    difference: str
    verdict: str

    @property
    def metric_and_evaluator(self) -> tuple[str, str]:
        return self.metric, self.evaluator

    def cells(self, *, with_evaluator: bool) -> tuple[str, ...]:
        where = (self.metric, self.evaluator, self.dataset) if with_evaluator else (self.metric, self.dataset)
        return (*where, self.variant, self.value, self.difference, self.verdict)


def _metric_rows(result: ExperimentResult) -> tuple[list[_MetricRow], list[str]]:
    """Metrics with an interval or a comparison, the baseline of each first; and the names of the others.

    Where no metric has either, all are shown.
    """
    words = {(c["evaluator"], c["dataset"], c["metric"], c["candidate"]): c for c in result.comparisons}
    runs = {run["id"]: run for run in result.runs}
    judged = {(c["evaluator"], c["metric"]) for c in result.comparisons}
    rows: list[_MetricRow] = []
    for score in result.scores:
        run = runs.get(score["run"], {})
        label = str(run.get("variant_label", ""))
        for name, figures in score["metrics"].items():
            if figures.get("low") is not None:
                judged.add((score["evaluator"], name))
            found = words.get((score["evaluator"], score["dataset"], name, label))
            rows.append(
                _MetricRow(
                    score["evaluator"],
                    name,
                    score["dataset"],
                    not run.get("is_baseline"),
                    label,
                    _figure(figures),
                    "baseline" if run.get("is_baseline") else _signed(found["difference"]) if found else "",
                    "" if found is None else str(found["verdict"]),
                )
            )
    shown = [row for row in rows if (row.evaluator, row.metric) in judged] or rows
    others = {row.metric for row in rows} - {row.metric for row in shown}
    return sorted(shown, key=lambda row: row[:4]), sorted(others)


def _without_repeats(rows: Sequence[tuple[str, ...]], columns: int) -> list[tuple[str, ...]]:
    """The first cells of a row blank where they say what the row above says: groups are seen, not read."""
    found: list[tuple[str, ...]] = []
    before: tuple[str, ...] = ()
    for row in rows:
        same = 0
        while same < columns and before[: same + 1] == row[: same + 1]:
            same += 1
        found.append(("",) * same + row[same:])
        before = row
    return found


def _colored_table(headers: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """As `table`, with the verdict words in colour on a terminal that wants it."""
    from genaiops.cli._session import color_allowed

    if not sys.stdout.isatty() or not color_allowed():
        table(headers, rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell, style=_COLORS.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)


def _figure(figures: Mapping[str, Any]) -> str:
    if figures.get("value") is None:
        return "not measured"
    value = f"{figures['value']:.4g}"
    if figures.get("low") is not None:
        value += f" [{figures['low']:.3g}, {figures['high']:.3g}]"
    return f"{value}, {figures['failed']} not scored" if figures.get("failed") else value


def _row_counts(rows: Mapping[str, int]) -> str:
    return f"{rows['completed']} of {rows['total']}" + (f", {rows['failed']} failed" if rows["failed"] else "")


def _signed(value: float) -> str:
    return f"{value:+.4g}"


def _echo_failures(runs: Iterable[Mapping[str, Any]]) -> None:
    """What failed, a line for each kind of failure of a run, and what to do about it, each advice once."""
    failures = [(run, failure) for run in runs for failure in run.get("failures") or ()]
    rows = [
        (
            run["variant_label"],
            run["dataset"],
            str(failure["count"]),
            failure["kind"],
            one_line(failure["message"], _LONGEST_MESSAGE),
        )
        for run, failure in failures
    ]
    if rows:
        click.echo()
        table(("variant", "dataset", "rows", "failure", "message"), rows)
    for hint in dict.fromkeys(str(failure["hint"]) for _, failure in failures if failure.get("hint")):
        click.echo(f"  hint: {safe(hint)}")


def _echo_unscored(result: ExperimentResult) -> None:
    """Why evaluators gave no score, the most frequent reasons first."""
    if not any((score.get("rows") or {}).get("failed") for score in result.scores):
        return
    errors = ((line["evaluator"], str(line["error"])) for line in result.row_scores() if line.get("error"))
    counts = Counter(errors).most_common(_SHOWN_REASONS)
    rows = [(evaluator, str(count), one_line(error, _LONGEST_MESSAGE)) for (evaluator, error), count in counts]
    if rows:
        click.echo()
        table(("evaluator", "rows", "not scored, because"), rows)


def _echo_undecided(comparisons: Iterable[Mapping[str, Any]]) -> None:
    undecided = [c for c in comparisons if c["verdict"] == "cannot tell" and c.get("certainty")]
    for entry in undecided:
        certainty = entry["certainty"]
        price = [f"about {plural(certainty['rows'], 'more row')}"]
        if certainty.get("cost_usd"):
            price.append(money(certainty["cost_usd"]))
        if certainty.get("duration_s"):
            price.append(seconds(certainty["duration_s"]))
        note(f"to tell {_compared(entry)}: {', '.join(price)}")


def _compared(entry: Mapping[str, Any]) -> str:
    return f"{entry['metric']} of {entry['candidate']} on {entry['dataset']}"


def _echo_search(search: Mapping[str, Any] | None) -> None:
    if not search:
        return
    trials = search["trials"]
    stopped = sum(trial["state"] == "stopped early" for trial in trials)
    early = f", {stopped} stopped early" if stopped else ""
    end = " (nothing else was left to try)" if search.get("ended") == "everything was tried" else ""
    click.echo()
    click.echo(f"search: {plural(len(trials), 'trial')}{early}{end}, for {', '.join(search['objectives'])}")
    for label in search["front"]:
        values = next(trial["values"] for trial in trials if trial["label"] == label)
        pairs = zip(search["objectives"], values, strict=True)
        click.echo(f"  no trial beats {label}: {', '.join(f'{name} {value:.4g}' for name, value in pairs)}")
    if search["best"]:
        click.echo(f"  best: {search['best']}")
    for name, labels in (search.get("tied") or {}).items():
        if len(labels) > 1:
            click.echo(f"  cannot be told apart in {name}: {', '.join(labels)}")


def _echo_regressions(regressions: Iterable[Mapping[str, Any]]) -> None:
    for entry in regressions:
        nodes = ", ".join(f"{group['count']} from {group['node']} on" for group in entry["by_node"][:3])
        note(f"worse in {_compared(entry)}: {plural(entry['worse'], 'row')}, {nodes}")


def _sum_line(result: ExperimentResult) -> str:
    data = result.data
    calls = f"{plural(data['model_calls'], 'model call')}, {data['kept']} kept"
    source = "" if data.get("source") in (None, "live") else f", {data['source']} replies"
    known = data.get("cost_usd") if data["model_calls"] else 0.0
    spent = "no cost" if known == 0 else "cost unknown" if known is None else money(known)
    runs = plural(len(result.runs), "run")
    return f"{result.status}: {runs}, {calls}{source}, {spent}, {seconds(data['duration_s'])}"
