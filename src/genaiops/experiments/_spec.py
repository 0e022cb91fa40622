"""What a use case asks for: frozen records that the reader fills and everybody else reads.

Nothing here opens a file. `_read.py` makes them from `experiment.yaml` and its overlays, `_legacy.py` from the older
`llmops_config.json` family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from genaiops.flows import Finding
from genaiops.records import record

EvaluatorKind = Literal["flow", "python", "builtin", "adapter"]
SourceKind = Literal["command line", "environment", ".env", "overlay", "base", "default"]


@record(frozen=True, kw_only=True)
class Place:
    """Where a part of the configuration stands: a file and its line, counted from 1."""

    file: Path
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@record(frozen=True, kw_only=True)
class Setting:
    """One value in force and where it came from; `value` never holds a secret.

    Args:
        key: Its dotted name, such as `datasets.train.source` or `init.model_config.api_key`.
        value: The value, redacted when it may be secret.
        source: Which rung of the precedence ladder it came from.
        where: `FILE:LINE`, the name of a variable, or an option of the command line.
    """

    key: str
    value: Any
    source: SourceKind
    where: str

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {"key": self.key, "value": self.value, "source": self.source, "where": self.where}


@record(frozen=True, kw_only=True)
class AzureSource:
    """A dataset that lives in an Azure ML workspace.

    Args:
        name: Name of the data asset; `None` for a path in a datastore.
        version: Its version; `None` stands for the latest.
        datastore: Name of the datastore, for `azureml://datastores/<store>/paths/<file>`.
        path: The path in that datastore.
    """

    name: str | None = None
    version: str | None = None
    datastore: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        if self.datastore:
            return f"azureml://datastores/{self.datastore}/paths/{self.path}"
        return f"azureml:{self.name}:{self.version or 'latest'}"


@record(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset and how its columns reach the inputs of one flow.

    Args:
        name: What the use case calls it; its identity inside the experiment.
        source: As written.
        path: The local file, when there is one to look for.
        azure: The remote place, when `source` names one.
        mappings: Input of the flow -> `${data.column}`, `${run.outputs.name}` … or a literal.
        reference: Evaluation only: the dataset whose runs this one evaluates.
        key: Column that joins an evaluation row to a run's row; `None` joins by row number.
        segments: Columns by whose values the metrics are also shown.
        cluster: Column whose equal values mark rows that belong together.
        limit: Use at most so many rows.
        mapping_places: Where each mapping stands.
    """

    name: str
    source: str
    path: Path | None = None
    azure: AzureSource | None = None
    description: str | None = None
    mappings: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None
    key: str | None = None
    segments: tuple[str, ...] = ()
    cluster: str | None = None
    limit: int | None = None
    place: Place
    mapping_places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def runs_of(self) -> str:
        """Name of the dataset whose runs an evaluator with this dataset looks at."""
        return self.reference or self.name


@record(frozen=True, kw_only=True)
class EvaluatorSpec:
    """What scores the runs, and with which datasets.

    Args:
        name: Unique within the experiment.
        flow: As written; by default the name.
        kind: A flow of any kind, a folder or file of plain Python, a metric of ours, or a library's evaluator.
        path: Folder or file of a flow or of plain Python code.
        entry: `module:name` of a callable, the name of a built-in metric, or `library:Evaluator`.
        options: Parameters of a built-in metric or of an adapter (`init:` in the file).
    """

    name: str
    flow: str
    kind: EvaluatorKind
    path: Path | None = None
    entry: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[DatasetSpec, ...] = ()
    place: Place


@record(frozen=True, kw_only=True)
class MetricRule:
    """What the use case says about one metric.

    Args:
        higher_is_better: Which direction is good; `None` when nobody said.
        margin: The largest drop that still counts as "not worse", in the metric's own unit.
        kind: `rate` or `mean` when the values alone would mislead.
    """

    higher_is_better: bool | None = None
    margin: float | None = None
    kind: str | None = None


@record(frozen=True, kw_only=True)
class ExperimentSpec:
    """One use case in one environment, read and resolved; nothing has been started.

    Args:
        folder: The use case.
        file: The base file; `overlay` the file laid over it, when there is one.
        flow: Folder, file or `module:name` of the application.
        flow_text: As written.
        logged: The outputs are those that production gave, taken from the data; the application is not run.
        connections: Declarations as written; only the room `connections` resolves them.
        environment_variables: What `environment/env.yaml` gives the flow, resolved.
        init: Parameters of a class flow or prompty, from `init.json` and the flow file, resolved.
        evaluator_init: The same for each evaluator, by its name.
        search_space: `node.input` or `init.name` -> list of values or range.
        plan: As written in the block `plan`, or `None`.
        model_calls: `live`, `record` or `replay`, when the use case says how its models are called.
        recording: The recording it names.
        findings: What the reader has to say: warnings only, errors are raised.
        settings: Value and source of everything, for `--explain`.
    """

    folder: Path
    file: Path
    overlay: Path | None = None
    env: str | None = None
    name: str
    flow: Path | str
    flow_text: str
    logged: bool = False
    datasets: tuple[DatasetSpec, ...] = ()
    evaluators: tuple[EvaluatorSpec, ...] = ()
    connections: tuple[Mapping[str, Any], ...] = ()
    runtime: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    init: Mapping[str, Any] = field(default_factory=dict, repr=False)
    evaluator_init: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    search_space: Mapping[str, Any] = field(default_factory=dict)
    plan: Any = None
    baseline: Any = None
    repeats: int = 1
    metrics: Mapping[str, MetricRule] = field(default_factory=dict)
    gate: Mapping[str, Any] | None = None
    alert: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    data_checks: Mapping[str, Any] | None = None
    confirm: Mapping[str, Any] | None = None
    model_calls: str | None = None
    recording: Path | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    settings: tuple[Setting, ...] = ()

    def dataset(self, name: str) -> DatasetSpec | None:
        """The application's dataset of this name."""
        return next((dataset for dataset in self.datasets if dataset.name == name), None)

    def place(self, *key: str) -> Place:
        """Where a block stands; the base file when nobody noted it."""
        return self.places.get(".".join(key), Place(file=self.file))
