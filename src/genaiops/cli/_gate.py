"""`genaiops gate`: pass or fail an experiment from its files, with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genaiops.cli._output import echo_json
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings

if TYPE_CHECKING:
    from genaiops.gates import Policy


@click.command()
@click.argument("experiment", default="latest")
@click.option("--baseline", help="What to compare with: an experiment's id, champion, or a git reference.")
@click.option("--policy", type=ExistingPath(), help="A file with a gate block to judge by.")
@click.option("--force", is_flag=True, help="Compare although data or evaluators differ.")
@click.option("--promote", is_flag=True, help="When it passes, make it the champion that later ones are held against.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write the checks as JUnit XML.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def gate(
    context: click.Context,
    experiment: str,
    baseline: str | None,
    policy: Path | None,
    force: bool,
    promote: bool,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Judge an experiment again from its files: floors, drops against a baseline, failed rows, cost, latency.

    Nothing is run. Exit code 3 when the gate says no.

    \b
    Example:
      genaiops gate latest --baseline champion
    """
    from genaiops.cli._judging import judge_and_record, make_champion, policy_of_result
    from genaiops.experiments import find_experiment
    from genaiops.gates import verdict_junit, verdict_text

    settings = open_settings()
    result = find_experiment(experiment, settings)
    rules = _read(policy) if policy is not None else policy_of_result(result, settings)
    verdict = judge_and_record(result, rules, settings, baseline=baseline, force=force)
    if promote and verdict.result == "passed":
        make_champion(result, settings)
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_text(verdict_junit(verdict), encoding="utf-8")
    if as_json:
        echo_json(verdict.to_json())
    else:
        click.echo(verdict_text(verdict), nl=False)
        if promote:
            champion = "now the champion" if verdict.result == "passed" else "not made champion"
            click.echo(f"{result.id} is {champion}")
    context.exit(verdict.exit_code)


def _read(path: Path) -> Policy:
    """A policy from a file: the block itself, or a file that has a block `gate`."""
    from genaiops.errors import SettingsError
    from genaiops.flows import load_yaml
    from genaiops.gates import read_policy

    document = load_yaml(path)
    if not isinstance(document.data, dict):
        raise SettingsError("The file must be a map.", file=path, line=1)
    prefix = ("gate",) if "gate" in document.data else ()
    block = document.data["gate"] if prefix else document.data
    return read_policy(block, file=path, line_of=lambda *keys: document.line(*prefix, *keys))
