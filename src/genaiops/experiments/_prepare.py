"""What an experiment will do, known before anything is paid for: checked, planned, estimated, connections named."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import InputError
from genaiops.experiments._check import UseCaseCheck, check_use_case
from genaiops.experiments._estimate import Estimate, estimate_plan
from genaiops.experiments._plan import Plan, plan_cells
from genaiops.experiments._problems import Problems
from genaiops.experiments._request import ExperimentRequest
from genaiops.experiments._result import ExperimentResult
from genaiops.experiments._search import search_plan
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._tasks import RunTask, experiment_id, run_tasks
from genaiops.flows import Finding, Flow
from genaiops.records import record
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore


@record(frozen=True, kw_only=True)
class Prepared:
    """An experiment that is ready to be started; nothing has been paid for.

    Args:
        id: What the experiment will be called.
        stamp: Time and chance in its names.
        spec: The use case.
        flow: The application.
        plan: The cells.
        tasks: The runs.
        estimate: What they will take.
        findings: Warnings to tell.
        counts: Rows of each data file.
        created: When the first attempt began, for an experiment that is resumed.
    """

    id: str
    stamp: str
    request: ExperimentRequest
    spec: ExperimentSpec
    flow: Flow
    plan: Plan
    tasks: tuple[RunTask, ...]
    estimate: Estimate
    findings: tuple[Finding, ...]
    counts: Mapping[Path, int] = field(default_factory=dict)
    created: str | None = None


def prepare_experiment(request: ExperimentRequest, settings: Settings, *, stamp: str | None = None) -> Prepared:
    """Check the use case and plan its runs.

    Args:
        request: What is asked.
        settings: The surroundings.
        stamp: Time and chance that make names unique; given when an experiment is resumed.

    Raises:
        InputError: Whatever would make the experiment fail or mean nothing, all of it in one error.
    """
    checked = check_use_case(request.use_case, settings, env=request.env, file=request.file, request=request.plan)
    _raise_errors(checked)
    assert checked.spec is not None
    assert checked.flow is not None
    spec = checked.spec
    request = _with_model_calls(request, spec)
    plan = plan_cells(spec, checked.flow, request.plan)
    if plan.kind == "search":
        search_plan(spec, plan.of, 0)  # is everything there that a search needs?
    stamp = stamp or f"{datetime.now():%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"
    tasks = run_tasks(spec, checked.flow, plan, request, settings, stamp=stamp)
    counts = {path: found.rows for path, found in checked.scans.items()}
    return Prepared(
        id=experiment_id(spec, stamp),
        stamp=stamp,
        request=request,
        spec=spec,
        flow=checked.flow,
        plan=plan,
        tasks=tuple(tasks),
        estimate=estimate_plan(spec, tasks, counts, settings, times=plan.of if plan.kind == "search" else 1),
        findings=(*checked.findings, *_recorded_repeats(request, spec)),
        counts=counts,
    )


def _recorded_repeats(request: ExperimentRequest, spec: ExperimentSpec) -> list[Finding]:
    """Repeats shall be made anew; a recording can only give what it holds."""
    if request.model_calls != "replay" or (request.repeats or spec.repeats) < 2:
        return []
    return [
        Finding(
            severity="warning",
            code="recorded-repeats",
            message="Where the recording holds one reply to a request, the repeats of its rows are copies: "
            "the noise that they show is too small.",
            file=str(request.recording),
            line=None,
            hint="Record as many repeats (--model-calls record --repeats N), or call models live.",
        )
    ]


def _with_model_calls(request: ExperimentRequest, spec: ExperimentSpec) -> ExperimentRequest:
    """How models are called: as asked, else as the use case says, else live."""
    calls: Any = request.model_calls or spec.model_calls or "live"
    recording = request.recording or spec.recording
    if calls != "live" and recording is None:
        recording = spec.folder / "recordings" / "replies.jsonl"
    return replace(request, model_calls=calls, recording=recording if calls != "live" else None)


def prepare_again(
    result: ExperimentResult, settings: Settings, *, changes: Mapping[str, Any] | None = None
) -> Prepared:
    """The plan of an earlier experiment, under its own names, so that what is there is found."""
    form = result.data.get("request")
    stamp = result.data.get("stamp")
    if not isinstance(form, dict) or not stamp:
        raise InputError(f"The experiment {result.id!r} does not say how to run it again.", file=result.path)
    request = replace(ExperimentRequest.from_json(form), **(changes or {}))
    prepared = prepare_experiment(request, settings, stamp=str(stamp))
    return replace(prepared, created=str(result.data["created"]) if result.data.get("created") else None)


def open_connections(spec: ExperimentSpec, settings: Settings) -> ConnectionStore:
    """The connections of a use case: declared in it, in files beside it and above it, in the environment."""
    from genaiops.connections import ConnectionStore

    folders = [spec.folder]
    if isinstance(spec.flow, Path):
        folders.insert(0, spec.flow if spec.flow.is_dir() else spec.flow.parent)
    folders += [folder for folder in spec.folder.parents if folder.is_relative_to(settings.project)]
    return ConnectionStore.load(settings, declared=spec.connections, folders=folders)


def needed_connections(prepared: Prepared, *, with_application: bool = True) -> list[str]:
    """Connections that the flows of an experiment name, as far as their files tell."""
    from genaiops.flows import survey_flow

    spec = prepared.spec
    sources: list[Path | str] = [spec.flow] if with_application else []
    sources += [
        evaluator.path for evaluator in spec.evaluators if evaluator.kind == "flow" and evaluator.path is not None
    ]
    names: list[str] = []
    for source in sources:
        file = _flow_file(source)
        if file is not None:
            names += survey_flow(file, every_variant=len(prepared.plan.cells) > 1).connections()
    adapters = [evaluator.options for evaluator in spec.evaluators if evaluator.kind == "adapter"]
    names += [str(options["connection"]) for options in adapters if options.get("connection")]
    inits = [spec.init] if with_application else []
    for init in (*inits, *spec.evaluator_init.values()):
        names += [
            str(value["connection"])
            for value in init.values()
            if isinstance(value, Mapping) and value.get("connection")
        ]
    return list(dict.fromkeys(names))


def doubtful_connections(prepared: Prepared, store: ConnectionStore) -> list[str]:
    """What connections lack that prompty files beside a function or a class name: its code may or may not use them."""
    from genaiops.errors import ConnectionSettingsError
    from genaiops.flows import survey_flow

    file = _flow_file(prepared.spec.flow)
    if file is None or ".flex." not in file.name:
        return []
    found: dict[str, str] = {}
    for prompty in sorted(file.parent.glob("*.prompty")):
        for name in survey_flow(prompty).connections():
            found.setdefault(name, prompty.name)
    messages = []
    for name, where in found.items():
        try:
            problems = store.check(name)
        except ConnectionSettingsError as error:
            problems = [error.message]
        messages += [f"{where} asks the connection {name!r}: {problem}" for problem in problems]
    return messages


def _flow_file(source: Path | str) -> Path | None:
    """The file of a flow, when there is exactly one to find."""
    if isinstance(source, str):
        return None
    if source.is_file():
        return source
    names = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
    found = [source / name for name in names if (source / name).is_file()] or sorted(source.glob("*.prompty"))
    return found[0] if len(found) == 1 else None


def _raise_errors(checked: UseCaseCheck) -> None:
    Problems(list(checked.findings)).raise_errors()
