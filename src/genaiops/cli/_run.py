"""`genaiops run`: variants times datasets times evaluators, compared, judged, reported."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._flow_options import SpreadCommand
from genaiops.cli._output import echo_json, say
from genaiops.cli._progress import Progress
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import nearby_folders
from genaiops.collector import spare_what_comes
from genaiops.errors import GenaiopsError
from genaiops.nursery import open_nursery
from genaiops.plain_text import plural

if TYPE_CHECKING:
    from genaiops.cli._alerting import Alert
    from genaiops.experiments import ExperimentEvent, ExperimentRequest, ExperimentResult, Prepared
    from genaiops.gates import Policy, Verdict
    from genaiops.settings import Settings

_BUILD_VARIABLES = ("BUILD_ID", "GITHUB_RUN_ID", "BUILD_BUILDID", "BUILD_NUMBER")
_INTERRUPTED = 130
_GATE_SAID_NO = 3


@click.command(cls=SpreadCommand)
@click.argument("use_case", required=False, type=click.Path(path_type=Path))
@click.option("--env", help="Environment, whose overlay experiment.<env>.yaml counts. By default ENV_NAME.")
@click.option("--file", help="Another experiment file than experiment.yaml.")
@click.option("--variants", help="node.variant, a bare variant, a list with commas, a.v1+b.v2, defaults, or all.")
@click.option("--plan", metavar="KIND", help="one-at-a-time, grid, sample:N or list.")
@click.option("--set", "sets", multiple=True, metavar="NODE.INPUT=A,B", help="Vary an input of a node, or init.NAME.")
@click.option("--search", type=click.IntRange(min=1), metavar="N", help="Search the space with N trials.")
@click.option(
    "--objective", "objectives", multiple=True, metavar="METRIC", help="Of a search: a metric, cost, latency, tokens."
)
@click.option("--seed", type=int, help="Of a sample or a search.")
@click.option("--repeats", type=click.IntRange(min=1), help="Run every row so often.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows of each dataset.")
@click.option("--dry-run", is_flag=True, help="Show the plan and what it will take, and stop.")
@click.option("--resume", metavar="ID", help="Do what an experiment left undone; 'latest' is the last one.")
@click.option("--model-calls", type=click.Choice(["live", "record", "replay"]), help="Call, record, or replay models.")
@click.option("--recording", type=click.Path(path_type=Path, dir_okay=False), help="The recording's file.")
@click.option("--no-cache", is_flag=True, help="Run every node, whatever is kept of earlier runs.")
@click.option("--budget-usd", type=click.FloatRange(min=0, min_open=True), help="Stop cleanly after so many dollars.")
@click.option("--max-calls", type=click.IntRange(min=1), help="Stop cleanly after so many model calls.")
@click.option("--max-failed", type=click.FloatRange(0, 1), help="Share of failed rows that is still a success.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Rows in flight in each run.")
@click.option("--processes", type=click.IntRange(min=1), default=1, help="Processes that share the rows of a run.")
@click.option("--row-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds after which a row fails.")
@click.option("--no-evaluate", is_flag=True, help="Run the application only.")
@click.option("--baseline", help="Experiment to compare with in the gate: an id, champion, or a git reference.")
@click.option("--force", is_flag=True, help="Compare although data or evaluators differ.")
@click.option("--no-webhook", is_flag=True, help="Judge the alert and tell nobody.")
@click.option("--build-id", help="The build that asks; stored with every run.")
@click.option("--report-dir", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--report", metavar="FORMATS", help="Which reports, with commas: page, csv, html, static, markdown, …")
@click.option("--no-report", is_flag=True, help="Write no reports.")
@click.option("--mirror", metavar="KIND", help="Copy the results to a tracking server: mlflow.")
@click.option("--output-file", type=click.Path(path_type=Path), help="Write the ids of the runs, a JSON list.")
@click.option("--environment", default="auto", metavar="current|auto|PATH", help="Python for flow code.")
@click.option("--engine-imports", type=click.Choice(["auto", "own", "installed"]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Run a use case: every variant over every dataset, scored, compared, judged, reported.

    The plan and what it will take are shown first. A run that was interrupted goes on with --resume. Exit code 1 when
    too many rows failed, 2 when something is wrong and nothing was started, 3 when the gate said no.

    \b
    Example:
      genaiops run web_classification --env dev
    """
    context.exit(_run(options))


def _run(options: dict[str, Any]) -> int:
    as_json = options["as_json"]
    use_case = options["use_case"]
    if use_case is None and options["resume"] is None:
        use_case = Path()
    settings = open_settings(folders=_folders(use_case))
    try:
        # Before all that this command imports: meanwhile another process imports what its hosts need.
        with nullcontext() if options["dry_run"] else open_nursery(settings.environ):
            with spare_what_comes():
                prepared, policy, alert = _prepare(use_case, options, settings)
            return _go(prepared, policy, alert, options, settings)
    except GenaiopsError as error:
        if as_json:
            echo_json(_nothing_started(options, error))
        raise


def _go(
    prepared: Prepared, policy: Policy | None, alert: Alert | None, options: dict[str, Any], settings: Settings
) -> int:
    from genaiops.cli._alerting import judge_alert_and_tell
    from genaiops.cli._judging import draw_reports, formats_of, judge_and_record
    from genaiops.cli._run_output import echo_plan, echo_result
    from genaiops.experiments import load_result

    as_json = options["as_json"]
    for finding in prepared.findings:
        where = f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: " if finding.file else ""
        say("warning", f"{where}{finding.message}{' ' + finding.hint if finding.hint else ''}", color="yellow")
    mirror = options["mirror"] or (prepared.spec.report or {}).get("mirror")
    if mirror:
        from genaiops.mirrors import check_mirror

        check_mirror(str(mirror), settings.environ)
    echo_plan(prepared)
    formats = formats_of(options["report"], prepared.spec.report)
    if options["dry_run"]:
        if as_json:
            echo_json(_dry_form(prepared))
        return 0
    result = _execute(prepared, options, settings)
    verdict = judge_and_record(result, policy, settings, baseline=options["baseline"], force=options["force"])
    alarm = judge_alert_and_tell(result, alert, settings, force=options["force"]) if alert is not None else None
    reports: list[Path] = []
    if not options["no_report"] and result.runs:
        reports = draw_reports(result, options["report_dir"], formats)
    result = load_result(result.path)
    if options["output_file"] is not None:
        _write_ids(options["output_file"], result)
    if mirror:
        _mirror(result, settings)
    if as_json:
        echo_json(result.to_json())
    else:
        echo_result(result, verdict if policy is not None else None, reports, alarm)
    return exit_code_of(result, verdict, alarm)


def exit_code_of(result: ExperimentResult, *verdicts: Verdict | None) -> int:
    """130 interrupted, 1 failed, 3 a gate said no or an alert was raised, 0 otherwise."""
    if result.exit_code:
        return result.exit_code
    return max((verdict.exit_code for verdict in verdicts if verdict is not None), default=0)


def _prepare(
    use_case: Path | None, options: dict[str, Any], settings: Settings
) -> tuple[Prepared, Policy | None, Alert | None]:
    from dataclasses import replace

    from genaiops.cli._alerting import alert_of
    from genaiops.cli._judging import policy_of, require_baseline
    from genaiops.experiments import find_experiment, prepare_again, prepare_experiment

    if options["resume"] is not None:
        earlier = find_experiment(options["resume"], settings)
        prepared = prepare_again(earlier, settings, changes=_changes(options))
    else:
        assert use_case is not None
        prepared = prepare_experiment(_request(use_case, options, settings), settings)
    if options["baseline"]:
        require_baseline(options["baseline"], prepared, settings)
    policy = policy_of(prepared.spec)
    alert = alert_of(prepared.spec, settings.environ, send=not (options["no_webhook"] or options["dry_run"]))
    if (policy or alert) is not None and options["max_failed"] is None:
        # Gates and alerts have their own limit of failed rows, and their own exit code for it.
        prepared = replace(prepared, request=replace(prepared.request, max_failed=1.0))
    return prepared, policy, alert


def _request(use_case: Path, options: dict[str, Any], settings: Settings) -> ExperimentRequest:
    from genaiops.experiments import DEFAULT_FAILED_SHARE, ExperimentRequest, PlanRequest

    calls = options["model_calls"] or settings.environ.get("GENAIOPS_MODEL_CALLS")
    build = options["build_id"] or next(
        (settings.environ[v] for v in _BUILD_VARIABLES if settings.environ.get(v)), None
    )
    plan = PlanRequest(
        variants=options["variants"],
        plan=options["plan"],
        sets=tuple(options["sets"]),
        seed=options["seed"],
        search=options["search"],
        objectives=tuple(options["objectives"]),
    )
    failed = options["max_failed"]
    return ExperimentRequest(
        use_case=use_case,
        env=options["env"],
        file=options["file"],
        plan=plan,
        build_id=build,
        limit=options["limit"],
        repeats=options["repeats"],
        model_calls=_known_calls(calls),
        recording=options["recording"],
        keep=not options["no_cache"],
        concurrency=options["concurrency"],
        processes=options["processes"],
        row_timeout_s=options["row_timeout"] or 600.0,
        max_failed=DEFAULT_FAILED_SHARE if failed is None else failed,
        budget_usd=options["budget_usd"],
        max_calls=options["max_calls"],
        evaluate=not options["no_evaluate"],
        environment=options["environment"],
        imports=options["engine_imports"],
    )


def _known_calls(word: str | None) -> Any:
    if word not in (None, "live", "record", "replay"):
        raise click.UsageError(f"GENAIOPS_MODEL_CALLS is {word!r}; it may be live, record or replay.")
    return word


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    """What may be different when an experiment is resumed."""
    names = ("budget_usd", "max_calls", "max_failed", "concurrency")
    changes = {name: options[name] for name in names if options[name] is not None}
    if options["processes"] > 1:
        changes["processes"] = options["processes"]
    # A limit that ended the earlier attempt would end this one at once.
    return {"budget_usd": None, "max_calls": None, **changes}


def _execute(prepared: Prepared, options: dict[str, Any], settings: Settings) -> ExperimentResult:
    from genaiops.cli._run_output import echo_event
    from genaiops.experiments import run_experiment

    will_draw = not options["no_report"]
    later = threading.Thread(target=_get_ready_for_the_end, args=(will_draw,), name="genaiops-imports")
    told: set[str] = set()
    with Progress("rows", settings) as progress:

        def see(event: ExperimentEvent) -> None:
            if event.kind == "progress":
                if event.done and later.ident is None:
                    later.start()
                progress.at(event.done, event.total, f"{event.failed} failed" if event.failed else "")
            elif event.kind != "warning" or event.message not in told:
                told.add(event.message)  # every run of a use case would say the same of its mapping
                echo_event(event, quiet=options["as_json"] or settings.is_terminal)

        return run_experiment(prepared, settings, on_event=see)


def _get_ready_for_the_end(will_draw: bool) -> None:
    """What judging and drawing need; while rows run there is time for it, and nobody waits."""
    for name in ("numpy", "numpy.random", "genaiops.gates"):
        import_module(name)
    if will_draw:
        from genaiops.reports import get_ready

        get_ready()


def _mirror(result: ExperimentResult, settings: Settings) -> None:
    """Copy the results to the tracking server; what goes wrong there changes nothing here."""
    from genaiops.cli._output import note
    from genaiops.mirrors import mirror_experiment

    done = mirror_experiment(result, settings.environ)
    if done.error:
        say("warning", f"The mirror is not complete. {done.error}", color="yellow")
    if not done.runs and not done.unchanged:
        return
    where = f": {done.address}" if done.address else ""
    traces = f"traces of {plural(done.traces, 'row')}"
    note(f"mirror: {plural(done.runs, 'run')} written, {done.unchanged} unchanged, {traces}{where}")


def _write_ids(path: Path, result: ExperimentResult) -> None:
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([run["id"] for run in result.runs]) + "\n", encoding="utf-8")


def _folders(use_case: Path | None) -> list[Path]:
    if use_case is None:
        return []
    home = use_case if use_case.is_dir() else use_case.parent
    return nearby_folders(home if home.is_dir() else None, Path.cwd())


def _dry_form(prepared: Prepared) -> dict[str, Any]:
    from genaiops.experiments import rows_of

    return {
        "schema_version": 1,
        "experiment": prepared.spec.name,
        "env": prepared.spec.env,
        "dry_run": True,
        "plan": {**prepared.plan.to_json(), "estimate": prepared.estimate.to_json()},
        "runs": [
            {
                "id": task.id,
                "variant": dict(task.cell.variant),
                "variant_label": task.cell.label,
                "parameters": dict(task.cell.parameters),
                "dataset": task.dataset.name,
                "rows": {"total": rows_of(task, prepared.counts), "completed": 0, "failed": 0, "skipped": 0},
                "repeat": task.repeat,
            }
            for task in prepared.tasks
        ],
        "scores": [],
        "comparisons": [],
        "verdict": {"result": "not judged", "reasons": ["Nothing was run."]},
        "reports": [],
        "model_calls": 0,
        "kept": 0,
    }


def _nothing_started(options: dict[str, Any], error: GenaiopsError) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "experiment": None,
        "env": options["env"],
        "runs": [],
        "scores": [],
        "comparisons": [],
        "verdict": {"result": "not judged", "reasons": [error.message]},
        "reports": [],
        "model_calls": 0,
        "kept": 0,
        "error": error.to_json(),
    }
