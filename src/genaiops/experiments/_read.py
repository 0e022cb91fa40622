"""From the files of a use case to one `ExperimentSpec`, with everything wrong in them told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genaiops.errors import GenaiopsError, SettingsError, suggest
from genaiops.experiments._azure_data import AzureData
from genaiops.experiments._blocks import Block, read_datasets, read_evaluators
from genaiops.experiments._documents import Document, read_document
from genaiops.experiments._explain import explain_blocks
from genaiops.experiments._keys import (
    CONFIRM_KEYS,
    EXPERIMENT_KEYS,
    METRIC_KEYS,
    MODEL_CALLS_KEYS,
    MODEL_CALLS_MODES,
    OUTPUTS,
    OVERLAY_FIXED,
    unknown_keys,
)
from genaiops.experiments._legacy import read_legacy
from genaiops.experiments._locate import LEGACY_NAME, find_overlay, locate
from genaiops.experiments._paths import find_flow
from genaiops.experiments._problems import Problems
from genaiops.experiments._spec import DatasetSpec, EvaluatorSpec, ExperimentSpec, MetricRule, Place, Setting
from genaiops.experiments._variables import Resolved, raise_missing, read_env_file, read_init
from genaiops.flows import Finding
from genaiops.records import record
from genaiops.settings import Settings


@record(frozen=True, kw_only=True)
class Examined:
    """What came of reading a use case: the specification when there is one, and all findings."""

    spec: ExperimentSpec | None
    findings: tuple[Finding, ...]


def load_experiment(
    use_case: Path,
    settings: Settings,
    *,
    env: str | None = None,
    file: str | None = None,
    dataset_limit: int | None = None,
) -> ExperimentSpec:
    """Read a use case in one environment.

    Args:
        use_case: Its folder, or an experiment file.
        settings: Where variables are looked up.
        env: Name of the environment; by default the variable `ENV_NAME`.
        file: Another experiment file than `experiment.yaml`; its own overlays count.
        dataset_limit: Use at most so many rows of each dataset.

    Raises:
        SettingsError: A file is missing, cannot be read, or asks for something that cannot be; all problems in one.
    """
    problems = Problems()
    spec, resolved = _read(use_case, settings, env, file, problems)
    problems.raise_errors()
    assert spec is not None
    raise_missing(*resolved)
    if dataset_limit is not None:
        spec = replace(spec, datasets=tuple(replace(dataset, limit=dataset_limit) for dataset in spec.datasets))
    return spec


def examine_experiment(
    use_case: Path, settings: Settings, *, env: str | None = None, file: str | None = None
) -> Examined:
    """As `load_experiment`, with errors as findings instead of an exception."""
    problems = Problems()
    spec: ExperimentSpec | None = None
    try:
        spec, resolved = _read(use_case, settings, env, file, problems)
        raise_missing(*resolved)
    except SettingsError as error:
        problems.caught(error, Place(file=use_case))
    return Examined(spec=spec, findings=tuple(problems.findings))


def _read(
    use_case: Path, settings: Settings, env: str | None, file: str | None, problems: Problems
) -> tuple[ExperimentSpec | None, list[Resolved]]:
    env = env or settings.environ.get("ENV_NAME") or None
    folder, base_path = locate(use_case, file)
    legacy = base_path.name == LEGACY_NAME
    base = read_legacy(base_path, env) if legacy else read_document(base_path)
    overlay_path = None if legacy else find_overlay(base_path, env, problems)
    overlay = read_document(overlay_path) if overlay_path else None
    blocks = _merge(base, overlay, problems)
    if not problems.errors and "name" not in blocks:
        problems.error("missing-key", "The experiment has no name.", Place(file=base_path, line=1), "Add: name: <name>")
    if problems.errors:
        return None, []
    return _build(folder, base, overlay, blocks, env, settings, problems)


def _merge(base: Document, overlay: Document | None, problems: Problems) -> dict[str, Block]:
    """Block by block: an overlay's block replaces the base's, an empty one removes it, `name` and `flow` stay."""
    blocks: dict[str, Block] = {}
    for document in [base] if overlay is None else [base, overlay]:
        if document.data is None:
            continue
        if not isinstance(document.data, dict):
            problems.error("not-a-map", "The file must be a map of blocks.", Place(file=document.path, line=1))
            continue
        problems.findings += unknown_keys(document.data, EXPERIMENT_KEYS, document, what="The experiment")
        for key, value in document.data.items():
            if document is overlay and key in OVERLAY_FIXED:
                _warn_fixed(key, value, blocks.get(key), document, problems)
            else:
                blocks[key] = Block(value=value, document=document, is_overlay=document is overlay)
    return blocks


def _warn_fixed(key: str, value: Any, base: Block | None, document: Document, problems: Problems) -> None:
    if base is None or value in (None, base.value):
        return
    problems.warning(
        "overlay-fixed-key",
        f"The overlay names another {key}, {value!r}; an overlay cannot change it and {base.value!r} stays.",
        document.place(key),
        hint=f"Take {key} out of the overlay, or use another experiment file with --file.",
    )


def _build(
    folder: Path,
    base: Document,
    overlay: Document | None,
    blocks: dict[str, Block],
    env: str | None,
    settings: Settings,
    problems: Problems,
) -> tuple[ExperimentSpec, list[Resolved]]:
    name = str(blocks["name"].value)
    flow_text = str(_value(blocks, "entry") or _value(blocks, "flow") or name)
    flow = _flow(folder, flow_text, blocks, problems)
    logged = _choice(blocks, "outputs", OUTPUTS, problems) == "logged"
    datasets = read_datasets(folder, blocks.get("datasets"), problems, needs_mappings=not logged)
    base_block = Block(value=base.data.get("datasets"), document=base)
    all_of_base = read_datasets(folder, base_block, Problems(), needs_mappings=not logged)
    known = {**_by_name(all_of_base), **_by_name(datasets)}
    evaluators = read_evaluators(folder, blocks.get("evaluators"), datasets, known, problems)
    copies = AzureData(folder, settings, problems)
    datasets, evaluators = copies.in_datasets(datasets), copies.in_evaluators(evaluators)
    _warn_unmatched(evaluators, datasets, problems)
    variables = read_env_file(folder, settings)
    init = read_init(flow, settings)
    evaluator_init = {e.name: _evaluator_init(e, settings) for e in evaluators}
    calls = _model_calls(blocks, problems)
    places = {key: block.document.place(key) for key, block in blocks.items()}
    spec = ExperimentSpec(
        folder=folder,
        file=base.path,
        overlay=overlay.path if overlay else None,
        env=env,
        name=name,
        flow=flow,
        flow_text=flow_text,
        logged=logged,
        datasets=datasets,
        evaluators=evaluators,
        connections=_connections(blocks.get("connections"), problems),
        runtime=_value(blocks, "runtime"),
        environment_variables=variables.values,
        init=init.values,
        evaluator_init={key: part.values for key, part in evaluator_init.items()},
        search_space=_map(blocks, "search_space", problems) or {},
        plan=_value(blocks, "plan"),
        baseline=_value(blocks, "baseline"),
        repeats=_count(blocks, "repeats", problems),
        metrics=_metric_rules(blocks.get("metrics"), problems),
        gate=_map(blocks, "gate", problems),
        alert=_map(blocks, "alert", problems),
        report=_map(blocks, "report", problems),
        data_checks=_map(blocks, "data_checks", problems),
        confirm=_confirm(blocks, problems),
        model_calls=calls.get("mode"),
        recording=folder / str(calls["recording"]) if calls.get("recording") else None,
        places=places,
        findings=tuple(problems.findings),
    )
    inits = list(evaluator_init.values())
    explained: list[Setting] = [s for part in (variables, init, *inits) for s in part.settings]
    return replace(spec, settings=(*explain_blocks(spec, blocks), *explained)), [variables, init, *inits]


def _evaluator_init(evaluator: EvaluatorSpec, settings: Settings) -> Resolved:
    if evaluator.kind != "flow" or evaluator.path is None:
        return Resolved(values=dict(evaluator.options))
    found = read_init(evaluator.path, settings, prefix=f"evaluators.{evaluator.name}.init")
    return replace_values(found, {**found.values, **evaluator.options})


def replace_values(resolved: Resolved, values: Mapping[str, Any]) -> Resolved:
    """The same findings with other values."""
    return Resolved(values=dict(values), settings=resolved.settings, missing=resolved.missing)


def _value(blocks: Mapping[str, Block], key: str) -> Any:
    return blocks[key].value if key in blocks else None


def _flow(folder: Path, text: str, blocks: Mapping[str, Block], problems: Problems) -> Path | str:
    block = blocks.get("entry") or blocks.get("flow") or blocks["name"]
    place = block.document.place("entry" if "entry" in blocks else "flow" if "flow" in blocks else "name")
    try:
        return find_flow(folder, text, place)
    except SettingsError as error:
        problems.caught(error, place)
        return folder / text


def _by_name(datasets: tuple[DatasetSpec, ...]) -> dict[str, DatasetSpec]:
    return {dataset.name: dataset for dataset in datasets}


def _warn_unmatched(
    evaluators: tuple[EvaluatorSpec, ...], datasets: tuple[DatasetSpec, ...], problems: Problems
) -> None:
    """An overlay may take a dataset away that the base file's evaluators look at: say that they are left out."""
    names = {dataset.name for dataset in datasets}
    for evaluator in evaluators:
        for dataset in evaluator.datasets:
            if dataset.runs_of not in names:
                problems.warning(
                    "no-run-to-evaluate",
                    f"Evaluator {evaluator.name!r} looks at the dataset {dataset.runs_of!r}, which this environment "
                    "does not run; it is skipped there.",
                    dataset.place,
                )


def _connections(block: Block | None, problems: Problems) -> tuple[Mapping[str, Any], ...]:
    if block is None or block.value is None:
        return ()
    if not isinstance(block.value, list) or not all(isinstance(item, dict) for item in block.value):
        problems.error("not-a-list", "connections must be a list of maps.", block.document.place("connections"))
        return ()
    seen: set[str] = set()
    for index, item in enumerate(block.value):
        place = block.document.place("connections", index)
        for key, instead in (("name", "name"), ("connection_type", "type")):
            if not item.get(key) and not item.get(instead):
                problems.error("missing-key", f"Connection {item.get('name')!r} has no {key}.", place)
        _check_type(item, index, block.document, problems)
        if item.get("name") in seen:
            problems.error(
                "duplicate-name", f"Two connections are named {item['name']!r}.", place, "Rename one of them."
            )
        seen.add(str(item.get("name")))
    return tuple({**item, "__file__": str(block.document.path)} for item in block.value)


def _check_type(connection: Mapping[str, Any], index: int, document: Document, problems: Problems) -> None:
    from genaiops.connections import connection_class

    for key in ("connection_type", "type"):
        if connection.get(key):
            try:
                connection_class(connection[key], connection=str(connection.get("name")))
            except GenaiopsError as error:
                problems.caught(error, document.place("connections", index, key))
            return


def _map(blocks: Mapping[str, Block], key: str, problems: Problems) -> dict[str, Any] | None:
    value = _value(blocks, key)
    if value is not None and not isinstance(value, dict):
        problems.error("not-a-map", f"{key} must be a map.", blocks[key].document.place(key))
        return None
    return value


def _count(blocks: Mapping[str, Block], key: str, problems: Problems) -> int:
    value = _value(blocks, key)
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        problems.error("not-a-count", f"{key} must be a whole number of at least 1.", blocks[key].document.place(key))
        return 1
    return value


def _choice(blocks: Mapping[str, Block], key: str, choices: Sequence[str], problems: Problems) -> str | None:
    value = _value(blocks, key)
    if value is None or value in choices:
        return None if value is None else str(value)
    known = " or ".join(choices)
    place = blocks[key].document.place(key)
    problems.error("unknown-value", f"{key} is {known}, found {value!r}.", place, suggest(str(value), choices))
    return None


def _metric_rules(block: Block | None, problems: Problems) -> dict[str, MetricRule]:
    if block is None or block.value is None:
        return {}
    rules = {}
    for name, body in block.value.items() if isinstance(block.value, dict) else ():
        if not isinstance(body, dict):
            problems.error("not-a-map", f"metrics.{name} must be a map.", block.document.place("metrics", name))
            continue
        problems.findings += unknown_keys(body, METRIC_KEYS, block.document, "metrics", name, what=f"Metric {name!r}")
        known = {key: body[key] for key in METRIC_KEYS if key in body}
        rules[str(name)] = MetricRule(**known)
    return rules


def _model_calls(blocks: Mapping[str, Block], problems: Problems) -> dict[str, Any]:
    value = _map(blocks, "model_calls", problems)
    if value is None:
        return {}
    block = blocks["model_calls"]
    problems.findings += unknown_keys(value, MODEL_CALLS_KEYS, block.document, "model_calls", what="model_calls")
    mode = value.get("mode")
    if mode not in (None, *MODEL_CALLS_MODES):
        place = block.document.place("model_calls", "mode")
        hint = suggest(str(mode), MODEL_CALLS_MODES)
        problems.error("unknown-value", f"model_calls.mode is {mode!r}.", place, hint)
    return value


def _confirm(blocks: Mapping[str, Block], problems: Problems) -> dict[str, Any] | None:
    value = _map(blocks, "confirm", problems)
    if value is not None:
        block = blocks["confirm"]
        problems.findings += unknown_keys(value, CONFIRM_KEYS, block.document, "confirm", what="confirm")
        if "dataset" not in value and "source" not in value:
            problems.error("missing-key", "confirm has neither dataset nor source.", block.document.place("confirm"))
    return value
