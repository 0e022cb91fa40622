"""`genaiops approve`: a person's decision on an experiment, on record."""

from __future__ import annotations

import click

from genaiops.cli._output import echo_json
from genaiops.cli._session import open_settings

_NAMES = ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR", "BUILD_USER_ID", "USER", "USERNAME")


@click.command()
@click.argument("experiment", default="latest")
@click.option("--by", help="Who decides; by default the user that the CI server or the system names.")
@click.option("--reason", help="Why; needed when the gate did not pass.")
@click.option("--reject", "rejected", is_flag=True, help="Put a refusal on record instead.")
@click.option("--check", "only_check", is_flag=True, help="Decide nothing; exit code 4 when approval is missing.")
@click.option("--champion", is_flag=True, help="Make it the champion that later ones are held against.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def approve(
    experiment: str,
    by: str | None,
    reason: str | None,
    rejected: bool,
    only_check: bool,
    champion: bool,
    as_json: bool,
) -> None:
    """Approve or refuse an experiment; deployments look at this record.

    The metrics and the verdict are shown, never a prompt. Exit code 4 when --check finds no approval.

    \b
    Example:
      genaiops approve latest --by ada --reason "checked the failures by hand"
    """
    from dataclasses import asdict

    from genaiops import gates
    from genaiops.cli._judging import make_champion
    from genaiops.cli._run_output import echo_result
    from genaiops.experiments import find_experiment

    settings = open_settings()
    result = find_experiment(experiment, settings)
    if only_check:
        decision = gates.require_approval(result.path)
    else:
        person = by or next((settings.environ[name] for name in _NAMES if settings.environ.get(name)), "")
        decide = gates.reject if rejected else gates.approve
        decision = decide(result.path, by=person, reason=reason)
        if champion and not rejected:
            make_champion(result, settings)
    if as_json:
        echo_json({"schema_version": 1, "experiment": result.id, **asdict(decision)})
        return
    if not only_check:
        echo_result(result, None, [])
    verdict = result.data.get("verdict") or {}
    click.echo(f"verdict: {verdict.get('result', 'not judged')}")
    for words in verdict.get("reasons") or ():
        click.echo(f"  {words}")
    click.echo(f"{decision.decision} by {decision.by} at {decision.at}")
