"""`genaiops alert`: did quality in production fall against the accepted level?"""

from __future__ import annotations

from pathlib import Path

import click

from genaiops.cli._output import echo_json
from genaiops.cli._session import open_settings


@click.command()
@click.argument("experiment", default="latest")
@click.option("--accepted", help="The accepted level: champion, approved, an experiment's id, or a git reference.")
@click.option("--force", is_flag=True, help="Compare although evaluators differ.")
@click.option("--send", is_flag=True, help="Tell the webhook, when there is reason to.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def alert(
    context: click.Context, experiment: str, accepted: str | None, force: bool, send: bool, as_json: bool
) -> None:
    """Judge a post-production experiment again from its files, by its block `alert`.

    Nothing is run. Exit code 3 when quality fell.

    \b
    Example:
      genaiops alert latest --accepted champion
    """
    from genaiops.cli._alerting import alert_of_result, judge_alert_and_tell
    from genaiops.errors import InputError
    from genaiops.experiments import find_experiment
    from genaiops.gates import alert_text

    settings = open_settings()
    result = find_experiment(experiment, settings)
    found = alert_of_result(result, settings, send=send)
    if found is None:
        raise InputError(
            f"The experiment {result.id!r} has no block `alert`, so nothing is watched.",
            file=Path(str(result.data.get("file") or result.path)),
            hint="Add one: alert: {metrics: {accuracy: {margin: 0.05}}}",
        )
    verdict = judge_alert_and_tell(result, found, settings, accepted=accepted, force=force)
    if as_json:
        echo_json(verdict.to_json())
    else:
        click.echo(alert_text(verdict), nl=False)
    context.exit(verdict.exit_code)
