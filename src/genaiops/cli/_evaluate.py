"""`genaiops evaluate`: score runs that exist, without running the application again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._output import echo_json
from genaiops.cli._progress import Progress
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import nearby_folders
from genaiops.errors import DataError, GenaiopsError, InputError

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentEvent, ExperimentResult
    from genaiops.runs import RunRecord
    from genaiops.settings import Settings


@click.command()
@click.argument("runs", nargs=-1)
@click.option("--use-case", type=click.Path(path_type=Path), help="By default the one that the experiment was of.")
@click.option("--env", help="Environment of the use case.")
@click.option("--file", help="Another experiment file than experiment.yaml.")
@click.option("--run-id", "listed", help="Runs as a list with commas, a JSON or Python list, or a file with one.")
@click.option("--evaluator", "evaluators", multiple=True, help="Only this evaluator; repeatable.")
@click.option("--model-calls", type=click.Choice(["live", "record", "replay"]), help="Call, record, or replay models.")
@click.option("--recording", type=click.Path(path_type=Path, dir_okay=False), help="The recording's file.")
@click.option("--no-cache", is_flag=True, help="Run every node of the evaluators.")
@click.option("--baseline", help="Experiment to compare with in the gate.")
@click.option("--force", is_flag=True, help="Compare although data or evaluators differ.")
@click.option("--report-dir", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--report", metavar="FORMATS", help="Which reports, with commas.")
@click.option("--no-report", is_flag=True, help="Write no reports.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(context: click.Context, /, **options: Any) -> None:
    """Score an experiment, or single runs, with the evaluators as they are now.

    Only evaluators run; the application's outputs are taken from the record. The scores are a new experiment.

    \b
    Example:
      genaiops evaluate latest
    """
    context.exit(_evaluate(options))


def _evaluate(options: dict[str, Any]) -> int:
    from genaiops.cli._alerting import alert_of, judge_alert_and_tell
    from genaiops.cli._judging import draw_reports, formats_of, judge_and_record, policy_of
    from genaiops.cli._run import exit_code_of
    from genaiops.cli._run_output import echo_event, echo_result
    from genaiops.experiments import ExperimentRequest, evaluate_runs, examine_experiment, load_result

    use_case = options["use_case"]
    settings = open_settings(folders=nearby_folders(use_case, Path.cwd()) if use_case else [])
    names = [*options["runs"], *read_run_ids(options["listed"])] or ["latest"]
    records, earlier = find_runs(names, settings)
    use_case, env, file = _use_case(options, earlier, records, settings)
    request = ExperimentRequest(
        use_case=use_case,
        env=env,
        file=file,
        model_calls=options["model_calls"],
        recording=options["recording"],
        keep=not options["no_cache"],
    )
    as_json = options["as_json"]
    with Progress("rows", settings) as progress:

        def see(event: ExperimentEvent) -> None:
            if event.kind == "progress":
                progress.at(event.done, event.total)
            else:
                echo_event(event, quiet=as_json or settings.is_terminal)

        result = evaluate_runs(
            records, request, settings, earlier=earlier, evaluators=tuple(options["evaluators"]), on_event=see
        )
    spec = examine_experiment(use_case, settings, env=env, file=file).spec
    policy = policy_of(spec) if spec is not None else None
    verdict = judge_and_record(result, policy, settings, baseline=options["baseline"], force=options["force"])
    alert = alert_of(spec, settings.environ, send=False) if spec is not None else None
    alarm = judge_alert_and_tell(result, alert, settings, force=options["force"]) if alert is not None else None
    reports = []
    if not options["no_report"]:
        formats = formats_of(options["report"], spec.report if spec is not None else None)
        reports = draw_reports(result, options["report_dir"], formats)
    result = load_result(result.path)
    if as_json:
        echo_json(result.to_json())
    else:
        echo_result(result, verdict if policy is not None else None, reports, alarm)
    return exit_code_of(result, verdict, alarm)


def read_run_ids(text: str | None) -> list[str]:
    """Ids from a list with commas, a JSON list, a Python list, or a file that holds any of these.

    Raises:
        InputError: It begins like a list and cannot be read.
    """
    if text is None:
        return []
    if Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8")
    text = text.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            import ast

            try:
                found = ast.literal_eval(text)
            except (ValueError, SyntaxError) as error:
                raise InputError(f"This is no list of runs: {text[:80]}", hint='Write a, b or ["a", "b"].') from error
        return [str(item) for item in found]
    return [word for word in text.replace("\n", ",").replace(" ", ",").split(",") if word]


def find_runs(names: list[str], settings: Settings) -> tuple[list[RunRecord], ExperimentResult | None]:
    """The runs that names stand for: experiments, each with its runs, or single runs.

    Raises:
        DataError: Neither an experiment nor a run has such a name.
    """
    from genaiops.experiments import find_experiment, newest_experiments
    from genaiops.runs import find_run

    records: list[RunRecord] = []
    earlier: ExperimentResult | None = None
    for name in names:
        try:
            found = find_experiment(name, settings)
        except DataError as error:
            try:
                record = find_run(name, settings)
            except GenaiopsError:
                if Path(name).is_dir():
                    hint = f"A use case is named by an option: genaiops evaluate latest --use-case {name}"
                    raise InputError(f"{name!r} is a folder, not a run or an experiment.", hint=hint) from None
                raise error from None
            records.append(record)
            owner = record.labels.get("experiment")
            if earlier is None and owner:
                earlier = next((e for e in newest_experiments(settings) if e.id == owner), None)
            continue
        earlier = earlier or found
        records += [find_run(Path(run["path"]), settings) for run in found.runs]
    if not records:
        raise DataError("The experiment has no runs to evaluate.")
    return records, earlier


def _use_case(
    options: dict[str, Any], earlier: ExperimentResult | None, records: list[RunRecord], settings: Settings
) -> tuple[Path, str | None, str | None]:
    if options["use_case"] is not None:
        return options["use_case"], options["env"], options["file"]
    if earlier is not None:
        request = earlier.data.get("request") or {}
        return Path(str(earlier.data["file"])), options["env"] or request.get("env"), options["file"]
    raise InputError(
        f"Nobody knows which use case the run {records[0].id!r} is of.", hint="Name it with --use-case FOLDER."
    )
