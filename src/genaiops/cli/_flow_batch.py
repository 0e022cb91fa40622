"""A whole dataset through a flow: progress while it runs; rows, metrics and failures when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._check import echo_other_mistakes
from genaiops.cli._flow_options import HOST_OPTIONS, host_settings
from genaiops.cli._flow_outcome import error_json, error_lines
from genaiops.cli._output import assignments, echo_error, echo_json, money, note, one_line, safe, say, seconds, table
from genaiops.cli._progress import Progress
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import flow_home, nearby_folders, open_store, use_case_facts
from genaiops.errors import GenaiopsError, Interrupted
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.runs import RunEvent, RunRecord, RunSpec
    from genaiops.settings import Settings

ROWS_SHOWN = 10
INTERRUPTED = Interrupted.exit_code


def run_dataset(source: str | None, options: Mapping[str, Any], *, as_json: bool) -> int:
    """Run or resume, print what came of it, and return the exit code."""
    home = flow_home(source) if source is not None else None
    settings = open_settings(folders=nearby_folders(home))
    try:
        with Progress("rows", settings) as progress:
            watch = _Watch(progress, as_json=as_json)
            if options["resume"] is not None:
                records = [_resume(options, settings, watch)]
            else:
                assert source is not None
                records = _run(source, home, options, settings, watch)
    except GenaiopsError as error:
        if as_json:
            echo_json(_nothing_started(error))
        if source is None:
            raise
        echo_error(error)
        echo_other_mistakes(source, error, settings)
        return error.exit_code
    if not records:
        return INTERRUPTED
    if as_json:
        form = records[0].summary()
        echo_json(form | ({"repeats": [record.summary() for record in records]} if len(records) > 1 else {}))
    else:
        for record in records:
            _echo_record(record)
    return max(record.exit_code for record in records)


def _nothing_started(error: GenaiopsError) -> dict[str, Any]:
    """The JSON form of a run that was refused."""
    return {
        "schema_version": 1,
        "run": None,
        "path": None,
        "status": "failed",
        "rows": {"total": 0, "completed": 0, "failed": 0, "skipped": 0},
        "metrics": {},
        "model_calls": 0,
        "tokens": {"input": 0, "output": 0, "cached": 0},
        "cost_usd": None,
        "duration_s": 0.0,
        "error": error_json(error.to_json()),
    }


def _run(
    source: str, home: Path | None, options: Mapping[str, Any], settings: Settings, watch: _Watch
) -> list[RunRecord]:
    from genaiops.runs import run_batches

    store = open_store(settings, home)
    spec = _spec(source, options)
    repeats = options["repeats"] or 1
    specs = [replace(spec, repeat=number, name=_numbered(spec.name, number, repeats)) for number in range(repeats)]
    return run_batches(specs, settings, store=store, on_event=watch.see)


def _numbered(name: str | None, number: int, repeats: int) -> str | None:
    return f"{name}_{number + 1}" if name is not None and repeats > 1 else name


def _spec(source: str, options: Mapping[str, Any]) -> RunSpec:
    from genaiops.runs import RunSpec

    fields = {
        "limit": options["limit"],
        "concurrency": options["concurrency"],
        "processes": options["processes"],
        "row_timeout_s": options["timeout"],
        "on_bad_row": options["on_bad_row"],
        "max_failed": options["max_failed"],
        "name": options["name"],
        "max_calls": options["max_calls"],
        "budget_usd": options["budget_usd"],
        "budget_rpm": options["rpm"],
        "budget_tpm": options["tpm"],
    }
    words = {key: options[key] for key in HOST_OPTIONS}
    return RunSpec(
        flow=source,
        data=options["data"],
        mapping=assignments(options["mapping"], option="--map"),
        source_run=options["source_run"],
        **host_settings(**words, use_case=use_case_facts(flow_home(source))),
        **{key: value for key, value in fields.items() if value is not None},
    )


def _resume(options: Mapping[str, Any], settings: Settings, watch: _Watch) -> RunRecord:
    from genaiops.runs import find_run, resume_run

    earlier = find_run(options["resume"], settings)
    source = str(earlier.spec.get("flow") or "")
    home = flow_home(source) if source else None
    changes = {
        key: options[key]
        for key in ("concurrency", "processes", "max_failed", "max_calls", "budget_usd")
        if options[key]
    }
    changes |= {f"budget_{key}": options[key] for key in ("rpm", "tpm") if options[key]}
    if options["timeout"] is not None:
        changes["row_timeout_s"] = options["timeout"]
    return resume_run(earlier, settings, store=open_store(settings, home), on_event=watch.see, changes=changes)


class _Watch:
    """Shows what runs tell; several runs add up."""

    def __init__(self, progress: Progress, *, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._latest: dict[str, RunEvent] = {}

    def see(self, event: RunEvent) -> None:
        """Take one event."""
        if event.kind == "warning":
            say("warning", event.message, color="yellow")
            return
        if event.kind == "started" and not self._as_json:
            note(f"run {event.run}: {plural(event.total, 'row')}, in {event.message}")
        self._latest[event.run] = event
        events = self._latest.values()
        failed = sum(each.failed for each in events)
        done = sum(each.completed for each in events) + failed
        self._progress.at(done, sum(each.total for each in events), f"{failed} failed" if failed else "")


def _echo_record(record: RunRecord) -> None:
    _echo_rows(record)
    if record.metrics:
        click.echo()
        table(("metric", "value"), [(name, one_line(value)) for name, value in record.metrics.items()])
    if record.failures:
        click.echo()
        _echo_failures(record)
    if record.aggregation_error:
        click.echo()
        for line in error_lines(record.aggregation_error):
            click.echo(line, err=True)
    click.echo()
    click.echo(_sum_line(record))
    click.echo(f"record: {record.path}")
    if record.status == "interrupted":
        click.echo(f"resume: genaiops flow run --resume {record.id}")


def _echo_rows(record: RunRecord) -> None:
    """The first rows, as a table of their outputs."""
    shown: list[dict[str, Any]] = []
    for outcome in record.outcomes():
        shown.append(outcome)
        if len(shown) == ROWS_SHOWN:
            break
    if not shown:
        return
    names = list(dict.fromkeys(name for outcome in shown for name in outcome.get("outputs") or {}))[:4]
    rows = [
        (
            str(outcome["row"]),
            outcome["status"],
            *_cells(outcome, names),
        )
        for outcome in shown
    ]
    click.echo()
    table(("row", "status", *names), rows)
    rest = record.rows.completed + record.rows.failed - len(shown)
    if rest > 0:
        click.echo(f"… and {plural(rest, 'more row')} in {record.outcomes_path}")


def _cells(outcome: Mapping[str, Any], names: list[str]) -> list[str]:
    """The outputs of a row; of a failed one the error, in the first column."""
    if outcome.get("error"):
        return [one_line(outcome["error"]["message"], 50), *[""] * (len(names) - 1)][: len(names)]
    return [one_line((outcome.get("outputs") or {}).get(name, ""), 50) for name in names]


def _echo_failures(record: RunRecord) -> None:
    """Failures by kind: how many, the first of each, where to look."""
    failed = record.rows.failed
    click.echo(f"{failed} of {plural(failed + record.rows.completed, 'row')} failed:")
    for failure in record.failures:
        where = f" at {failure.file}:{failure.line}" if failure.file and failure.line else ""
        node = f" in node {failure.node}" if failure.node else ""
        row = f"; first in row {failure.row}" if failure.row is not None else ""
        click.echo(f"  {failure.count} × {failure.kind}{node}{where}{row}: {one_line(failure.message, 300)}")
        if failure.hint:
            click.echo(f"    hint: {safe(failure.hint)}")
    click.echo(f'look at: {record.outcomes_path} ("status": "failed"), {record.path / "logs.txt"}')


def _sum_line(record: RunRecord) -> str:
    rows = record.rows
    facts = [f"{record.status}: {rows.completed} completed, {rows.failed} failed"]
    if record.aggregation_error:
        facts.append("aggregation failed")
    if rows.skipped:
        facts.append(f"{rows.skipped} skipped")
    facts.append(seconds(record.duration_s))
    if record.model_calls:
        facts.append(plural(record.model_calls, "model call"))
    if record.kept:
        facts.append(f"{plural(record.kept, 'node result')} kept from before")
    tokens = record.tokens.get("input", 0) + record.tokens.get("output", 0)
    if tokens:
        facts.append(plural(tokens, "token"))
    if record.cost_usd is not None:
        facts.append(money(record.cost_usd))
    if record.simulated:
        facts.append("SIMULATED model replies")
    if record.recorded:
        facts.append("recorded replies")
    if record.stopped:
        facts.append(str(record.stopped.get("message") or record.stopped.get("reason")))
    return ", ".join(facts)
