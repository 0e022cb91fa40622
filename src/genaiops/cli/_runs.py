"""`genaiops runs`: the history of experiments and runs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._app import Group
from genaiops.cli._flow_outcome import error_lines
from genaiops.cli._output import echo_json, money, note, one_line, say, seconds, table
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings
from genaiops.errors import DataError, GenaiopsError
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentResult, Side
    from genaiops.runs import RunRecord
    from genaiops.settings import Settings

_SHOWN_ROWS = 10


@click.group(cls=Group)
def runs() -> None:
    """Experiments and runs of this project: list, show, compare, export, import.

    \b
    Example:
      genaiops runs list
    """


@runs.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--experiment", help="Only experiments of this name.")
@click.option("--all", "with_runs", is_flag=True, help="Single runs too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(limit: int, experiment: str | None, with_runs: bool, as_json: bool) -> None:
    """List the latest experiments, the newest first.

    \b
    Example:
      genaiops runs list --limit 5
    """
    from genaiops.experiments import newest_experiments
    from genaiops.runs import list_runs

    settings = open_settings()
    wanted = (e for e in newest_experiments(settings) if experiment in (None, e.data.get("experiment")))
    found = list(islice(wanted, limit))
    records = list_runs(settings, limit=limit) if with_runs else []
    if as_json:
        form: dict[str, Any] = {"schema_version": 1, "experiments": [_experiment_line(e) for e in found]}
        echo_json(form | ({"runs": [record.summary() for record in records]} if with_runs else {}))
        return
    if not found and not records:
        note(f"no experiments in {settings.state}")
    if found:
        table(
            ("experiment", "status", "verdict", "variants", "rows", "calls", "cost", "time"), [_cells(e) for e in found]
        )
    if records:
        headers = ("run", "status", "rows", "failed", "calls", "time")
        table(headers, [_run_cells(record) for record in records])


def _experiment_line(result: ExperimentResult) -> dict[str, Any]:
    data = result.data
    keys = ("experiment", "env", "build_id", "created", "model_calls", "kept", "cost_usd", "duration_s", "source")
    return {
        "id": result.id,
        "path": str(result.path),
        "status": result.status,
        "verdict": (data.get("verdict") or {}).get("result"),
        "runs": [run["id"] for run in result.runs],
        **{key: data.get(key) for key in keys},
    }


def _cells(result: ExperimentResult) -> tuple[str, ...]:
    data = result.data
    variants = {run["variant_label"] for run in result.runs}
    rows = sum(run["rows"]["total"] for run in result.runs)
    verdict = str((data.get("verdict") or {}).get("result", ""))
    return (
        result.id,
        result.status,
        verdict,
        str(len(variants)),
        str(rows),
        str(data.get("model_calls", 0)),
        money(data.get("cost_usd")),
        seconds(float(data.get("duration_s") or 0)),
    )


def _run_cells(record: RunRecord) -> tuple[str, ...]:
    rows = record.rows
    return (
        record.id,
        record.status,
        str(rows.total),
        str(rows.failed),
        str(record.model_calls),
        seconds(record.duration_s),
    )


@runs.command()
@click.argument("name", default="latest")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show an experiment or a run: metrics, comparisons, failures, cost.

    \b
    Example:
      genaiops runs show latest
    """
    from genaiops.cli._run_output import echo_result
    from genaiops.experiments import ExperimentResult

    settings = open_settings()
    found = _find(name, settings)
    if as_json:
        echo_json(found.to_json())
    elif isinstance(found, ExperimentResult):
        echo_result(found, None, [])
        verdict = found.data.get("verdict") or {}
        click.echo(f"verdict: {verdict.get('result', 'not judged')}")
        for words in verdict.get("reasons") or ():
            click.echo(f"  {words}")
        alert = found.data.get("alert")
        if alert:
            click.echo(f"alert: {alert.get('words') or alert['result']}")
            for words in alert["reasons"]:
                click.echo(f"  {words}")
    else:
        _echo_run(found)


def _echo_run(record: RunRecord) -> None:
    table(("run", "status", "rows", "failed", "calls", "time"), [_run_cells(record)])
    if record.metrics:
        table(("metric", "value"), [(name, one_line(value)) for name, value in record.metrics.items()])
    failures = [(str(f.count), f.kind, f.node or "", one_line(f.message)) for f in record.failures]
    if failures:
        table(("rows", "failure", "node", "message"), failures)
    if record.aggregation_error:
        for line in error_lines(record.aggregation_error):
            click.echo(line)
    click.echo(f"record: {record.path}")


@runs.command()
@click.argument("baseline")
@click.argument("candidate", default="latest")
@click.option("--dataset", help="Which dataset, when there are several.")
@click.option("--variant", help="Which variant of the candidate; by default what would ship.")
@click.option("--rows", "shown", type=click.IntRange(min=0), default=_SHOWN_ROWS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(baseline: str, candidate: str, dataset: str | None, variant: str | None, shown: int, as_json: bool) -> None:
    """Compare two experiments or runs on the rows that both have.

    Scores are compared where an experiment has them, outputs always: also those of a run that prompt flow made.

    \b
    Example:
      genaiops runs compare web_dev_20260101_120000_abc123 latest
    """
    from genaiops.experiments import compare_sides

    settings = open_settings()
    first = _side(baseline, settings, dataset, None)
    second = _side(candidate, settings, dataset, variant)
    found = compare_sides(first, second)
    if as_json:
        echo_json({**found.to_json(), "baseline": first.label, "candidate": second.label})
        return
    for warning in found.warnings:
        say("warning", warning, color="yellow")
    click.echo(f"{second.label} against {first.label}: {found.differing} of {plural(found.compared, 'row')} differ")
    if found.comparisons:
        table(
            ("metric", "evaluator", "baseline", "candidate", "difference", "p", "verdict"),
            [_comparison_cells(entry) for entry in found.comparisons],
        )
    for row in found.rows[:shown]:
        click.echo(f"row {row['row']}  {one_line(row['inputs'], 100)}")
        click.echo(f"  - {one_line(row['baseline']['outputs'], 100)}")
        click.echo(f"  + {one_line(row['candidate']['outputs'], 100)}")
    if found.differing > shown:
        click.echo(f"and {plural(found.differing - shown, 'more row')}")


def _comparison_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        entry["metric"],
        entry["evaluator"],
        f"{entry['baseline_value']:.4g}",
        f"{entry['candidate_value']:.4g}",
        f"{entry['difference']:+.4g}",
        f"{entry['p_adjusted']:.3g}",
        entry["verdict"],
    )


@runs.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["zip", "promptflow", "jsonl", "csv"]),
    help="zip: a whole experiment; promptflow: runs in its layout; jsonl, csv: rows. By default by the file's ending.",
)
def export(name: str, target: Path, form: str | None) -> None:
    """Write an experiment or a run to a file for another machine or another program.

    \b
    Example:
      genaiops runs export latest experiment.zip
    """
    from genaiops.experiments import ExperimentResult, export_experiment

    settings = open_settings()
    form = form or {".jsonl": "jsonl", ".csv": "csv", ".zip": "zip"}.get(target.suffix.lower(), "zip")
    found = _find(name, settings)
    if form == "zip":
        if not isinstance(found, ExperimentResult):
            raise DataError(f"{name!r} is a run; a ZIP file holds a whole experiment.", hint="Use --format promptflow.")
        click.echo(str(export_experiment(found, target)))
        return
    records = _records(found, settings)
    if form == "promptflow":
        from genaiops.compat import export_promptflow_layout

        for record in records:
            click.echo(str(export_promptflow_layout(record, target / record.id if len(records) > 1 else target)))
        return
    _write_rows(records, target, form)
    click.echo(str(target))


def _write_rows(records: list[RunRecord], target: Path, form: str) -> None:
    """One line a row of each run: inputs and outputs as `inputs.x` and `outputs.y`."""
    import csv
    import json

    from genaiops.reports import safe_cell

    lines = [_flat_row(record, outcome) for record in records for outcome in record.outcomes()]
    target.parent.mkdir(parents=True, exist_ok=True)
    if form == "jsonl":
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
        target.write_text(text, encoding="utf-8")
        return
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writerow({name: safe_cell(name) for name in columns})
        writer.writerows({key: safe_cell(value) for key, value in line.items()} for line in lines)


def _flat_row(record: RunRecord, outcome: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"run": record.id, "row": outcome["row"], "status": outcome["status"]}
    flat |= {f"inputs.{name}": value for name, value in (outcome.get("inputs") or {}).items()}
    flat |= {f"outputs.{name}": value for name, value in (outcome.get("outputs") or {}).items()}
    error = outcome.get("error")
    return {**flat, "error": error.get("message") if isinstance(error, dict) else None}


@runs.command("import")
@click.argument("source", type=ExistingPath())
@click.option("--name", help="Another name for an imported run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(source: Path, name: str | None, as_json: bool) -> None:
    """Take in an exported experiment, or the folder of a run that prompt flow made.

    \b
    Example:
      genaiops runs import ~/.promptflow/.runs/web_classification_variant_0
    """
    from genaiops.experiments import import_experiment

    settings = open_settings()
    if source.is_dir():
        from genaiops.compat import import_promptflow_run

        record = import_promptflow_run(source, settings, name=name)
        found, place = record.id, record.path
    else:
        result = import_experiment(source, settings)
        found, place = result.id, result.path
    if as_json:
        echo_json({"schema_version": 1, "id": found, "path": str(place)})
    else:
        click.echo(f"imported {found}")


def _find(name: str, settings: Settings) -> ExperimentResult | RunRecord:
    """An experiment, else a run.

    Raises:
        DataError: Neither has such a name.
    """
    from genaiops.experiments import find_experiment
    from genaiops.runs import find_run

    try:
        return find_experiment(name, settings)
    except DataError as error:
        try:
            return find_run(name, settings)
        except GenaiopsError:
            raise error from None


def _records(found: ExperimentResult | RunRecord, settings: Settings) -> list[RunRecord]:
    from genaiops.experiments import ExperimentResult
    from genaiops.runs import find_run

    if isinstance(found, ExperimentResult):
        return [find_run(Path(str(run["path"])), settings) for run in found.runs]
    return [found]


def _side(name: str, settings: Settings, dataset: str | None, variant: str | None) -> Side:
    from genaiops.experiments import Side, default_side, find_experiment, list_experiments, side_of_run
    from genaiops.runs import find_run

    try:
        return default_side(find_experiment(name, settings), dataset=dataset, variant=variant)
    except DataError as error:
        side = side_of_run(name, list_experiments(settings))
        if side is not None:
            return side
        try:
            record = find_run(name, settings)
        except GenaiopsError:
            raise error from None
        return Side(run={"id": record.id, "path": str(record.path)})
