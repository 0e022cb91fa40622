"""`genaiops pf run`: start, show, label and delete runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from genaiops.cli._output import assignments, echo_json, one_line, table
from genaiops.cli._paths import ExistingPath
from genaiops.cli._pf_words import (
    ManyWords,
    PfGroup,
    common_options,
    confirmed,
    model_call_options,
    model_options,
    nested,
    pairs_or_file,
    surroundings,
    variables,
)
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.compat import Run
    from genaiops.runs import RunEvent, RunRecord

_NAME = click.option("-n", "--name", required=True, help="Name of the run.")
_MOST_ROWS = 100


class _Run(PfGroup):
    gone: ClassVar = {"export": "the run's folder holds all of it; see `output` of `pf run show`."}


@click.group(cls=_Run)
def run() -> None:
    """Start, show, label and delete runs.

    \b
    Example:
      genaiops pf run list
    """


@run.command(cls=ManyWords)
@click.option("-f", "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="A run file (YAML).")
@click.option("-s", "--stream", is_flag=True, help="Print the run's log and a summary too.")
@click.option("--flow", "flow", help="The flow.")
@click.option("--data", type=click.Path(path_type=Path), help="The dataset.")
@click.option("--run", "source_run", help="An earlier run, whose ${run.outputs.x} the mapping may use.")
@click.option("--variant", help="${NODE.VARIANT}.")
@click.option("-n", "--name", help="Name of the run.")
@click.option("--column-mapping", "mapping", multiple=True, metavar="INPUT='${data.x}'…", help="Inputs of the flow.")
@click.option("--environment-variables", "environment", multiple=True, metavar="K=V…|FILE", help="For the flow.")
@click.option("--connections", multiple=True, metavar="NODE.KEY=V…", help="Other connections or deployments.")
@click.option("--init", multiple=True, metavar="K=V…|FILE", help="Constructor arguments of a class flow.")
@click.option("--set", "changes", multiple=True, metavar="KEY=V…", help="Keys that win over the run file.")
@click.option("--resume-from", "resume_from", help="Run what this run left, as a new run.")
@click.option("--source", type=ExistingPath(), help="The folder of a run of prompt flow.")
@model_call_options
@common_options
@click.pass_context
def create(context: click.Context, /, source: Path | None, stream: bool, **words: Any) -> None:
    """Run a flow over a dataset and print the run as JSON. Exit code 1 when no row completed or aggregation failed.

    \b
    Example:
      genaiops pf run create --flow ./web_classification --data data.jsonl --column-mapping url='${data.url}' --stream
    """
    from genaiops.compat import Run, RunStatus, run_dict, submit_run, summary

    if source is not None:
        record = _import(source, words["name"])
        echo_json(run_dict(record))
        return
    asked = _asked(words)
    flow = _flow_of(asked)
    settings, store = surroundings(flow)
    options = model_options(flow, words["model_calls"], words["recording"])
    record = submit_run(asked, settings, store, on_event=_show, options=options)
    finished = Run.of(record)
    if stream:
        _echo_log(record)
        click.echo(summary(finished))
    echo_json(run_dict(record))
    if record.status == "interrupted":
        context.exit(130)
    if finished.status == RunStatus.FAILED:
        context.exit(1)


def _asked(words: dict[str, Any]) -> Run:
    """What the run file and the command line ask for; the command line wins."""
    from genaiops.compat import Run, flat_connections, read_run_file

    changes = nested(assignments(words["changes"], option="--set"))
    form: dict[str, Any] = read_run_file(words["file"]) if words["file"] else {}
    for key, value in changes.items():
        known = form.get(key)
        form[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    given = {
        "flow": words["flow"],
        "data": words["data"],
        "run": words["source_run"],
        "variant": words["variant"],
        "name": words["name"],
        "resume_from": words["resume_from"],
        "column_mapping": assignments(words["mapping"], option="--column-mapping"),
        "environment_variables": variables(words["environment"]),
        "connections": assignments(words["connections"], option="--connections"),
        "init": pairs_or_file(words["init"], option="--init") if words["init"] else None,
    }
    form["connections"] = flat_connections(form.get("connections"))
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(form.get(key), dict):
            form[key] = {**form[key], **value}
        elif value:
            form[key] = value
    return Run(**{key: value for key, value in form.items() if value})


def _flow_of(asked: Run) -> Any:
    """The flow, for its surroundings; that of the old run when one is resumed."""
    if asked.flow is not None or asked.resume_from is None:
        return asked.flow
    from genaiops.cli._session import open_settings
    from genaiops.runs import find_run

    return find_run(str(asked.resume_from), open_settings()).flow.get("source")


def _import(source: Path, name: str | None) -> RunRecord:
    from genaiops.cli._session import open_settings
    from genaiops.compat import import_promptflow_run

    return import_promptflow_run(source, open_settings(), name=name)


def _show(event: RunEvent) -> None:
    if event.kind == "started":
        click.echo(f"run {event.run}: {plural(event.total, 'row')}, in {event.message}", err=True)
    elif event.kind == "warning":
        click.echo(f"warning: {event.message}", err=True)


def _echo_log(record: RunRecord) -> None:
    logs = record.path / "logs.txt"
    if logs.is_file():
        click.echo(logs.read_text(encoding="utf-8", errors="replace"), nl=False)


@run.command()
@_NAME
@common_options
def show(name: str) -> None:
    """Print a run as JSON.

    \b
    Example:
      genaiops pf run show --name my_run
    """
    from genaiops.compat import run_dict

    echo_json(run_dict(_record(name)))


@run.command("show-details")
@_NAME
@click.option("-r", "--max-results", default=_MOST_ROWS, show_default=True, type=click.IntRange(min=1))
@click.option("--all-results", is_flag=True, help="All rows.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@common_options
def show_details(name: str, max_results: int, all_results: bool, output: str) -> None:
    """Print inputs and outputs of the rows; outputs of a failed row are (Failed).

    \b
    Example:
      genaiops pf run show-details --name my_run --max-results 10
    """
    from genaiops.compat import detail_rows

    rows = detail_rows(_record(name), limit=None if all_results else max_results)
    if output == "json":
        echo_json(rows)
        return
    heads = list(dict.fromkeys(key for row in rows for key in row))
    table(heads, [[_cell(row.get(key)) for key in heads] for row in rows])


def _cell(value: object) -> str:
    return "" if value is None else one_line(value)


@run.command("show-metrics")
@_NAME
@common_options
def show_metrics(name: str) -> None:
    """Print the metrics of a run as JSON.

    \b
    Example:
      genaiops pf run show-metrics --name my_run
    """
    echo_json(dict(_record(name).metrics))


@run.command("list")
@click.option("-r", "--max-results", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--all-results", is_flag=True, help="All runs.")
@click.option("--archived-only", is_flag=True, help="Only archived runs.")
@click.option("--include-archived", is_flag=True, help="Archived runs too.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="json", show_default=True)
@common_options
def list_runs(max_results: int, all_results: bool, archived_only: bool, include_archived: bool, output: str) -> None:
    """Print runs, the latest first.

    \b
    Example:
      genaiops pf run list --max-results 5 --output table
    """
    from genaiops.cli._session import open_settings
    from genaiops.compat import is_archived, run_dict
    from genaiops.runs import list_runs as find_all

    wanted = (True,) if archived_only else (False, True) if include_archived else (False,)
    records = [record for record in find_all(open_settings()) if is_archived(record) in wanted]
    forms = [
        run_dict(record, with_error_details=False) for record in (records if all_results else records[:max_results])
    ]
    if output == "json":
        echo_json(forms)
        return
    heads = ("name", "created_on", "status", "display_name", "flow_name", "data")
    table(heads, [[_cell(form.get(key)) for key in heads] for form in forms])


@run.command()
@_NAME
@common_options
@click.pass_context
def stream(context: click.Context, name: str) -> None:
    """Print a run's log and a summary. Exit code 1 when it failed.

    \b
    Example:
      genaiops pf run stream --name my_run
    """
    from genaiops.compat import Run, RunStatus, summary

    record = _record(name)
    _echo_log(record)
    found = Run.of(record)
    click.echo(summary(found))
    if found.status in (RunStatus.FAILED, RunStatus.CANCELED):
        context.exit(1)


@run.command()
@click.option("-n", "--names", required=True, help="Names of runs, with commas between them.")
@click.option("--html-path", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@common_options
def visualize(names: str, html_path: Path | None) -> None:
    """Write an HTML page of one or several runs and print its path. `genaiops runs compare` says more.

    \b
    Example:
      genaiops pf run visualize --names run_a,run_b --html-path runs.html
    """
    from genaiops.compat import runs_page

    records = [_record(name.strip()) for name in names.split(",") if name.strip()]
    path = html_path or Path("runs.html")
    path.write_text(runs_page(records), encoding="utf-8")
    click.echo(str(path.resolve()))


@run.command(cls=ManyWords)
@_NAME
@click.option("--set", "changes", multiple=True, metavar="KEY=V…", help="display_name, description, tags.KEY.")
@common_options
def update(name: str, changes: tuple[str, ...]) -> None:
    """Change a run's display name, description or tags.

    \b
    Example:
      genaiops pf run update --name my_run --set display_name=first tags.owner=me
    """
    from genaiops.compat import PFClient, run_dict

    given = nested(assignments(changes, option="--set"))
    known = {key: given.pop(key, None) for key in ("display_name", "description", "tags")}
    if given:
        raise click.UsageError(f"A run has no {', '.join(given)} to set; display_name, description and tags it has.")
    _record(name)
    changed = PFClient().runs.update(name, **{key: value for key, value in known.items() if value is not None})
    assert changed.record is not None
    echo_json(run_dict(changed.record))


@run.command()
@_NAME
@common_options
def archive(name: str) -> None:
    """Leave a run out of lists.

    \b
    Example:
      genaiops pf run archive --name my_run
    """
    _relabel(name, archived=True)


@run.command()
@_NAME
@common_options
def restore(name: str) -> None:
    """Show an archived run in lists again.

    \b
    Example:
      genaiops pf run restore --name my_run
    """
    _relabel(name, archived=False)


@run.command()
@_NAME
@click.option("-y", "--yes", "--assume-yes", is_flag=True, help="Do not ask.")
@common_options
def delete(name: str, yes: bool) -> None:
    """Delete a run with its files.

    \b
    Example:
      genaiops pf run delete --name my_run --yes
    """
    from genaiops.compat import PFClient

    record = _record(name)
    confirmed(f"Delete the run {record.id!r} with its files?", yes=yes)
    PFClient().runs.delete(record.id)


def _relabel(name: str, **changes: Any) -> None:
    from genaiops.compat import relabel, run_dict

    echo_json(run_dict(relabel(_record(name), **changes)))


def _record(name: str) -> RunRecord:
    from genaiops.cli._session import open_settings
    from genaiops.errors import InputError
    from genaiops.runs import find_run

    record = find_run(name, open_settings())
    if name not in (record.id, str(record.path)):
        # The beginning of a name is enough for `genaiops runs`, not for scripts that delete.
        raise InputError(f"There is no run {name!r}.", hint=f"Did you mean {record.id!r}?", kind="RunNotFoundError")
    return record
