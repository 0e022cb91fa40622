"""The alert of a post-production experiment: judged from its files, put on record, sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genaiops.errors import GenaiopsError

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentResult, ExperimentSpec
    from genaiops.gates import AlertPolicy, Verdict, Webhook
    from genaiops.settings import Settings


class Alert(NamedTuple):
    """What is watched, and who is told."""

    policy: AlertPolicy
    webhook: Webhook | None


def alert_of(spec: ExperimentSpec, environ: Mapping[str, str], *, send: bool) -> Alert | None:
    """The alert of a use case, checked; None when it has none.

    Args:
        spec: The use case.
        environ: Where the webhook's variables are.
        send: Messages are sent, so the webhook must be complete.

    Raises:
        SettingsError: The block cannot be used, with its line, or a variable of the webhook is not set.
    """
    if spec.alert is None:
        return None
    from genaiops.cli._judging import line_finder
    from genaiops.gates import read_alert, resolve_webhook

    place = spec.place("alert")
    policy = read_alert(spec.alert, file=place.file, line_of=line_finder(place))
    webhook = resolve_webhook(policy, environ, file=place.file) if send else None
    return Alert(policy, webhook)


def judge_alert_and_tell(
    result: ExperimentResult,
    alert: Alert,
    settings: Settings,
    *,
    accepted: str | None = None,
    force: bool = False,
) -> Verdict:
    """Judge, put the verdict on record, and send a message when there is reason to.

    Args:
        result: The experiment over production requests.
        alert: What is watched, and who is told.
        settings: Where other experiments and the registry are.
        accepted: Another experiment than the policy names: its id, `champion`, `approved`, or a git reference.
        force: Compare although evaluators differ.

    Raises:
        DataError: The experiment that `accepted` names does not exist.
    """
    from genaiops.cli._output import note, say
    from genaiops.gates import alert_message, judge_alert, load_evidence, record_alert, send_alert

    policy, webhook = alert
    folder = find_accepted(accepted or policy.accepted, policy, result, settings, named=accepted is not None)
    production = load_evidence(result.path)
    verdict = judge_alert(production, policy, load_evidence(folder) if folder else None, force=force)
    record_alert(result.path, verdict)  # a receiver that hangs must not cost the verdict
    if webhook is not None and (verdict.result == "failed" or policy.notify == "always"):
        delivery = send_alert(webhook, alert_message(verdict, policy, production))
        record_alert(result.path, verdict, delivery.to_json())
        if delivery.sent:
            note(f"alert: {delivery.host} was told")
        else:
            tries = "once" if delivery.attempts == 1 else f"{delivery.attempts} times"
            again = f"Send it again: genaiops alert {result.id} --send"
            say("warning", f"The alert did not reach {delivery.host}, tried {tries}: {delivery.error}. {again}",
                color="yellow")  # fmt: skip
    return verdict


def find_accepted(
    name: str, policy: AlertPolicy, result: ExperimentResult, settings: Settings, *, named: bool
) -> Path | None:
    """The folder of the experiment whose level was accepted; None when nobody has accepted one yet.

    Raises:
        DataError: Somebody asked for it outright and it does not exist.
    """
    from genaiops.cli._judging import find_baseline
    from genaiops.experiments import newest_experiments
    from genaiops.gates import APPROVED, approvals

    experiment = policy.experiment or str(result.data.get("experiment"))
    if name != APPROVED:
        return find_baseline(name, result, settings, named=named, experiment=experiment)
    for other in newest_experiments(settings):
        if other.id == result.id or other.data.get("experiment") != experiment:
            continue
        try:
            decisions = approvals(other.path)
        except GenaiopsError:
            continue
        if decisions and decisions[-1].decision == "approved":
            return other.path
    return None


def alert_of_result(result: ExperimentResult, settings: Settings, *, send: bool) -> Alert | None:
    """The alert as the use case has it now, else as it was when the experiment ran, which has no webhook."""
    from genaiops.experiments import examine_experiment
    from genaiops.gates import read_alert

    file, env = result.data.get("file"), result.data.get("env")
    if file and Path(file).is_file():
        spec = examine_experiment(Path(file), settings, env=env).spec
        if spec is not None:
            return alert_of(spec, settings.environ, send=send)
    block: Any = result.data.get("alert_policy")
    return Alert(read_alert(block, file=result.path), None) if isinstance(block, dict) else None
