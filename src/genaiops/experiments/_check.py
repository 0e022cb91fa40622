"""Everything about a use case that can be known without calling a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genaiops.datasets import Scan, scan
from genaiops.errors import GenaiopsError, suggest
from genaiops.evaluators import check_builtin, eval_functions
from genaiops.experiments._azure_data import missing_copy
from genaiops.experiments._data_checks import check_data
from genaiops.experiments._dataops import DATAOPS_FILE, read_data_assets
from genaiops.experiments._log_columns import OUTPUT, logged_outputs
from genaiops.experiments._paths import confirmation_file
from genaiops.experiments._plan import PlanRequest, plan_cells
from genaiops.experiments._problems import Problems
from genaiops.experiments._read import examine_experiment
from genaiops.experiments._result import find_experiment
from genaiops.experiments._spec import DatasetSpec, EvaluatorSpec, ExperimentSpec, Place, Setting
from genaiops.experiments._targets import flow_source
from genaiops.flows import Finding, Flow, InputDef, check_flow, check_mapping, examine_flow
from genaiops.plain_text import plural
from genaiops.records import record
from genaiops.settings import Settings


@record(frozen=True, kw_only=True)
class UseCaseCheck:
    """What a check found.

    Args:
        findings: Mistakes first.
        settings: Value and source of everything, for `--explain`.
        spec: The use case, when it could be read.
        scans: What was found in each data file, by its path.
        flow: The application, when it could be loaded.
    """

    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...] = ()
    spec: ExperimentSpec | None = None
    scans: Mapping[Path, Scan] = field(default_factory=dict)
    flow: Flow | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop everything."""
        return [finding for finding in self.findings if finding.severity == "error"]


def check_use_case(
    use_case: Path,
    settings: Settings,
    *,
    env: str | None = None,
    file: str | None = None,
    request: PlanRequest | None = None,
    with_flows: bool = True,
) -> UseCaseCheck:
    """Check a use case in one environment.

    Args:
        use_case: Its folder, or an experiment file.
        settings: Where variables are looked up.
        env: Name of the environment.
        file: Another experiment file than `experiment.yaml`.
        request: What the command line asks of the plan.
        with_flows: Check the flows themselves too: nodes, templates, tool files.
    """
    examined = examine_experiment(use_case, settings, env=env, file=file)
    if examined.spec is None:
        return UseCaseCheck(findings=examined.findings)
    checker = _Checker(spec=examined.spec, settings=settings, problems=Problems(list(examined.findings)))
    checker.run(request or PlanRequest(), with_flows=with_flows)
    ordered = sorted(dict.fromkeys(checker.problems.findings), key=lambda finding: finding.severity != "error")
    return UseCaseCheck(
        findings=tuple(ordered),
        settings=examined.spec.settings,
        spec=examined.spec,
        scans=checker.scans,
        flow=checker.flow,
    )


@dataclass
class _Checker:
    """One check under way."""

    spec: ExperimentSpec
    settings: Settings
    problems: Problems
    scans: dict[Path, Scan] = field(default_factory=dict)
    flow: Flow | None = None
    _flows: dict[str, Flow | None] = field(default_factory=dict)

    def run(self, request: PlanRequest, *, with_flows: bool) -> None:
        """All checks, in the order a person would want to mend them."""
        spec = self.spec
        self.flow = self._load(spec.flow, spec.place("flow"), with_flows=with_flows)
        if not spec.datasets:
            self.problems.error(
                "no-datasets", "The experiment has no datasets, so nothing would run.", spec.place("datasets")
            )
        for dataset in spec.datasets:
            self._dataset(dataset)
        for evaluator in spec.evaluators:
            self._evaluator(evaluator, with_flows=with_flows)
        if self.flow is not None:
            self._plan(request)
            self._init(self.flow, spec.init, spec.place("flow"))
            self._requests(self.flow)
        if spec.data_checks:
            self._data_checks()
        self._confirm()
        try:
            read_data_assets(spec.folder, self.problems)
        except GenaiopsError as error:
            self.problems.caught(error, Place(file=spec.folder / DATAOPS_FILE))

    def _load(self, source: Path | str, place: Place, *, with_flows: bool) -> Flow | None:
        key = str(source)
        if key in self._flows:
            return self._flows[key]
        loadable = flow_source(self.spec, source, self.settings)
        if not Path(loadable).exists():
            self._flows[key] = None
            return None
        if with_flows:
            found = [finding for finding in check_flow(loadable) if finding.severity == "error"]
            self.problems.findings += (
                found if isinstance(source, Path) else [_written(f, loadable, place) for f in found]
            )
        flow, errors = examine_flow(loadable)
        if errors and not with_flows:
            self.problems.caught(errors[0], place)
        self._flows[key] = flow
        return flow

    # Datasets

    def _scan(self, dataset: DatasetSpec) -> Scan | None:
        """What the data file holds; a mistake is told once a file."""
        path = dataset.path
        if path is None and dataset.azure is not None:
            message = f"The dataset {dataset.name!r} is {dataset.azure}, of which there is no copy on this machine."
            self.problems.error("remote-dataset", message, dataset.place, missing_copy(dataset.azure))
        if path is None:
            return None
        if path not in self.scans:
            if not path.exists():
                names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
                self.problems.error(
                    "missing-data",
                    f"There is no data file {dataset.source!r}.",
                    dataset.place,
                    suggest(path.name, names),
                )
                return None
            try:
                self.scans[path] = scan(path)
            except GenaiopsError as error:
                self.problems.caught(error, dataset.place)
                return None
        return self.scans[path]

    def _dataset(self, dataset: DatasetSpec) -> None:
        found = self._scan(dataset)
        if self.spec.logged:
            self._logged(dataset, found)
        elif self.flow is not None:
            self._mapping(dataset, self.flow.inputs, found, loose=self.flow.loose_signature)
        self._columns(dataset, found)

    def _logged(self, dataset: DatasetSpec, found: Scan | None) -> None:
        """The outputs stand in the data, all that the flow declares."""
        if found is None:
            return
        there = logged_outputs(found.columns)
        if not there:
            self.problems.error(
                "no-logged-outputs",
                f"The dataset {dataset.name!r} has no column {OUTPUT}NAME, so it holds no answers of production.",
                dataset.place,
                "Make it with: genaiops dataset from-logs LOGS TARGET",
            )
        for name in self.flow.outputs if self.flow is not None and there else ():
            if name not in there:
                self.problems.warning(
                    "no-logged-output",
                    f"The dataset {dataset.name!r} has no column {OUTPUT}{name}, although the flow gives {name!r}.",
                    dataset.place,
                    suggest(name, there),
                )

    def _columns(self, dataset: DatasetSpec, found: Scan | None) -> None:
        if found is None:
            return
        for name, column in (("key", dataset.key), ("cluster", dataset.cluster)):
            if column is not None and column not in found.columns:
                self._no_column(dataset, name, column, found)
        for column in dataset.segments:
            if column not in found.columns:
                self._no_column(dataset, "segments", column, found)

    def _no_column(self, dataset: DatasetSpec, key: str, column: str, found: Scan) -> None:
        self.problems.error(
            "unknown-column",
            f"{key} of the dataset {dataset.name!r} names the column {column!r}, which it does not have.",
            dataset.place,
            suggest(column, found.columns),
        )

    def _mapping(
        self,
        dataset: DatasetSpec,
        inputs: Mapping[str, InputDef],
        found: Scan | None,
        *,
        loose: bool = False,
        outputs: Sequence[str] | None = None,
        run_inputs: Sequence[str] | None = None,
    ) -> None:
        lines = {key: place.line for key, place in dataset.mapping_places.items() if place.line is not None}
        self.problems.findings += check_mapping(
            {key: _as_run_lookup(value) for key, value in dataset.mappings.items()},
            {} if loose and not inputs else inputs,
            file=dataset.place.file,
            columns=None if found is None else found.columns,
            run_outputs=outputs,
            run_inputs=run_inputs,
            lines=lines,
        )
        if inputs and not loose and not self._varies(dataset, inputs, found):
            self.problems.error(
                "mapping-reaches-nothing",
                f"Nothing that {dataset.name!r} maps is an input of the flow, so every row would get the same inputs.",
                dataset.place,
                f"The flow's inputs are: {', '.join(inputs)}.",
            )

    @staticmethod
    def _varies(dataset: DatasetSpec, inputs: Mapping[str, InputDef], found: Scan | None) -> bool:
        """Some input of the flow differs from row to row."""
        lookups = {key for key, value in dataset.mappings.items() if isinstance(value, str) and value.startswith("${")}
        by_name = {n for n, d in inputs.items() if not d.has_default and (found is None or n in found.columns)}
        return bool(inputs.keys() & lookups or by_name - dataset.mappings.keys())

    # Evaluators

    def _evaluator(self, evaluator: EvaluatorSpec, *, with_flows: bool) -> None:
        flow = None
        if evaluator.kind == "flow":
            source = evaluator.path if evaluator.path is not None else evaluator.entry or evaluator.flow
            flow = self._load(source, evaluator.place, with_flows=with_flows)
        for dataset in evaluator.datasets:
            found = self._scan(dataset)
            self._columns(dataset, found)
            self._join(dataset, found)
            inputs, loose = self._inputs(evaluator, dataset, flow)
            self._mapping(
                dataset, inputs, found, loose=loose, outputs=self._outputs(), run_inputs=self._run_columns(dataset)
            )
        if flow is not None:
            self._init(flow, self.spec.evaluator_init.get(evaluator.name, {}), evaluator.place)

    def _inputs(
        self, evaluator: EvaluatorSpec, dataset: DatasetSpec, flow: Flow | None
    ) -> tuple[Mapping[str, InputDef], bool]:
        """What the evaluator takes, as far as it is known; problems of its own are told on the way."""
        if evaluator.kind == "flow":
            return (flow.inputs, flow.loose_signature) if flow is not None else ({}, True)
        try:
            if evaluator.kind == "builtin" and evaluator.entry is not None:
                check_builtin(evaluator.entry, list(dataset.mappings), evaluator.options)
            elif evaluator.kind == "python" and evaluator.path is not None:
                self._functions(evaluator, dataset)
        except GenaiopsError as error:
            self.problems.caught(error, dataset.place)
        return {}, True

    def _functions(self, evaluator: EvaluatorSpec, dataset: DatasetSpec) -> None:
        assert evaluator.path is not None
        for function in eval_functions(evaluator.path):
            if not function.is_row_wise(dataset.mappings) and not function.fits_contract:
                missing = [name for name in function.required if name not in dataset.mappings]
                self.problems.error(
                    "missing-evaluator-input",
                    f"{function.name} needs {', '.join(missing)}, which the mappings of {dataset.name!r} do not give.",
                    Place(file=function.file, line=function.line),
                    suggest(missing[0], dataset.mappings),
                )

    def _outputs(self) -> Sequence[str] | None:
        if self.spec.logged:
            scans = [found for d in self.spec.datasets if d.path is not None and (found := self.scans.get(d.path))]
            return list(dict.fromkeys(name for found in scans for name in logged_outputs(found.columns))) or None
        if self.flow is None or not self.flow.outputs:
            return None  # a callable may return any keys
        return list(self.flow.outputs)

    def _run_columns(self, dataset: DatasetSpec) -> Sequence[str] | None:
        base = self.spec.dataset(dataset.runs_of)
        found = self.scans.get(base.path) if base is not None and base.path is not None else None
        return None if found is None else found.columns

    def _join(self, dataset: DatasetSpec, found: Scan | None) -> None:
        """The rows of an evaluation dataset and of the run's data meet: by key, or by their number."""
        base = self.spec.dataset(dataset.runs_of)
        theirs = self.scans.get(base.path) if base is not None and base.path is not None else None
        if found is None or theirs is None or base is None or base.limit is not None:
            return
        if dataset.key is not None and dataset.key not in theirs.columns:
            self.problems.error(
                "unknown-column",
                f"{dataset.name!r} joins by the column {dataset.key!r}, which {base.name!r} does not have.",
                dataset.place,
                suggest(dataset.key, theirs.columns),
            )
        if dataset.key is None and found.rows != theirs.rows:
            self.problems.error(
                "row-counts-differ",
                f"{dataset.name!r} has {plural(found.rows, 'row')}; "
                f"{base.name!r}, whose runs it evaluates, has {theirs.rows}.",
                dataset.place,
                "Add key: <column> to join them by a column.",
            )

    # The rest

    def _plan(self, request: PlanRequest) -> None:
        assert self.flow is not None
        self._baseline(self.flow)
        try:
            plan_cells(self.spec, self.flow, request)
        except GenaiopsError as error:
            self.problems.caught(error, self.spec.place("search_space" if self.spec.search_space else "plan"))

    def _baseline(self, flow: Flow) -> None:
        """`baseline` names a variant, the champion, or an experiment that there is."""
        named = self.spec.baseline
        if not isinstance(named, str) or named in ("default", "defaults", "champion"):
            return
        pairs = [f"{node}.{variant}" for node, found in flow.variants.items() for variant in found.ids]
        if named in pairs or any(named == pair.partition(".")[2] for pair in pairs):
            return
        try:
            find_experiment(named, self.settings)
        except GenaiopsError:
            self.problems.warning(
                "unknown-baseline",
                f"baseline is {named!r}, which is neither a variant of the flow nor an experiment that is here.",
                self.spec.place("baseline"),
                suggest(named, ["defaults", "champion", *pairs]),
            )

    def _init(self, flow: Flow, init: Mapping[str, Any], place: Place) -> None:
        if flow.kind != "class" or flow.loose_signature:
            return
        for name in init:
            if flow.init and name not in flow.init:
                self.problems.warning(
                    "unknown-init",
                    f"The flow {flow.name!r} has no init parameter {name!r}.",
                    Place(file=flow.home / "init.json"),
                    suggest(name, flow.init),
                )
        for name, definition in flow.init.items():
            if name not in init and not definition.has_default and not (flow.sample or {}).get("init"):
                self.problems.error(
                    "missing-init",
                    f"The flow {flow.name!r} needs the init parameter {name!r}.",
                    Place(file=flow.path, line=definition.line),
                    "Write it into init.json beside the flow.",
                )

    def _requests(self, flow: Flow) -> None:
        """`sample-request.json`, and what `deployment_config.json` names instead of it, against the flow's inputs."""
        names = {"sample-request.json"} if (self.spec.folder / "sample-request.json").is_file() else set()
        config = self.spec.folder / "configs" / "deployment_config.json"
        if config.is_file():
            names |= self._test_files(config)
        for name in sorted(names):
            self._request(self.spec.folder / name, flow)

    def _test_files(self, config: Path) -> set[str]:
        targets = self._json(config)
        names: set[str] = set()
        for entries in targets.values() if isinstance(targets, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                name = entry.get("TEST_FILE_PATH") if isinstance(entry, dict) else None
                if not name:
                    continue
                if (self.spec.folder / name).is_file():
                    names.add(str(name))
                else:
                    self.problems.error(
                        "missing-request", f"TEST_FILE_PATH names {name!r}, which is not there.", Place(file=config)
                    )
        return names

    def _request(self, path: Path, flow: Flow) -> None:
        request = self._json(path)
        if not isinstance(request, dict) or flow.loose_signature:
            return
        for name in request:
            if name not in flow.inputs:
                self.problems.warning(
                    "unknown-request-input",
                    f"{name!r} is no input of the flow.",
                    Place(file=path),
                    suggest(name, flow.inputs),
                )
        for name, definition in flow.inputs.items():
            if name not in request and not definition.has_default:
                self.problems.error("missing-request-input", f"The flow needs the input {name!r}.", Place(file=path))

    def _json(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8-sig"))
        except json.JSONDecodeError as error:
            self.problems.error(
                "not-json", f"This is not valid JSON: {error.msg}.", Place(file=path, line=error.lineno)
            )
        except (OSError, UnicodeDecodeError) as error:
            self.problems.error("not-json", f"The file cannot be read: {error}", Place(file=path))
        return None

    def _data_checks(self) -> None:
        place = self.spec.place("data_checks")
        for dataset in self.spec.datasets:
            if dataset.path is not None and dataset.path in self.scans:
                self.problems.findings += check_data(dataset, self.spec.data_checks or {}, place, self.spec.folder)

    def _confirm(self) -> None:
        confirm = self.spec.confirm
        file = confirmation_file(self.spec)
        if confirm and file is not None and not file.is_file():
            message = f"There is no data file {confirm['source']!r}."
            self.problems.error("missing-data", message, self.spec.place("confirm"))
        if not confirm or "source" in confirm or not confirm.get("dataset"):
            return
        known = [dataset.name for dataset in self.spec.datasets]
        if confirm["dataset"] not in known:
            self.problems.error(
                "unknown-dataset",
                f"confirm names the dataset {confirm['dataset']!r}, which is not defined.",
                self.spec.place("confirm"),
                suggest(str(confirm["dataset"]), known),
            )


def _as_run_lookup(value: Any) -> Any:
    """`${target.x}`, which the evaluators of others know, means the run's output x."""
    if isinstance(value, str) and value.startswith("${target."):
        return "${run.outputs." + value.removeprefix("${target.")
    return value


def with_run_lookups(mappings: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings with `${target.x}` written as `${run.outputs.x}`."""
    return {key: _as_run_lookup(value) for key, value in mappings.items()}


def _written(finding: Finding, made: Path, place: Place) -> Finding:
    """A mistake in a file that we made of an entry stands where the entry does."""
    if finding.file is None or not Path(finding.file).is_relative_to(made):
        return finding
    return replace(finding, file=str(place.file), line=place.line)
